"""Intervals, the split of the evaluation error, and the rules that decide claims."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bnstudy.analysis.claims import c6_smoothing_helps, c7_large_decay_overfits, decide
from bnstudy.analysis.decay import accuracy, difference, error_split
from bnstudy.analysis.statistics import Interval, mean_interval, student_t_quantile


@given(st.floats(0.6, 0.9999), st.integers(1, 60))
def test_student_quantile_is_scipys(probability, freedom):
    assert student_t_quantile(probability, freedom) == pytest.approx(
        stats.t.ppf(probability, freedom), rel=1e-8
    )


def test_interval_covers_as_it_says():
    rng = np.random.default_rng(0)
    covered = [i.low <= 0 <= i.high for i in (mean_interval(v) for v in rng.normal(size=(4000, 5)))]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)


def test_one_value_has_no_interval_and_none_is_an_error():
    assert np.isnan(mean_interval([0.5]).low)
    with pytest.raises(ValueError, match="values is empty"):
        mean_interval([])


def test_texts():
    effect = Interval(-0.013, -0.02, -0.006, 5)
    assert effect.percent(signed=True) == "-1.3 percentage points [-2.0, -0.6]"
    assert Interval(0.713, 0.7, 0.726, 5).percent() == "71.3 % [70.0, 72.6]"


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [
        (0.006, 0.02, "supported"),
        (0.004, 0.02, "open"),
        (-0.02, 0.004, "refuted"),
        (-0.02, -0.01, "refuted"),
        (float("nan"), float("nan"), "open"),
    ],
)
def test_rule(low, high, answer):
    assert decide(Interval((low + high) / 2, low, high, 5)) == answer


def table(seeds=4):
    rng = np.random.default_rng(1)
    rows = []
    for schedule in ("constant", "annealed"):
        for seed in range(seeds):
            for split in ("test", "train"):
                kinds = [("batch", None, None), ("precise", None, None)]
                for decay in (0.9, 0.999):
                    kinds += [("moving", decay, "none"), ("moving", decay, "both"), ("frozen", decay, "both")]
                for statistics, decay, debias in kinds:
                    base = {"batch": 0.6, "precise": 0.7, "frozen": 0.69}.get(statistics, 0.65)
                    base -= 0.2 if decay == 0.999 and debias == "none" else 0
                    rows.append(
                        {
                            "schedule": schedule,
                            "seed": seed,
                            "step": 10,
                            "split": split,
                            "statistics": statistics,
                        }
                        | {"decay": decay, "zero_debias": debias, "accuracy": base + rng.normal(0, 1e-3)}
                    )
    return pd.DataFrame(rows)


def test_the_parts_add_up_to_the_whole():
    evaluation = table()
    parts = error_split(evaluation).groupby(["schedule", "seed", "step", "decay"])["loss_of_accuracy"].sum()
    for decay in (0.9, 0.999):
        plain = {"statistics": "moving", "zero_debias": "none", "decay": decay}
        whole = difference(evaluation, {"statistics": "precise"}, plain)
        np.testing.assert_allclose(
            parts.xs(decay, level="decay").sort_index(), whole.sort_index(), atol=1e-12
        )


def test_verdicts_follow_the_records():
    evaluation = table()
    assert c6_smoothing_helps(evaluation).answer == "supported"  # 0.65 against 0.6
    assert c7_large_decay_overfits(evaluation).answer == "refuted"  # lower, but on both splits
    worse = evaluation.copy()
    worse.loc[(worse["decay"] == 0.999) & (worse["split"] == "train"), "accuracy"] += 0.3
    assert c7_large_decay_overfits(worse).answer == "supported"
    worse.loc[worse["statistics"] == "batch", "accuracy"] += 0.2
    assert c6_smoothing_helps(worse).answer == "refuted"


def test_an_ambiguous_selection_is_an_error():
    with pytest.raises(ValueError, match="ambiguous"):
        accuracy(table(), statistics="moving", decay=0.9)
