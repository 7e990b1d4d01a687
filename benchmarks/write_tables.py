"""Write the tables of ``benchmarks/README.md`` from the recorded results: ``data/bench/*.json``."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from bnstudy.chapters.performance import page as performance

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "data" / "bench"
README = HERE / "README.md"


def main() -> None:
    tables = [section(result, name) for name, result in performance.results(RESULTS).items()]
    text = README.read_text()
    marked = re.compile(r"(<!-- tables: .*? -->\n).*(<!-- end of tables -->)", re.DOTALL)
    README.write_text(marked.sub(lambda found: found[1] + "\n".join(tables) + found[2], text))


def section(result: performance.Result, name: str) -> str:
    head = f"### `{name}`\n\n{performance.conditions(result)}.\n"
    return "\n".join([head, markdown(performance.lines(result)), markdown(performance.floors(result)), ""])


def markdown(table: pd.DataFrame) -> str:
    rows = [list(table.columns), ["---"] * len(table.columns), *table.values.tolist()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    main()
