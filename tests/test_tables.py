"""Tables as CSV: what is written comes back, to the digits that a float32 has."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnstudy.records.tables import TABLES, to_csv, to_frame

numbers = st.floats(width=32)
rows = st.lists(
    st.tuples(
        st.integers(1, 10**9),
        st.sampled_from(["test", "train"]),
        st.sampled_from(["batch", "precise", "moving", "frozen", "none"]),
        st.none() | st.floats(0, 1, exclude_max=True, width=32),
        st.none() | st.sampled_from(["none", "mean", "both"]),
        numbers,
        numbers,
    ),
    min_size=1,
)


def as_table(values):
    columns = [c.name for c in TABLES["evaluation"] if c.name != "run"]
    return dict(zip(columns, map(list, zip(*values, strict=True)), strict=True))


@given(st.lists(rows, min_size=1, max_size=3))
def test_many_runs_come_back_as_one_frame(runs):
    parts = [to_csv("evaluation", f"{i:016x}", as_table(run)) for i, run in enumerate(runs)]
    frame = to_frame("evaluation", parts)
    expected = [(f"{i:016x}", *row) for i, run in enumerate(runs) for row in run]
    assert len(frame) == len(expected)
    for found, row in zip(frame.itertuples(index=False), expected, strict=True):
        for value, wanted in zip(found, row, strict=True):
            if wanted is None or (isinstance(wanted, float) and math.isnan(wanted)):
                assert pd.isna(value)
            elif isinstance(wanted, float):
                assert np.float32(value) == np.float32(wanted)
            else:
                assert value == wanted


def test_a_run_without_rows_keeps_its_columns():
    content = to_csv("evaluation", "0" * 16, {})
    frame = to_frame("evaluation", [content])
    assert list(frame) == [c.name for c in TABLES["evaluation"]]
    assert frame.empty


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("losses", {"step": [1]}, "table is 'losses'; allowed: training, evaluation"),
        ("training", {"step": [1]}, "table 'training' has columns .* allowed: .*'loss'"),
        (
            "training",
            {"step": [1, 2], "loss": [1.0], "accuracy": [0.5], "learning_rate": [0.1]},
            "all of one length",
        ),
    ],
)
def test_a_table_that_is_not_what_it_must_be(name, table, message):
    with pytest.raises(ValueError, match=message):
        to_csv(name, "0" * 16, table)
