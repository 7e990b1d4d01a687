"""Command: simulate the judge and record what it gave (``python -m bnstudy.analysis.simulate``)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bnstudy.analysis.simulate.record import largest_false_share, simulate, write

# What the whole book may err.
ALLOWED = 0.05


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 1 if the book errs more often than it may."""
    parser = argparse.ArgumentParser(prog="python -m bnstudy.analysis.simulate", description=__doc__)
    parser.add_argument("--studies", type=int, default=20_000, help="of each kind (default: 20000)")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers (default: 0)")
    parser.add_argument("--data-dir", default="data", help="folder of recorded results (default: data)")
    options = parser.parse_args(arguments)
    if options.studies < 100:
        parser.error(f"--studies is {options.studies}; allowed: an integer of at least 100")
    results = simulate(options.studies, options.seed, progress=True)
    largest = largest_false_share(results)
    print(f"wrote {write(results, Path(options.data_dir))}")
    print(f"false answers: in at most {100 * largest:.1f} % of studies; allowed: {100 * ALLOWED:g} %")
    return int(largest > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
