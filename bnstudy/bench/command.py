"""``bnstudy bench``: measure, print, and write as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from bnstudy.bench.lines import LINES, Settings
from bnstudy.bench.machine import describe, floors
from bnstudy.bench.pairs import text
from bnstudy.records.sealed import sealed
from bnstudy.train.data import dataset_names, load_dataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``bnstudy bench``."""
    names = [line.__name__ for line in LINES]
    parser.add_argument("--device", default="cpu", choices=["cpu"], help="where to train (default: cpu)")
    parser.add_argument("--dataset", default="digits", choices=dataset_names(), help="default: digits")
    parser.add_argument("--threads", type=int, help="threads of PyTorch (default: its own choice)")
    parser.add_argument("--pairs", type=int, default=7, help="pairs in each ratio (default: 7)")
    parser.add_argument("--steps", type=int, default=8, help="training steps in half a pair (default: 8)")
    parser.add_argument("--batch-size", type=int, default=128, help="images in a step (default: 128)")
    parser.add_argument("--only", nargs="+", choices=names, metavar="LINE", help=", ".join(names))
    parser.add_argument("--json", metavar="FILE", help="write the results there too; - prints JSON alone")


def run(options: argparse.Namespace) -> int:
    """Measure what ``options`` ask for."""
    for name in ("pairs", "steps", "batch_size"):
        if getattr(options, name) < 1:
            raise ValueError(f"{name} is {getattr(options, name)}; allowed: at least 1")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    settings = Settings(load_dataset(options.dataset), options.batch_size, options.steps, options.pairs)
    quiet = options.json == "-"
    result: dict[str, Any] = {
        "machine": describe(),
        "settings": {
            "dataset": options.dataset,
            "batch_size": options.batch_size,
            "steps": options.steps,
            "pairs": options.pairs,
        },
        "floors": {name: floors(getattr(torch, name)) for name in ("float32", "bfloat16")},
        "lines": [],
    }
    if not quiet:
        print(f"machine: {result['machine']}\nfloors (images/s): {_images(result['floors'])}", flush=True)
    for function in LINES:
        if options.only and function.__name__ not in options.only:
            continue
        found: Any = function(settings)
        for line in [found] if isinstance(found, dict) else found:
            result["lines"].append(line)
            if not quiet:
                print(text(line), flush=True)
    if quiet:
        print(json.dumps(sealed(result), indent=1))
    elif options.json:
        file = Path(options.json).expanduser()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(sealed(result), indent=1) + "\n")
    return 0


def _images(found: dict[str, dict[str, float]]) -> dict[str, dict[str, int]]:
    return {
        name: {key: round(values[key]) for key in ("arithmetic", "traffic", "both")}
        for name, values in found.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``bnstudy bench`` with ``arguments`` (default: the command line's)."""
    parser = argparse.ArgumentParser(prog="bnstudy bench", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
