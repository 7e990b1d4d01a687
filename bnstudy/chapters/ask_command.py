"""``bnstudy ask``: what recorded trainings would have shown, from their snapshots."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnstudy.chapters.asking import ask
from bnstudy.records.spec import SpecError
from bnstudy.study.asking import Answer, Question

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = (
    "  bnstudy ask core --decays 0.97\n"
    "  bnstudy ask core --decays 0.5 0.9 --zero-debias none both --splits test train\n"
    "  bnstudy ask core --statistics batch precise --precise-images 2000\n"
    "  bnstudy ask core --test-batches 2 8 --leaked --csv flag.csv"
)

_LISTS: dict[str, tuple[type, str]] = {
    "decays": (float, "of the moving averages, each from 0 to 0.9999"),
    "zero_debias": (str, "which averages are debiased: none, mean, both"),
    "statistics": (str, "moving, batch, precise, frozen"),
    "splits": (str, "images: test, train, validation"),
    "test_batches": (int, "images in test batches that are normalised by their own moments"),
    "orders": (str, "in which they are met: shuffled, or 'sorted by class'"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be asked."""
    for name, (kind, what) in _LISTS.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, nargs="+", type=kind, metavar=kind.__name__.upper(), help=what)
    parser.add_argument("--precise-images", type=int, metavar="N", help="training images behind precise")
    parser.add_argument("--leaked", action="store_true", help="also False, after a pass of such test batches")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write every row to FILE")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(options: argparse.Namespace, settings: Mapping[str, Any], executor: Executor | None = None) -> None:
    """Ask, and print mean and interval over seeds, or every row as JSON; ``settings`` are the study's."""
    question = {
        name: value for name in Question.model_fields if (value := getattr(options, name)) is not None
    }
    if options.test_batches and not options.statistics and not options.decays:
        question["statistics"] = ()  # nothing else was asked for
    answer = ask(
        options.experiment,
        question,
        device=options.device,
        data_dir=options.data_dir,
        progress=not options.quiet,
        executor=executor,
        **settings,
    )
    if options.csv is not None:
        write(answer, options.csv)
    if options.json:
        rows = {name: json.loads(table.to_json(orient="records")) for name, table in answer.tables.items()}
        print(json.dumps({"experiment": options.experiment, "runs": answer.runs, **rows}))
        return
    for table in answer.tables.values():
        print(summed_up(table).to_string(index=False))
    print(f"from snapshots of {len(answer.runs)} recorded runs; nothing was trained")
    for name, outcome in answer.without.items():
        print(f"without snapshot: {name} ({outcome})")


def write(answer: Answer, file: Path) -> None:
    """Write every row of an answer as CSV.

    Raises:
        SpecError: the file can't be written.
    """
    import pandas as pd

    try:
        pd.concat(answer.tables.values(), ignore_index=True).to_csv(file, index=False)
    except OSError as error:
        raise SpecError(f"--csv is {str(file)!r}, which can't be written: {error}") from error


def summed_up(table: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy and loss, mean [95 % interval over seeds], for each choice at each step."""
    import pandas as pd

    from bnstudy.analysis.statistics import mean_interval

    told = {"run", "seed", "source", "loss", "accuracy"}
    by = [column for column in map(str, table) if column not in told and table[column].notna().any()]
    lines: list[dict[str, Any]] = []
    for key, rows in table.groupby(by, dropna=False, sort=False):
        accuracy, loss = (mean_interval(rows[c]) for c in ("accuracy", "loss"))
        said = {"accuracy, %": accuracy.percent().replace(" %", ""), "loss": loss.plain(3)}
        lines.append({**dict(zip(by, key, strict=True)), **said, "seeds": accuracy.count})
    return pd.DataFrame(lines).astype(object).fillna("")
