"""Stale records: what other source made, less what was found to come out the same."""

from __future__ import annotations

import json

import pytest

from bnstudy.cli import main
from bnstudy.records.provenance import source_digest
from bnstudy.records.spec import RunSpec
from bnstudy.records.store import RecordError, Store
from bnstudy.study.equivalent import FILE, accept, stale
from tests.engine import SETTINGS

SMALL = [f"{name}={value}" for name, value in {**SETTINGS, "seeds": 2, "schedules": ["constant"]}.items()]
SET = [x for item in SMALL for x in ("--set", item)]


def record(store, seed, source):
    made = {"source": source, "device": "none", "wall_seconds": 0.0}
    return store.write(RunSpec(seed=seed, dataset="digits"), made, "finished", {})


def test_records_of_another_source_are_stale_until_one_of_them_came_out_the_same(tmp_path):
    store = Store(tmp_path)
    old, older, today = (record(store, i, s) for i, s in enumerate(("old", "older", source_digest())))
    assert stale([old, older, today], store) == sorted([old.spec.name, older.spec.name])
    assert accept(store, [old, today]) == ["old"]
    assert stale([old, older, today], store) == [older.spec.name]


def test_a_source_equal_to_one_that_equals_today_s_is_current(tmp_path):
    store = Store(tmp_path)
    first = record(store, 0, "first")
    entries = [{"source": "first", "same_as": "second"}, {"source": "second", "same_as": source_digest()}]
    (tmp_path / FILE).write_text(json.dumps(entries))
    assert stale([first], store) == []
    (tmp_path / FILE).write_text(json.dumps(entries[:1]))
    assert stale([first], store) == [first.spec.name]


@pytest.mark.parametrize("content", ["{", '[{"source": "a"}]', "[1]"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(RecordError, match=r"sources\.json is damaged"):
        stale([], Store(tmp_path))


def test_verify_accepts_sources_whose_runs_come_out_the_same_and_no_others(tmp_path, capsys):
    where = ["--data-dir", str(tmp_path)]
    assert main(["run", "decay", *SET, *where, "--quiet"]) == 0
    store = Store(tmp_path)
    [kept, changed] = list(store.records())
    tables = {name: store.table(kept, name) for name in kept.tables}
    # As if other source had made both: one with today's numbers, one with others.
    for path in store.runs.iterdir():
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    rows = {name: _columns(content) for name, content in tables.items()}
    store.write(kept.spec, {**kept.provenance, "source": "same"}, kept.outcome, rows)
    wrong = {**rows, "training": {**rows["training"], "loss": [1.0] * len(rows["training"]["loss"])}}
    store.write(changed.spec, {**changed.provenance, "source": "other"}, changed.outcome, wrong)
    capsys.readouterr()
    main(["verify", "--rerun", "2", "--accept", *where])
    assert not (tmp_path / FILE).exists()
    for file in store.path(changed.spec).iterdir():
        file.unlink()
    store.path(changed.spec).rmdir()
    assert main(["verify", "--rerun", "1", "--accept", *where]) == 0
    assert "records of source same count as today's" in capsys.readouterr().out
    assert stale(store.records(), store) == []


def _columns(content):
    header, *lines = content.decode().splitlines()
    columns = header.split(",")
    values = zip(*(line.split(",") for line in lines), strict=True)
    return {c: list(v) for c, v in zip(columns, values, strict=True) if c != "run"}
