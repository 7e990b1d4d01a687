"""Command ``bnstudy simulate``: judge studies of known truth, and record what came of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bnstudy.analysis.judged.parts import Claim
from bnstudy.analysis.simulate.record import largest_false_share, simulate, write

# The share of studies in which the whole book may have a false answer.
ALLOWED = 0.05


def main(arguments: Sequence[str], claims: Sequence[Claim], data_dir: Path) -> int:
    """Run the command and return its exit code: 0, or 1 if the book errs more often than it may."""
    parser = argparse.ArgumentParser(
        prog="bnstudy simulate",
        description="judge studies of known truth, and record how often the book errs and what it can tell",
    )
    parser.add_argument("--studies", type=int, default=20_000, help="of each kind (default: 20000)")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers (default: 0)")
    parser.add_argument("--data-dir", type=Path, default=data_dir, help="folder of recorded results")
    options = parser.parse_args(arguments)
    if options.studies < 100:
        parser.error(f"--studies is {options.studies}; allowed: an integer of at least 100")
    results = simulate(claims, options.studies, options.seed, progress=True)
    largest = largest_false_share(results)
    print(f"wrote {write(results, options.data_dir)}")
    print(f"false answers: in at most {100 * largest:.1f} % of studies; allowed: {100 * ALLOWED:g} %")
    return int(largest > ALLOWED)
