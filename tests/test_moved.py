"""Old import paths: each leads to a module that is there, and says that it will go."""

from __future__ import annotations

import importlib
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from bnstudy._moved import MOVED, MOVED_NAMES


def test_every_old_path_leads_to_a_module_that_is_there():
    assert [new for new in sorted(set(MOVED.values())) if find_spec(new) is None] == []
    for old in MOVED:
        assert old not in sys.modules or sys.modules[old].__name__ == MOVED[old], old


def test_an_old_path_finds_its_module_and_says_so():
    mine: dict[str, object] = {}
    sys.modules.pop("bnstudy.analysis.decay", None)
    with pytest.warns(
        DeprecationWarning, match="bnstudy.chapters.decay.rules now; the old path goes"
    ) as said:
        exec(compile("import bnstudy.analysis.decay as old", "mine.py", "exec"), mine)
    assert mine["old"] is importlib.import_module("bnstudy.chapters.decay.rules")
    assert said[0].filename == "mine.py"


@pytest.mark.parametrize(
    ("module", "name"), [(m, name) for m, names in MOVED_NAMES.items() for name in names]
)
def test_an_old_name_is_found_and_says_so_once(module, name):
    there = importlib.import_module(module)
    vars(there).pop(name, None)
    with pytest.warns(DeprecationWarning, match="the old path goes with the next version") as said:
        found = getattr(there, name)
    assert len(said) == 1
    assert said[0].filename == __file__
    assert found is getattr(importlib.import_module(MOVED_NAMES[module][name]), name)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        there.nothing  # noqa: B018


def test_nothing_here_uses_an_old_path():
    root = Path(__file__).parents[1]
    files = [p for f in ("bnstudy", "tests", "benchmarks", "book") for p in (root / f).rglob("*")]
    old = re.compile(rf"\b({'|'.join(map(re.escape, MOVED))})\b(?!\.)")
    for file in files:
        if file.suffix in (".py", ".ipynb", ".md") and file.name not in ("_moved.py", "test_moved.py"):
            imports = re.findall(r"^\s*\"?(?:from|import) (bnstudy[\w.]*)", file.read_text(), re.M)
            assert [name for name in imports if old.fullmatch(name)] == [], file
