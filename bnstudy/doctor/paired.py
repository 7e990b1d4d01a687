"""Paired comparisons over images: an effect, its 95 % interval, and whether it matters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Verdict = Literal["harm", "no harm", "can't tell"]

Z = 1.959964  # of a 95 % interval
RESAMPLES = 2000
# Student's two-sided 95 % quantiles, from 1 degree of freedom.
STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093),
)


@dataclass(frozen=True)
class Effect:
    """A mean difference over pairs, what is lost above 0; with its 95 % interval and the smallest effect."""

    value: float
    low: float
    high: float
    pairs: int
    smallest: float
    p: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Return "harm" where the interval lies above the smallest effect, "no harm" where it lies below."""
        if self.low > self.smallest:
            return "harm"
        return "no harm" if self.high <= self.smallest else "can't tell"

    @property
    def pairs_needed(self) -> int:
        """Return about how many pairs would tell, were the effect as it looks."""
        distance = abs(self.value - self.smallest)
        if distance == 0:
            return 10**9
        half = (self.high - self.low) / 2
        if not math.isfinite(half):
            return self.pairs + 1
        return max(self.pairs + 1, min(math.ceil(self.pairs * (half / distance) ** 2), 10**9))


def lost(better: Values, worse: Values, smallest: float) -> Effect:
    """Return the mean of ``better - worse`` over pairs [n] of accuracies, 0 to 1.

    Of single images, right or wrong: Bonett & Price's (2012) interval for paired proportions, and McNemar's
    exact test. Of fractions (several answers an image): the bootstrap over images.
    """
    if not set(np.unique(np.concatenate([better, worse]))) <= {0.0, 1.0}:
        return _bootstrap(better - worse, smallest)
    n = len(better)
    won = int(((better == 1) & (worse == 0)).sum())
    lost_ = int(((better == 0) & (worse == 1)).sum())
    p_won, p_lost = (won + 1) / (n + 2), (lost_ + 1) / (n + 2)
    centre = p_won - p_lost
    half = Z * math.sqrt(max(p_won + p_lost - centre**2, 0.0) / (n + 2))
    low, high = max(centre - half, -1.0), min(centre + half, 1.0)
    return Effect((won - lost_) / n, low, high, n, smallest, mcnemar(won, lost_))


def mcnemar(won: int, lost_: int) -> float:
    """Return the exact two-sided p of McNemar's test, from the pairs that differ."""
    n, k = won + lost_, min(won, lost_)
    if n == 0:
        return 1.0
    logs = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(k + 1)]
    tail = sum(math.exp(value - n * math.log(2)) for value in logs)
    return min(1.0, 2 * tail)


def risen(worse: Values, better: Values, smallest: float) -> Effect:
    """Return the mean of ``worse - better`` over pairs [n] of losses, by the bootstrap over pairs."""
    return _bootstrap(worse - better, smallest)


def _bootstrap(differences: Values, smallest: float) -> Effect:
    """Return the mean and its percentile interval; Student's of few pairs, which it would make too narrow."""
    n = len(differences)
    if n <= len(STUDENT):
        half = math.inf
        if n >= 2:
            half = STUDENT[n - 2] * float(differences.std(ddof=1)) / math.sqrt(n)
        mean = float(differences.mean())
        return Effect(mean, mean - half, mean + half, n, smallest)
    rng = np.random.default_rng(0)
    rounds = max(1, min(RESAMPLES, 2_000_000 // max(n, 1)))
    means: list[Values] = []
    while sum(map(len, means)) < RESAMPLES:
        means.append(differences[rng.integers(n, size=(rounds, n))].mean(axis=1))
    low, high = np.quantile(np.concatenate(means)[:RESAMPLES], [0.025, 0.975])
    return Effect(float(differences.mean()), float(low), float(high), n, smallest)


def apart(first: Values, second: Values) -> tuple[float, float, float]:
    """Return the difference of two independent samples' means, and its 95 % interval (normal)."""
    value = float(first.mean() - second.mean())
    variance = sum(float(v.var(ddof=1)) / len(v) if len(v) > 1 else math.inf for v in (first, second))
    half = Z * math.sqrt(variance)
    return value, value - half, value + half
