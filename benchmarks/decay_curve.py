"""Any decay, from snapshots: ``python benchmarks/decay_curve.py [--json FILE] [--workers N]``.

Asks the snapshots of the second round's core trainings, taken before the learning rate is annealed and after
it, for moving averages of many decays, and keeps test loss and accuracy by seed. Nothing is trained. Of the
large decays it also asks for averages without the weight of the initial value (zero-debias); the others have
forgotten it.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import bnstudy
from bnstudy.chapters import ask
from bnstudy.records.provenance import environment, git_state
from bnstudy.records.sealed import sealed

STUDY = "core"
DECAYS = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999)
# Of smaller ones less than a thousandth of the initial value is left where the first snapshot is taken.
DEBIASED = (0.999, 0.9995, 0.9999)
COLUMNS = ("run", "seed", "step", "decay", "zero_debias", "accuracy", "loss")


def curve(workers: int = 1, **asked: Any) -> dict[str, Any]:
    """Return the recorded result: a row for each run, step, decay and choice of zero-debias.

    ``asked`` goes to ``bnstudy.chapters.ask``: ``data_dir``, and parameters of the study.
    """
    with ExitStack() as stack:
        executor = None
        if workers > 1:
            pool = ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,))
            executor = stack.enter_context(pool)
        questions = ({"decays": DECAYS}, {"decays": DEBIASED, "zero_debias": ["both"]})
        answers = [ask(STUDY, question, executor=executor, **asked) for question in questions]
    rows = [row for answer in answers for row in answer.tables["checkpoints"].to_dict("records")]
    return {
        "bnstudy": bnstudy.__version__,
        "git": git_state(),
        **environment(),
        "study": STUDY,
        "runs": answers[0].runs,
        "without": answers[0].without,
        "columns": list(COLUMNS),
        "rows": [[_short(row[column]) for column in COLUMNS] for row in rows],
    }


def _short(value: Any) -> Any:
    return float(f"{value:.7g}") if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes of one thread each")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    git_state()  # what is changed meanwhile wasn't loaded
    result = curve(options.workers)
    print(f"{len(result['rows'])} rows of {len(result['runs'])} runs")
    if options.json:
        options.json.write_text(json.dumps(sealed(result), separators=(",", ":"), allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
