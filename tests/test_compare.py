"""Runs whose rounding differs count as the same, and runs of other code don't."""

from __future__ import annotations

import math

import pytest

from bnstudy.records.spec import RunSpec
from bnstudy.records.tables import as_text
from bnstudy.study import verify
from bnstudy.study.compare import TOLERANCES, differences
from bnstudy.study.work import perform
from bnstudy.train import network
from tests.make_digits_records import SPECS, STORE

TRAINED = [spec for spec in SPECS if isinstance(spec, RunSpec)]
PROBED = next(spec for spec in TRAINED if "internal_covariate_shift" in spec.probes)


def files(spec):
    record = STORE.read(spec.name)
    return {name: STORE.table(record, name) for name in record.tables}


def altered(content, column, change, rows=None):
    header, *lines = content.decode().splitlines()
    at = header.split(",").index(column)
    table = [line.split(",") for line in lines]
    for row in table if rows is None else [table[i] for i in rows]:
        row[at] = str(as_text(change(float(row[at]))))
    return "\n".join([header, *map(",".join, table), ""]).encode()


def too_far(old, new):
    return {(d.table, d.column) for d in differences(old, new) if not d.close}


@pytest.mark.parametrize("spec", [TRAINED[0], PROBED], ids=["plain", "probed"])
def test_another_rounding_is_close_and_not_equal(spec, monkeypatch):
    """PyTorch's own operations in place of the compiled passes: the same numbers, rounded otherwise."""
    monkeypatch.setattr(network.pooled, "serves", lambda *_: False)
    monkeypatch.setattr(verify, "SAME", ("another machine",))
    monkeypatch.setattr(verify, "count_as_today", lambda *_: False)
    again = verify.rerun(STORE.read(spec.name), STORE)
    assert not again.equal
    assert again.matches, str(again)
    assert again.expected == "close"


def test_the_same_is_close_to_itself():
    for spec in SPECS:
        assert too_far(files(spec), files(spec)) == set()


@pytest.mark.parametrize(
    ("table", "column", "change", "rows"),
    [
        ("training", "loss", lambda v: 1.5 * v, None),
        ("training", "loss", lambda v: 1.5 * v, [0]),
        ("training", "loss", lambda v: v + 1, range(-10, 0)),
        ("training", "loss", lambda v: math.nan, [-1]),
        ("training", "learning_rate", lambda v: 2 * v, [5]),
        ("training", "accuracy", lambda v: 1 - v / 2, None),
        ("evaluation", "loss", lambda v: 1.3 * v + 0.1, None),
        ("evaluation", "accuracy", lambda v: v + 0.06, None),
        ("internal_covariate_shift", "value", lambda v: 2 * v, None),
        ("internal_covariate_shift", "value", lambda v: math.inf, [0]),
        ("gradient_health", "value", lambda v: 1.2 * v + 0.1, [0]),
    ],
)
def test_another_number_is_too_far(table, column, change, rows):
    old = files(PROBED)
    assert too_far(old, {**old, table: altered(old[table], column, change, rows)}) == {(table, column)}


def test_a_row_or_a_table_that_is_missing_is_too_far():
    old = files(PROBED)
    shorter = b"".join(old["evaluation"].splitlines(keepends=True)[:-1])
    assert {table for table, _ in too_far(old, {**old, "evaluation": shorter})} == {"evaluation"}
    less = {name: content for name, content in old.items() if name != "gradient_health"}
    assert {table for table, _ in too_far(old, less)} == {"gradient_health"}
    assert {table for table, _ in too_far(less, old)} == {"gradient_health"}


def test_a_doubled_norm_in_a_probe_does_not_match(monkeypatch):
    """The fault that went unnoticed: accuracies alone were compared."""
    monkeypatch.setattr(verify, "SAME", ("another machine",))
    monkeypatch.setattr(verify, "count_as_today", lambda *_: False)
    [done] = perform([PROBED])
    table = done.tables["internal_covariate_shift"]
    table["value"] = [
        2 * v if q == "ics" else v for q, v in zip(table["quantity"], table["value"], strict=True)
    ]
    monkeypatch.setattr(verify, "perform", lambda *_: [done])
    again = verify.rerun(STORE.read(PROBED.name), STORE)
    assert not again.matches
    assert "internal_covariate_shift.value differs by" in str(again)


def test_every_tolerance_is_stated():
    assert all(absolute >= 0 and relative >= 0 for absolute, relative in TOLERANCES.values())
    assert TOLERANCES["accuracy"] == (0.05, 0.0)
