"""A training step of the article's network, ``bnstudy.tf1`` beside TensorFlow: ``python
benchmarks/tensorflow_step.py``.

Two processes, one of each, take steps in turn, so that the load of the machine takes both alike. It prints
the medians of their processor time per step and of the ratio of each pair of turns. The environment of
TensorFlow is that of ``benchmarks/tensorflow_live.py --install-only``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
STEPS = 3


def main() -> int:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--turns", type=int, default=20, help="turns of each, of three steps")
    parser.add_argument("--batch-size", type=int, default=64, help="images of a step")
    parser.add_argument(
        "--venv", type=Path, default=ROOT / "_build" / "tensorflow", help="TensorFlow's environment"
    )
    parser.add_argument("--serve", choices=["tensorflow", "bnstudy"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.batch_size)
        return 0
    pythons = {"tensorflow": str(options.venv / "bin" / "python"), "bnstudy": sys.executable}
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    sides = [
        start(pythons[name], name, options.batch_size, environment) for name in ("tensorflow", "bnstudy")
    ]
    turns = []
    for turn in range(options.turns):
        order = sides if turn % 2 else sides[::-1]
        took = {id(side): ask(side) for side in order}
        turns.append([took[id(side)] for side in sides])
    for side in sides:
        side.communicate()
    ratios = sorted(ours / theirs for theirs, ours in turns)
    for name, column in zip(("tensorflow", "bnstudy.tf1"), zip(*turns, strict=True), strict=True):
        print(
            f"{name:<12} {1e3 * statistics.median(column):7.1f} ms of processor time a step, median of turns"
        )
    print(f"ratio        {statistics.median(ratios):7.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f})")
    return 0


def start(python: str, name: str, batch_size: int, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [python, "-W", "ignore", __file__, "--serve", name, "--batch-size", str(batch_size)]
    pipe = subprocess.PIPE
    side = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    assert side.stdout is not None
    while (line := side.stdout.readline()).strip() != "ready":
        if not line:
            raise SystemExit(f"{name} did not start: {' '.join(command)}")
    return side


def ask(side: subprocess.Popen[str]) -> float:
    assert side.stdin is not None
    assert side.stdout is not None
    side.stdin.write("go\n")
    side.stdin.flush()
    return float(side.stdout.readline())


def serve(name: str, batch_size: int) -> None:
    """Take steps whenever asked; runs in the environment of its side."""
    from tests.tf1_zoo import PROGRAMS

    tf: Any
    if name == "tensorflow":
        from tests.record_tf1_programs import tensorflow

        tf, moving_averages = tensorflow()
    else:
        import torch

        import bnstudy.tf1 as tf
        from bnstudy.tf1 import moving_averages

        torch.set_num_threads(1)
        warnings.simplefilter("ignore", tf.TrapWarning)
    program = PROGRAMS["the article"](tf, moving_averages)
    images, labels = program.steps[0][1]
    rng = np.random.default_rng(0)
    feeds = [
        {
            images: rng.normal(size=(batch_size, 32, 32, 3)).astype(np.float32),
            labels: np.eye(10, dtype=np.float32)[rng.integers(0, 10, batch_size)],
        }
        for _ in range(8)
    ]
    session = tf.Session(
        config=tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    )
    session.run(tf.global_variables_initializer())

    def take(steps: int) -> None:
        for number in range(steps):
            session.run([program.fetches["loss"], program.fetches["_step"]], feeds[number % len(feeds)])

    take(STEPS)
    print("ready", flush=True)
    for _ in sys.stdin:
        before = time.process_time()
        take(STEPS)
        print((time.process_time() - before) / STEPS, flush=True)


if __name__ == "__main__":
    sys.exit(main())
