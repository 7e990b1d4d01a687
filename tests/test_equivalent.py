"""Stale records: what other source made, less what was found to come out the same."""

from __future__ import annotations

import json

import pytest

from bnstudy.cli import main
from bnstudy.records.spec import RunSpec
from bnstudy.records.store import RecordError, Store
from bnstudy.study import deciding
from bnstudy.study.deciding import source_of
from bnstudy.study.equivalent import FILE, accept, stale
from tests.engine import SETTINGS

TODAY = source_of(RunSpec())
SMALL = [f"{name}={value}" for name, value in {**SETTINGS, "seeds": 2, "schedules": ["constant"]}.items()]
SET = [x for item in SMALL for x in ("--set", item)]


def record(store, seed, source):
    made = {"source": source, "device": "none", "wall_seconds": 0.0}
    return store.write(RunSpec(seed=seed, dataset="digits"), made, "finished", {})


def test_records_of_another_source_are_stale_until_one_of_them_came_out_the_same(tmp_path):
    store = Store(tmp_path)
    old, older, today = (record(store, i, s) for i, s in enumerate(("old", "older", TODAY)))
    assert stale([old, older, today], store) == sorted([old.spec.name, older.spec.name])
    accept(store, "old", old.spec, whole=[old.spec.name])
    assert stale([old, older, today], store) == [older.spec.name]


def test_a_source_equal_to_one_that_equals_today_s_is_current(tmp_path):
    store = Store(tmp_path)
    first = record(store, 0, "first")
    entries = [{"source": "first", "same_as": "second"}, {"source": "second", "same_as": TODAY}]
    (tmp_path / FILE).write_text(json.dumps(entries))
    assert stale([first], store) == []
    (tmp_path / FILE).write_text(json.dumps(entries[:1]))
    assert stale([first], store) == [first.spec.name]


def test_what_was_found_for_one_kind_of_run_says_nothing_of_another(tmp_path):
    store = Store(tmp_path)
    old = record(store, 0, "old")
    spec = RunSpec(dataset="digits", probes=["gaussianity"])
    probed = store.write(spec, {"source": "old"}, "finished", {})
    accept(store, "old", old.spec)
    assert stale([old, probed], store) == [probed.spec.name]
    accept(store, "old", probed.spec)
    assert stale([old, probed], store) == []


def test_a_record_that_was_carried_over_keeps_the_defaults_of_that_day(tmp_path, monkeypatch):
    store = Store(tmp_path)
    old = record(store, 0, "old")
    accept(store, "old", old.spec)
    assert stale([old], store) == []
    kept = deciding._defaults("train")
    monkeypatch.setattr(deciding, "_defaults", lambda kind: {**kept, "epsilon": 1e-2})
    assert stale([old], store) == [old.spec.name]


def test_a_change_and_its_return_are_both_known(tmp_path):
    store = Store(tmp_path)
    made = record(store, 0, "first")
    entries = [{"source": "first", "same_as": TODAY}, {"source": "first", "same_as": "then"}]
    (tmp_path / FILE).write_text(json.dumps(entries))
    assert stale([made, record(store, 1, "then")], store) == []


@pytest.mark.parametrize("content", ["{", '[{"source": "a"}]', "[1]", "{}", "7", "[" * 200_000])
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
    assert main(["verify", "--rerun", "1", "--accept", *where]) == 1
    assert "allowed: a whole number of at least 2" in capsys.readouterr().err
    assert main(["describe", *where]) == 0
    assert main(["verify", "--rerun", "2", "--accept", *where]) == 0
    assert "1 of 1 records of source same and kind 'train' came out the same" in capsys.readouterr().out
    assert stale(store.records(), store) == []


def _columns(content):
    header, *lines = content.decode().splitlines()
    columns = header.split(",")
    values = zip(*(line.split(",") for line in lines), strict=True)
    return {c: list(v) for c, v in zip(columns, values, strict=True) if c != "run"}
