"""The studentised bootstrap of a mean, over every resample where they can be counted."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt

from bnstudy.analysis.statistics import Interval, mean_interval

# Fewer values hold too few different resamples: with three, an interval that says 0.95 covers about 0.8.
FEWEST = 5
# Up to here every resample is enumerated, so that no chance is left in the interval.
ENUMERATED = 7
RESAMPLES = 20_000

Array = npt.NDArray[np.float64]


def bootstrap_interval(values: Iterable[float], level: float = 0.95) -> Interval:
    """Return the mean of independent values with its studentised bootstrap interval (bootstrap-t).

    Of the bootstrap's intervals this is the one that holds for five values: in simulations
    (``tests/test_analysis_bootstrap.py``) it covers 0.93 to 0.97 where it says 0.95, for normal, uniform,
    heavy-tailed and skewed values alike. The percentile and BCa intervals cover about 0.83 for five normal
    values. The price is width: in the median, a third more than Student's interval.

    Up to seven values every resample is enumerated with its multiplicity; beyond, 20,000 are drawn from a
    generator with a fixed seed. Fewer than five values get Student's interval, and so do values with so
    many ties that resamples without a spread are likelier than what one side leaves out.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), section 12.5.
    """
    data = np.array([float(v) for v in values])
    n = len(data)
    student = mean_interval(data, level)
    if n < FEWEST or np.ptp(data) == 0:
        return student
    deviations = data - data.mean()
    error = deviations.std(ddof=1) / math.sqrt(n)
    counts, weights = _resamples(n)
    means = counts @ deviations / n
    variances = np.maximum(counts @ deviations**2 - n * means**2, 0) / (n - 1)
    # A resample of equal values has no spread to studentise by, but for rounding.
    spread = variances > 1e-12 * float(deviations @ deviations) / n
    if weights[~spread].sum() > (1 - level) / 2:
        return student
    t = means[spread] / np.sqrt(variances[spread] / n)
    upper, lower = (_quantile(t, weights[spread], q) for q in ((1 + level) / 2, (1 - level) / 2))
    low, high = (float(student.mean - edge * error) for edge in (upper, lower))
    return Interval(student.mean, low, high, n, level)


@cache
def _resamples(n: int) -> tuple[Array, Array]:
    """Return how often each of ``n`` values is in each resample, and how likely each resample is."""
    if n > ENUMERATED:
        drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
        return drawn.astype(np.float64), np.full(RESAMPLES, 1 / RESAMPLES)
    counts = [np.bincount(c, minlength=n) for c in combinations_with_replacement(range(n), n)]
    ways = [math.factorial(n) // math.prod(math.factorial(k) for k in count) for count in counts]
    return np.array(counts, dtype=np.float64), np.array(ways) / n**n


def _quantile(values: Array, weights: Array, probability: float) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    # Rounding must not skip a value that just reaches it.
    at = int(np.searchsorted(reached, probability - 1e-9))
    return float(values[order][min(at, len(values) - 1)])
