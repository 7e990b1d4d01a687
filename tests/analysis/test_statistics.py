"""Intervals, tests, effect sizes, and the split of the evaluation error."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from bnstudy.analysis.statistics import (
    Interval,
    hedges_g,
    holm,
    mean_interval,
    p_value,
    student_t_quantile,
)
from bnstudy.chapters.decay.rules import accuracy, difference, error_split


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
    assert Interval(-0.0001, -0.0004, 0.01, 5).percent(signed=True) == "0.0 percentage points [0.0, +1.0]"
    assert Interval(0.713, 0.7, 0.726, 5).percent() == "71.3 % [70.0, 72.6]"


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=12), st.floats(-3, 3))
def test_p_value_is_scipys(values, mean):
    values = [round(v, 3) for v in values]
    assume(max(values) > min(values))
    expected = stats.ttest_1samp(values, round(mean, 2)).pvalue
    assert p_value(values, round(mean, 2)) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_p_value_without_spread():
    assert p_value([0.2, 0.2, 0.2], 0.2) == 1.0
    assert p_value([0.1, 0.1, 0.1]) == 0.0
    assert p_value([0.1]) == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.2))
def test_holm_rejects_what_its_definition_rejects(p_values, alpha):
    ordered = sorted(p_values)
    # Step down: reject while p_(k) <= alpha / (m - k + 1), stop at the first that isn't.
    passed = [p * (len(ordered) - k) <= alpha for k, p in enumerate(ordered)]
    rejected = passed.index(False) if False in passed else len(ordered)
    assert sum(p <= alpha for p in holm(p_values)) == rejected


def test_holm_on_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_effect_size():
    rng = np.random.default_rng(5)
    draws = [hedges_g(v) for v in rng.normal(0.8, 1.0, size=(20000, 6))]
    assert np.mean(draws) == pytest.approx(0.8, abs=0.03)  # without the correction: about 0.96
    assert np.isnan(hedges_g([0.1, 0.2]))
    assert hedges_g([-0.1] * 4) == -np.inf


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


def test_an_ambiguous_selection_is_an_error():
    with pytest.raises(ValueError, match="ambiguous"):
        accuracy(table(), statistics="moving", decay=0.9)
