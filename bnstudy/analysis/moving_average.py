"""What an exponential moving average remembers: for how long, how much of its start, of how many batches.

Of ``average = decay * average + (1 - decay) * value``, which after t updates holds the value of k updates ago
with weight ``(1 - decay) * decay**k`` and its initial value with weight ``decay**t``. PyTorch's momentum is
``1 - decay``. ``book/_static/moving_average.js`` has the same formulas; a test compares the two.
"""

from __future__ import annotations

import math

# Below this product of steps and rate the closed form of the age cancels, and its series is exact enough.
_SHORT = 0.01


def half_life(decay: float) -> float:
    """Return after how many updates a value's weight has halved: ``ln(1/2) / ln(decay)``; 0 for decay 0.

    Raises:
        ValueError: decay isn't from 0 to below 1.
    """
    _check(decay)
    return math.log(2) / _rate(decay)


def initial_weight(decay: float, steps: int) -> float:
    """Return the weight that the initial value still has after so many updates: ``decay**steps``.

    Raises:
        ValueError: decay isn't from 0 to below 1, or steps is below 1.
    """
    _check(decay, steps)
    return math.exp(-steps * _rate(decay))


def mean_age(decay: float, steps: int) -> float:
    """Return how many updates ago, on average, the average's values came in, by their weights.

    The newest has age 0, and the initial value doesn't count:
    ``sum(k * decay**k) / sum(decay**k)`` over k = 0, ..., steps - 1, which nears ``decay / (1 - decay)``.

    Raises:
        ValueError: as ``initial_weight``.
    """
    _check(decay, steps)
    rate = _rate(decay)
    if steps * rate < _SHORT:
        # x / (e^x - 1) = 1 - x/2 + x^2/12 - x^4/720 + ... (Abramowitz & Stegun 23.1.1)
        return (steps - 1) / 2 - (steps**2 - 1) * rate / 12 + (steps**4 - 1) * rate**3 / 720
    return _over_expm1(1, rate) - _over_expm1(steps, steps * rate)


def equal_batches(decay: float, steps: int) -> float:
    """Return how many batches, weighted alike, scatter as little as the average does.

    ``sum(w)**2 / sum(w**2)`` of the weights, the initial value's left out: Kish's effective sample size. It
    nears ``(1 + decay) / (1 - decay)``.

    Raises:
        ValueError: as ``initial_weight``.
    """
    _check(decay, steps)
    rate = _rate(decay)
    return math.tanh(steps * rate / 2) / math.tanh(rate / 2)


def forgetting_decay(steps: int, left: float) -> float:
    """Return the decay that leaves the initial value so much weight after so many updates.

    Any larger decay leaves more: it is ``left ** (1 / steps)``.

    Raises:
        ValueError: steps is below 1, or left isn't between 0 and 1.
    """
    if not 0.0 < left < 1.0:
        raise ValueError(f"left is {left}; allowed: a number between 0 and 1")
    _check(0.0, steps)
    return math.exp(math.log(left) / steps)


def _check(decay: float, steps: int = 1) -> None:
    if not 0.0 <= decay < 1.0:
        raise ValueError(f"decay is {decay}; allowed: a number from 0 to below 1")
    if steps < 1:
        raise ValueError(f"steps is {steps}; allowed: a whole number of at least 1")


def _rate(decay: float) -> float:
    """Return ``-ln(decay)``, from one minus the decay where that is exact."""
    if decay == 0.0:
        return math.inf
    return -math.log(decay) if decay < 0.5 else -math.log1p(decay - 1.0)


def _over_expm1(numerator: float, x: float) -> float:
    return 0.0 if x > 700 else numerator / math.expm1(x)
