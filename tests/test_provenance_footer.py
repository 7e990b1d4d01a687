"""The line at a page's foot: it changes with every file that the book's numbers come from."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

EXTENSION = Path(__file__).parents[1] / "book" / "_ext" / "provenance.py"


@pytest.fixture(scope="module")
def provenance():
    spec = importlib.util.spec_from_file_location("provenance_extension", EXTENSION)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "changed", ["data/runs/aa/evaluation.csv", "data/bench/cpu.json", "data/bench/more.json"]
)
def test_it_changes_with_records_and_with_benchmarks(provenance, tmp_path, changed):
    for name in ("data/runs/aa/record.json", "data/runs/aa/evaluation.csv", "data/bench/cpu.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("as it was")
    before = provenance.describe_build(tmp_path, tmp_path / "data" / "bench")
    assert before == provenance.describe_build(tmp_path, tmp_path / "data" / "bench")
    assert "records 1 (" in before
    assert "benchmarks 1 (" in before
    (tmp_path / changed).write_text("as it is")
    assert provenance.describe_build(tmp_path, tmp_path / "data" / "bench") != before


def test_without_benchmarks_it_says_so(provenance, tmp_path):
    assert provenance.describe_build(tmp_path, tmp_path / "data" / "bench").endswith("benchmarks none")
