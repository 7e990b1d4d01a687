"""The studentised bootstrap: against brute force, and how often it covers what it says."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bnstudy.analysis.statistics import bootstrap_interval, mean_interval


def brute_force(values: np.ndarray, level: float) -> tuple[float, float]:
    """Every ordered resample on its own, with numpy's inverted-CDF quantile."""
    n = len(values)
    resamples = values[np.array(list(product(range(n), repeat=n)))]
    spread = resamples.std(axis=1, ddof=1)
    kept = np.ptp(resamples, axis=1) > 0
    t = (resamples.mean(axis=1) - values.mean())[kept] / (spread[kept] / np.sqrt(n))
    high, low = np.quantile(t, [(1 + level) / 2, (1 - level) / 2], method="inverted_cdf")
    error = values.std(ddof=1) / np.sqrt(n)
    return values.mean() - high * error, values.mean() - low * error


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_it_is_the_quantile_over_every_resample(level):
    rng = np.random.default_rng(3)
    for values in rng.exponential(size=(10, 5)):
        interval = bootstrap_interval(values, level)
        assert (interval.low, interval.high) == pytest.approx(brute_force(values, level), rel=1e-9)


def test_drawn_resamples_come_close_to_all_of_them(monkeypatch):
    values = np.random.default_rng(4).exponential(size=7)
    exact = bootstrap_interval(values)
    monkeypatch.setattr("bnstudy.analysis.statistics.ENUMERATED", 6)
    from bnstudy.analysis.statistics import _resamples

    _resamples.cache_clear()
    drawn = bootstrap_interval(values)
    _resamples.cache_clear()
    assert drawn.low == pytest.approx(exact.low, rel=0.05)
    assert drawn.high == pytest.approx(exact.high, rel=0.05)


@given(
    arrays(np.float64, st.integers(5, 9), elements=st.floats(-10, 10, width=32)),
    st.sampled_from([0.25, 1.0, 8.0]),
    st.sampled_from([-4.0, 0.0, 3.0]),
)
def test_it_follows_a_change_of_unit_and_of_origin(values, unit, origin):
    values = np.round(values, 3)
    plain, moved = bootstrap_interval(values), bootstrap_interval(values * unit + origin)
    scale = np.ptp(values) + 1
    assert moved.mean == pytest.approx(plain.mean * unit + origin, abs=1e-9)
    if len(np.unique(values)) == len(values):
        assert moved.low == pytest.approx(plain.low * unit + origin, rel=1e-5, abs=1e-6 * scale * unit)
        assert moved.high == pytest.approx(plain.high * unit + origin, rel=1e-5, abs=1e-6 * scale * unit)


def test_few_values_and_equal_values_get_students_interval():
    assert bootstrap_interval([0.1, 0.2, 0.4]) == mean_interval([0.1, 0.2, 0.4])
    assert bootstrap_interval([0.3] * 5) == mean_interval([0.3] * 5)


def test_differences_equal_but_for_rounding_count_as_ties():
    first = np.array([0.7012, 0.7034, 0.7101, 0.7055, 0.7079])
    second = np.array([0.6999, 0.7021, 0.7088, 0.7042, 0.7061])
    # Four differences of 13 and one of 18, in units of 1/10,000.
    values = first - second
    assert len(np.unique(values)) > 2  # rounding does keep them apart
    assert bootstrap_interval(values) == mean_interval(values)
    assert bootstrap_interval([2.0, 2.0, 2.0, 2.0, 1.0]) == mean_interval([2.0, 2.0, 2.0, 2.0, 1.0])


def test_a_single_tie_keeps_the_bootstrap():
    values = np.array([1.0, 1.0, 2.0, 4.0, 7.0])
    interval = bootstrap_interval(values)
    assert (interval.low, interval.high) == pytest.approx(brute_force(values, 0.95), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("count", [5, 10])
@pytest.mark.parametrize("shape", ["normal", "uniform", "exponential", "standard_t"])
def test_it_covers_as_it_says_for_every_shape(shape, count):
    rng = np.random.default_rng(0)
    arguments = {"df": 3} if shape == "standard_t" else {}
    truth = {"exponential": 1.0, "uniform": 0.5}.get(shape, 0.0)
    samples = getattr(rng, shape)(size=(1000, count), **arguments)
    covered = [i.low <= truth <= i.high for i in map(bootstrap_interval, samples)]
    # 1,000 samples know a coverage of 0.95 to within 0.014 (two standard errors).
    assert 0.92 <= np.mean(covered) <= 0.98


@pytest.mark.slow
def test_where_students_interval_falls_short_it_does_not():
    samples = np.random.default_rng(1).exponential(size=(2000, 5))
    student = np.mean([i.low <= 1 <= i.high for i in map(mean_interval, samples)])
    studentised = np.mean([i.low <= 1 <= i.high for i in map(bootstrap_interval, samples)])
    assert student < 0.90 < 0.915 < studentised
