"""The interval of the second round, against scipy, brute force and made-up populations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bnstudy.analysis.procedure import (
    ALPHA,
    Component,
    Outcomes,
    Sample,
    interval,
    level_of,
    sign_test_interval,
)

FAMILY = 28


def one(values, **cut) -> Sample:
    return Sample((Component(np.asarray(values, dtype=float), **cut),))


def crossed(random, n, count, seeds, images, both):
    """Values of n seeds on so many images, with effects of both, and of each pair."""
    return (
        seeds * random.normal(size=(n, 1))
        + images * random.normal(size=(1, count))
        + both * random.normal(size=(n, count))
    )


@pytest.mark.parametrize("n", [3, 12, 24])
def test_without_images_it_is_students(n):
    values = np.random.default_rng(n).normal(0.3, 2.0, n)
    found = interval(one(values), FAMILY)
    expected = stats.ttest_1samp(values, 0).confidence_interval(1 - ALPHA / FAMILY)
    assert (found.mean, found.low, found.high) == pytest.approx((values.mean(), *expected))
    assert found.count == n
    assert found.level == level_of(FAMILY)


def test_variance_of_crossed_samples_is_unbiased():
    random = np.random.default_rng(0)
    n, count, sizes = 6, 30, (0.2, 0.7, 1.5)
    halves, means = [], []
    for _ in range(1500):
        found = interval(Sample((Component.of_images(crossed(random, n, count, *sizes)),)), 1)
        means.append(found.mean)
        halves.append(found.high - found.mean)
    true = sizes[0] ** 2 / n + sizes[1] ** 2 / count + sizes[2] ** 2 / (n * count)
    assert np.var(means) == pytest.approx(true, rel=0.12)
    # Against the truth, and against what it would be if either sample were forgotten.
    missed = np.mean(np.abs(means) > halves)
    assert missed < 1.8 * ALPHA
    assert true > 1.5 * (sizes[0] ** 2 / n + sizes[2] ** 2 / (n * count))


def test_the_images_share_is_that_of_the_anova_table():
    table = crossed(np.random.default_rng(1), 8, 50, 0.1, 1.0, 0.5)
    found = interval(Sample((Component.of_images(table),)), FAMILY)
    n, count = table.shape
    grand = table.mean()
    between_seeds = count * ((table.mean(1) - grand) ** 2).sum() / (n - 1)
    between_images = n * ((table.mean(0) - grand) ** 2).sum() / (count - 1)
    residuals = table - table.mean(1, keepdims=True) - table.mean(0, keepdims=True) + grand
    rest = (residuals**2).sum() / ((n - 1) * (count - 1))
    total = n * count
    variance = (between_seeds + between_images - rest) / total
    squares = ((between_seeds, n - 1), (between_images, count - 1), (rest, (n - 1) * (count - 1)))
    freedom = variance**2 / sum((square / total) ** 2 / df for square, df in squares)
    half = stats.t.ppf(1 - ALPHA / FAMILY / 2, freedom) * math.sqrt(variance)
    assert found.high - found.mean == pytest.approx(half)


def test_images_without_an_effect_of_their_own_add_nothing():
    table = np.random.default_rng(3).normal(size=(5, 40))
    table -= table.mean(axis=0)  # all images have the same mean
    with_images = interval(Sample((Component.of_images(table),)), FAMILY)
    without = interval(one(table.mean(axis=1)), FAMILY)
    assert with_images.high == pytest.approx(without.high)


def test_components_add_up():
    random = np.random.default_rng(2)
    first, second = random.normal(1, 0.2, 16), random.normal(-0.3, 0.1, 12)
    found = interval(Sample((Component(first), Component(second))), FAMILY)
    welch = stats.ttest_ind(first, -second, equal_var=False).confidence_interval(1 - ALPHA / FAMILY)
    assert (found.low, found.high) == pytest.approx((welch.low, welch.high))


@pytest.mark.parametrize(("yes", "of"), [(0, 12), (3, 12), (16, 16)])
def test_outcomes_have_the_exact_binomial_interval(yes, of):
    found = interval(Outcomes(yes, of), FAMILY)
    expected = stats.binomtest(yes, of).proportion_ci(1 - ALPHA / FAMILY, method="exact")
    assert (found.mean, found.low, found.high) == pytest.approx((yes / of, expected.low, expected.high))


@given(st.integers(2, 40), st.sampled_from([0.9, 0.95, level_of(FAMILY)]), st.integers(0, 99))
def test_the_sign_tests_interval_is_that_of_all_its_tests(n, level, seed):
    values = np.sort(np.random.default_rng(seed).normal(size=n))
    low, high = sign_test_interval(values, level)
    # Every median strictly between two values is rejected, or it lies inside.
    edges = [values[0] - 1, *values, values[-1] + 1]
    for a, b in itertools.pairwise(edges):
        median = (a + b) / 2
        p = stats.binomtest(int((values > median).sum()), n).pvalue
        assert (p > 1 - level) == (low < median < high)


def test_equal_seeds_decide_only_if_they_are_many_and_never_a_bound_that_they_equal():
    for n in range(2, 25):
        found = interval(one(np.full(n, 0.1)), FAMILY)
        if 2.0 ** (1 - n) <= ALPHA / FAMILY:
            assert (found.low, found.mean, found.high) == (0.1, 0.1, 0.1)
        else:
            assert (found.low, found.high) == (-math.inf, math.inf)
    # A sum's rounding is no spread.
    rounding = interval(one([0.1 + 0.2, 0.3] * 8), FAMILY)
    assert rounding.high - rounding.low < 1e-12


def test_two_values_do_not_pass_for_a_normal_sample():
    """Nearly equal seeds, by chance: Student's interval would miss the mean of the coin that they are."""
    values = np.array([1.0] * 14 + [-1.0] * 2)
    student = stats.ttest_1samp(values, 0).confidence_interval(1 - ALPHA / FAMILY)
    found = interval(one(values), FAMILY)
    assert student.low > -0.2
    assert (found.low, found.high) == (-1.0, 1.0)


def test_what_was_cut_off_leaves_the_interval_open():
    values = [1.0, 1.2, 0.9, 1.1, 1.3]
    plain = interval(one(values), FAMILY)
    at_least = interval(one(values, at_least=True), FAMILY)
    at_most = interval(one(values, at_most=True), FAMILY)
    assert (at_least.low, at_least.high) == (plain.low, math.inf)
    assert (at_most.low, at_most.high) == (-math.inf, plain.high)


@pytest.mark.parametrize("values", [[1.0], [1.0, math.nan, 2.0], [1.0, math.inf, 2.0]])
def test_what_is_undefined_decides_nothing(values):
    found = interval(one(values), FAMILY)
    assert (found.low, found.high) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: level_of(0), "quantities is 0; allowed"),
        (lambda: interval(Outcomes(3, 2), 1), "yes is 3 of 2; allowed"),
        (lambda: interval(Sample((Component.of_images(np.ones((3, 1))),)), 1), "has 1; allowed: at least 2"),
    ],
)
def test_nonsense_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
