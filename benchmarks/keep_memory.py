"""What it costs a training on the CPU to hand its memory back at every step.

Trains the same run in processes of one thread, in turn one that keeps what it frees
(``bnstudy.study.memory``) and one that doesn't, and prints the ratio of their processor times.

    python benchmarks/keep_memory.py --turns 4
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
from typing import Any

ARMS: dict[str, dict[str, Any]] = {
    "batch norm, bfloat16": {"norm": "batch", "precision": "bfloat16"},
    "no norm, bfloat16": {"norm": "none", "precision": "bfloat16"},
    "batch norm, float32": {"norm": "batch", "precision": "float32"},
}


def train(how: str, fields: dict[str, Any], images: int) -> None:
    """Train one run in this process, and print its seconds of processor time, of user and system."""
    from bnstudy.study.memory import keep_memory

    if how == "keep":
        keep_memory()
    import torch

    from bnstudy.records.spec import RunSpec
    from bnstudy.train.fleet import train_run

    torch.set_num_threads(1)
    spec = RunSpec(dataset="cifar10", train_size=images, evaluations=1, seed=900, **fields)
    train_run(spec.model_copy(update={"train_size": 256}))
    before = resource.getrusage(resource.RUSAGE_SELF)
    train_run(spec)
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime]))


def timed(how: str, arm: str, images: int) -> tuple[float, float]:
    """Return seconds of processor time (all, and the system's alone) of a run in a process of its own."""
    command = [sys.executable, __file__, "--one", how, "--arm", arm, "--images", str(images)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    user, system = json.loads(done.stdout.splitlines()[-1])
    return user + system, system


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=4, help="processes of each kind")
    parser.add_argument("--images", type=int, default=6400, help="training images of a run")
    parser.add_argument("--one", choices=("keep", "leave"), help=argparse.SUPPRESS)
    parser.add_argument("--arm", choices=tuple(ARMS), help="one of them alone")
    given = parser.parse_args()
    if given.one:
        train(given.one, ARMS[given.arm], given.images)
        return
    for arm in [given.arm] if given.arm else ARMS:
        pairs = [
            (timed("leave", arm, given.images), timed("keep", arm, given.images)) for _ in range(given.turns)
        ]
        ratios = [leave[0] / keep[0] for leave, keep in pairs]
        shares = [[one[1] / one[0] for one in kind] for kind in zip(*pairs, strict=True)]
        print(
            f"{arm}: leaving takes {math.exp(statistics.fmean(map(math.log, ratios))):.2f} times as long "
            f"({min(ratios):.2f} to {max(ratios):.2f}); the kernel's share is "
            f"{statistics.median(shares[0]):.0%}, and {statistics.median(shares[1]):.0%} kept"
        )


if __name__ == "__main__":
    main()
