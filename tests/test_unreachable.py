"""No statement stands where it can't be reached: so the second half of a sentence once was lost."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENDS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


def unreachable(source: str) -> Iterator[int]:
    """Yield the lines of statements that follow one that always leaves their block."""
    for node in ast.walk(ast.parse(source)):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                yield from (b.lineno for a, b in pairwise(block) if isinstance(a, ENDS))


def test_a_lost_half_of_a_sentence_is_seen():
    assert list(unreachable('def f():\n    return "one "\n    "half"\n')) == [3]
    assert list(unreachable('def f():\n    return (\n        "one "\n        "half"\n    )\n')) == []


def test_nothing_is_out_of_reach():
    folders = ("bnstudy", "benchmarks", "book", "tests")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 300
    found = {str(file.relative_to(ROOT)): list(unreachable(file.read_text())) for file in files}
    assert {name: lines for name, lines in found.items() if lines} == {}
