"""Stale records are carried over by training again what shows that they would come out the same."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

from bnstudy.cli import main
from bnstudy.records.kinds import SharingSpec, StepCostSpec
from bnstudy.records.spec import RunSpec
from bnstudy.records.store import Record, Store
from bnstudy.study import carry, work
from bnstudy.study.carry import carry_over, planned
from bnstudy.study.deciding import kind_of, source_of
from bnstudy.study.equivalent import stale
from bnstudy.study.verify import replay

BASE = {
    "dataset": "digits", "epochs": 1, "batch_size": 16, "evaluations": 1, "precision": "float32",
    "statistics": ["moving"], "zero_debias": ["none"],
}  # fmt: skip
PROBED = RunSpec(**BASE, probes=["gradient_health"], probed_steps=3)
SPECS = [
    *(RunSpec(**BASE, seed=seed) for seed in range(6)),
    RunSpec(**BASE, norm="none"),
    PROBED,
    SharingSpec(),
]


@pytest.fixture(scope="module")
def made(few_digits, tmp_path_factory):
    """Records as another source gave them, with today's numbers."""
    kept, work._dataset = work._dataset, lambda name: few_digits
    store = Store(tmp_path_factory.mktemp("old"))
    for spec in SPECS:
        [one] = work.perform([spec])
        old = {k: v for k, v in one.provenance.items() if k != "defaults"}
        store.write(spec, {**old, "source": "old"}, one.outcome, one.tables)
    yield store
    work._dataset = kept


@pytest.fixture
def store(made, tmp_path):
    shutil.copytree(made.runs, tmp_path / "runs")
    return Store(tmp_path)


def alter(store, spec, table, column, row=1):
    """Write another number into a record, checksums and all."""
    record = store.read(spec.name)
    tables = {name: store.table(record, name).decode().splitlines() for name in record.tables}
    shutil.rmtree(store.path(spec))
    written = {}
    for name, lines in tables.items():
        rows = [line.split(",") for line in lines]
        if name == table:
            rows[row][rows[0].index(column)] = "0.125"
        written[name] = {c: [r[i] for r in rows[1:]] for i, c in enumerate(rows[0]) if c != "run"}
    store.write(spec, record.provenance, record.outcome, written)


def test_all_that_is_stale_is_carried_over(store):
    seen = []
    groups = carry_over(store, store.records(), steps=2, report=seen.append)
    assert all(group.complete for group in groups)
    assert stale(store.records(), store) == []
    # Five whole, one of each kind; of the rest the first steps.
    assert sorted(again.steps or 0 for again in seen) == [0] * 5 + [2] * 4
    assert {kind_of(r.spec) for group in groups for r in group.whole} == {kind_of(spec) for spec in SPECS}
    assert all(again.equal for again in seen)
    entries = json.loads((store.root / "sources.json").read_text())
    assert {(e["source"], e["same_as"]) for e in entries} == {("old", source_of(s)) for s in SPECS}
    assert sum(len(e["trained_again"]) + len(e["begun_again"]) for e in entries) == len(SPECS)
    assert not (store.root / carry.FILE).exists()
    assert carry_over(store, store.records(), steps=2) == []


def test_the_whole_runs_differ_in_as_much_as_they_can():
    [group] = planned([Record(s, {"source": "old"}, "finished", {}) for s in SPECS if kind_of(s) == "train"])
    assert len(group.whole) == 5
    assert {record.spec.norm for record in group.whole} == {"batch", "none"}


@pytest.mark.parametrize(
    ("spec", "table", "column"),
    [
        (SPECS[5], "training", "loss"),
        (PROBED, "gradient_health", "value"),
        (SharingSpec(), "sharing", "shared"),
    ],
)
def test_another_number_anywhere_leaves_its_kind_stale(store, spec, table, column):
    alter(store, spec, table, column)
    groups = carry_over(store, store.records(), steps=2)
    [left] = [group for group in groups if not group.complete]
    assert left.kind == kind_of(spec)
    assert "they stay stale" in str(left)
    old = {record.spec.name for record in store.records() if kind_of(record.spec) == left.kind}
    assert set(stale(store.records(), store)) == old


def test_a_probe_is_compared_in_the_first_steps_too(store):
    steps = 2  # of five; the probe looks at 1, 2 and 5
    assert replay(store.read(PROBED.name), store, steps).equal
    alter(store, PROBED, "gradient_health", "value", row=-1)
    assert replay(store.read(PROBED.name), store, steps).equal
    alter(store, PROBED, "gradient_health", "value")
    assert not replay(store.read(PROBED.name), store, steps).equal


def test_it_goes_on_where_it_was_stopped(store, monkeypatch):
    seen = []

    def stop(again):
        seen.append(again.run)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_over(store, store.records(), steps=2, report=stop)
    (store.root / carry.FILE).open("a").write('["half a li')
    more = []
    groups = carry_over(store, store.records(), steps=2, report=lambda again: more.append(again.run))
    assert all(group.complete for group in groups)
    # The third came out, but wasn't written down before the interrupt.
    assert len(more) == len(SPECS) - 2
    assert set(seen[:2]).isdisjoint(more)


def test_durations_are_shown_by_one_run_alone():
    specs = [*SPECS[:6], *(StepCostSpec(seed=i) for i in range(3))]
    groups = planned([Record(spec, {"source": "old"}, "finished", {}) for spec in specs])
    found = {group.kind: (len(group.whole), len(group.begun), group.untried) for group in groups}
    assert found == {"train": (4, 2, 0), "step_cost": (1, 0, 2)}


def test_the_command_says_what_it_did(store, capsys):
    where = ["--data-dir", str(store.root)]
    alter(store, PROBED, "gradient_health", "value")
    assert main(["verify", "--carry-over", *where]) == 4
    said = capsys.readouterr().out
    assert (
        "source old, train: 7 of 7 came out the same, bit for bit (3 whole, 4 begun; 7 records): all" in said
    )
    assert "source old, train with gradient_health: 0 of 1 came out" in said
    assert main(["verify", "--carry-over", *where, "--json"]) == 4
    assert [g["complete"] for g in json.loads(capsys.readouterr().out)["groups"]] == [False]


def test_a_record_is_trained_with_the_threads_it_was_made_with(store, monkeypatch):
    import torch

    before, used = torch.get_num_threads(), []
    record = store.read(SharingSpec().name)
    made = dataclasses.replace(record, provenance={**record.provenance, "threads": before + 1})
    monkeypatch.setattr(
        carry, "rerun", lambda *_: used.append(torch.get_num_threads()) or pytest.skip("seen")
    )
    with pytest.raises(pytest.skip.Exception):
        carry_over(store, [made])
    assert used == [before + 1]
    assert torch.get_num_threads() == before
