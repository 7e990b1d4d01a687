"""What a moving average remembers, against the weights written out, and against the package's averages."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bnstudy.analysis import moving_average as ma
from bnstudy.norm.ema import moved

DECAYS = st.one_of(st.floats(0.0, 0.999), st.floats(-12, -1).map(lambda x: 1 - 10**x))
STEPS = st.integers(1, 400)


def weights(decay, steps):
    """By age, the weights of the values that an average has absorbed."""
    return [(1 - decay) * decay**age for age in range(steps)]


@given(DECAYS, STEPS)
def test_formulas_are_those_of_the_weights(decay, steps):
    w = weights(decay, steps)
    assert ma.initial_weight(decay, steps) == pytest.approx(decay**steps, rel=1e-9, abs=1e-30)
    age = math.fsum(a * x for a, x in enumerate(w)) / math.fsum(w)
    assert ma.mean_age(decay, steps) == pytest.approx(age, rel=1e-8, abs=1e-12)
    alike = math.fsum(w) ** 2 / math.fsum(x * x for x in w)
    assert ma.equal_batches(decay, steps) == pytest.approx(alike, rel=1e-9)


@given(st.floats(0.01, 0.9999))
def test_a_half_life_halves(decay):
    assert decay ** ma.half_life(decay) == pytest.approx(0.5)


@given(st.integers(1, 100_000), st.floats(0.001, 0.5))
def test_the_forgetting_decay_leaves_what_it_says_and_a_larger_one_more(steps, left):
    decay = ma.forgetting_decay(steps, left)
    assert ma.initial_weight(decay, steps) == pytest.approx(left, rel=1e-6)
    assert ma.initial_weight(decay + (1 - decay) / 2, steps) > left


@given(DECAYS, st.integers(1, 60))
def test_the_package_s_average_keeps_that_much_of_its_initial_value(decay, steps):
    average = torch.ones((), dtype=torch.float64)
    for _ in range(steps):
        average = moved(average, torch.zeros_like(average), decay)
    assert float(average) == pytest.approx(ma.initial_weight(decay, steps), rel=1e-9, abs=1e-30)


def test_the_ends():
    assert ma.half_life(0.0) == ma.mean_age(0.0, 5) == 0.0
    assert ma.equal_batches(0.0, 5) == 1.0
    assert ma.mean_age(0.9, 10**6) == pytest.approx(9.0)
    assert ma.equal_batches(0.9, 10**6) == pytest.approx(19.0)
    assert ma.mean_age(1 - 1e-12, 11) == pytest.approx(5.0)


@pytest.mark.parametrize("decay", [-0.1, 1.0, 1.5, math.nan, math.inf])
def test_a_bad_decay_is_refused(decay):
    for call in (ma.half_life, lambda d: ma.mean_age(d, 3), lambda d: ma.equal_batches(d, 3)):
        with pytest.raises(ValueError, match=r"decay is .*; allowed: a number from 0 to below 1"):
            call(decay)


def test_bad_steps_and_shares_are_refused():
    with pytest.raises(ValueError, match="steps is 0; allowed: a whole number of at least 1"):
        ma.initial_weight(0.9, 0)
    with pytest.raises(ValueError, match=r"left is 1\.0; allowed: a number between 0 and 1"):
        ma.forgetting_decay(10, 1.0)
