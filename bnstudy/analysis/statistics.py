"""Intervals, tests and effect sizes for a mean over few paired seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from itertools import combinations_with_replacement
from typing import Literal

import numpy as np
import numpy.typing as npt

# A bootstrap of fewer values has too few different resamples: with three, an interval that says 0.95 covers
# about 0.8.
FEWEST = 5
# Up to here every resample is enumerated, so that no chance is left in the interval.
ENUMERATED = 7
RESAMPLES = 20_000

Array = npt.NDArray[np.float64]
# How a value is written: "points" and "percent" are shares, "share" one of yes and no, "factor" a binary
# logarithm.
Scale = Literal["points", "percent", "share", "factor", "number"]
Method = Literal["", "Student's t", "bootstrap-t"]


@dataclass(frozen=True)
class Interval:
    """A mean and the interval that covers the true mean at ``level`` (``nan`` bounds for one value).

    What it was made of goes with it and is no part of what it is: two intervals of the same ends are equal.
    ``values`` are what was averaged, with their ``seeds`` if they came by seed, and ``method`` is whose
    interval it is; empty where nobody said.
    """

    mean: float
    low: float
    high: float
    count: int
    level: float = 0.95
    values: tuple[float, ...] = field(default=(), compare=False, repr=False)
    seeds: tuple[int, ...] = field(default=(), compare=False, repr=False)
    method: Method = field(default="", compare=False, repr=False)

    def percent(self, signed: bool = False) -> Amount:
        """Return ``"71.6 % [71.2, 72.0]"``, or in percentage points with a sign."""
        unit = " percentage points" if signed else " %"
        text = f"{_hundredfold(self.mean, signed)}{unit} {self.bounds(signed)}"
        return Amount.of(text, self, "points" if signed else "percent")

    def plain(self, digits: int = 1) -> Amount:
        """Return the mean and its bounds as they are: ``"71.6 [71.2, 72.0]"``."""
        text = f"{self.mean:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"
        return Amount.of(text, self, "number")

    def bounds(self, signed: bool = False) -> str:
        """Return the bounds in percent: ``"[71.2, 72.0]"``."""
        return f"[{_hundredfold(self.low, signed)}, {_hundredfold(self.high, signed)}]"


class Amount(str):
    """A written number that remembers the interval that it says, so that a page can open it.

    ``formula`` says what it is the mean of, in English and in Chinese; empty where nobody said.
    """

    __slots__ = ("formula", "interval", "scale")
    interval: Interval
    scale: Scale
    formula: tuple[str, str]

    @classmethod
    def of(cls, text: str, interval: Interval, scale: Scale, formula: tuple[str, str] = ("", "")) -> Amount:
        """Return ``text``, which says ``interval`` in ``scale``."""
        made = cls(text)
        made.interval, made.scale, made.formula = interval, scale, formula
        return made


def _hundredfold(value: float, signed: bool) -> str:
    # Adding zero turns a rounded -0.0 into 0.0.
    rounded = round(value * 100, 1) + 0.0
    return f"{rounded:+.1f}" if signed and rounded else f"{rounded:.1f}"


def mean_interval(values: Iterable[float], level: float = 0.95) -> Interval:
    """Return the mean of independent values with Student's t interval (Student 1908).

    It covers ``level`` for normal values, and less for skewed ones: about 0.88 for five exponential
    values where it says 0.95. The bands of figures and the tables of single arms use it; what decides a
    claim is also asked of ``bootstrap_interval``.
    """
    data, mean, error = _mean_and_error(values)
    half = math.nan if math.isnan(error) else student_t_quantile((1 + level) / 2, len(data) - 1) * error
    return Interval(
        mean, mean - half, mean + half, len(data), level, tuple(data), seeds_of(values), "Student's t"
    )


def share_interval(yes: int, of: int, level: float = 0.95) -> Interval:
    """Return the share of yes among so many answers, with its exact interval (Clopper & Pearson 1934).

    Raises:
        ValueError: more answers are yes than there are, or there is none.
    """
    from scipy.special import betaincinv

    if not 0 <= yes <= of or of < 1:
        raise ValueError(f"yes is {yes} of {of}; allowed: 0 to the number of answers, which is at least 1")
    tail = (1 - level) / 2
    low = float(betaincinv(yes, of - yes + 1, tail)) if yes else 0.0
    high = float(betaincinv(yes + 1, of - yes, 1 - tail)) if yes < of else 1.0
    return Interval(yes / of, low, high, of, level)


def bootstrap_interval(values: Iterable[float], level: float = 0.95) -> Interval:
    """Return the mean of independent values with its studentised bootstrap interval (bootstrap-t).

    Of the bootstrap's intervals this is the one that holds for five values: in simulations
    (``tests/analysis/test_bootstrap.py``) it covers 0.93 to 0.97 where it says 0.95, for normal, uniform,
    heavy-tailed and skewed values alike. The percentile and BCa intervals cover about 0.83 for five normal
    values. The price is width: in the median, a third more than Student's interval.

    Up to seven values every resample is enumerated with its multiplicity; beyond, 20,000 are drawn from a
    generator with a fixed seed. Fewer than five values get Student's interval, and so do values with so
    many ties that resamples without a spread are likelier than what one side leaves out.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), section 12.5.
    """
    student = mean_interval(values, level)
    data = np.array(student.values)
    n = len(data)
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
    return replace(student, low=low, high=high, method="bootstrap-t")


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


def p_value(values: Iterable[float], mean: float = 0.0) -> float:
    """Return the two-sided p-value of Student's t test that the true mean is ``mean``.

    One value tests nothing and gives 1. Values without any spread give 0, or 1 if they equal ``mean``.
    """
    data, observed, error = _mean_and_error(values)
    if math.isnan(error):
        return 1.0
    if error == 0.0:
        return 1.0 if observed == mean else 0.0
    return 2 * (1 - student_t_cdf(abs(observed - mean) / error, len(data) - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for their number, in the same order (Holm 1979).

    Rejecting those at most alpha keeps the chance of any false rejection at alpha, however the tests depend
    on one another.
    """
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = running
    return adjusted


def hedges_g(values: Iterable[float]) -> float:
    """Return the mean of paired differences over their standard deviation, less its bias (Hedges 1981).

    The correction is 1 - 3 / (4 (n - 1) - 1). ``nan`` for fewer than three differences; infinite, with the
    mean's sign, for differences without spread.
    """
    data, mean, error = _mean_and_error(values)
    if len(data) < 3:
        return math.nan
    if error == 0.0:
        return math.copysign(math.inf, mean) if mean else 0.0
    return mean / (error * math.sqrt(len(data))) * (1 - 3 / (4 * (len(data) - 1) - 1))


def seeds_of(values: object) -> tuple[int, ...]:
    """Return the seeds by which a series is indexed, among other things; none of anything else."""
    # By its looks, so that numbers alone need no pandas.
    index = getattr(values, "index", None)
    if "seed" not in getattr(index, "names", ()):
        return ()
    return tuple(int(seed) for seed in index.get_level_values("seed"))  # type: ignore[union-attr]


def _mean_and_error(values: Iterable[float]) -> tuple[list[float], float, float]:
    """Return the values, their mean and its standard error (``nan`` for one value)."""
    data = [float(v) for v in values]
    n = len(data)
    if n == 0:
        raise ValueError("values is empty; allowed: at least one value")
    if min(data) == max(data):
        # The rounding of a sum must not pass for a spread.
        return data, data[0], 0.0 if n > 1 else math.nan
    mean = math.fsum(data) / n
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in data) / (n - 1))
    return data, mean, spread / math.sqrt(n)


@lru_cache(maxsize=64)
def student_t_quantile(probability: float, freedom: int) -> float:
    """Return the quantile of Student's t for whole degrees of freedom, by bisection of its closed form."""
    if not 0.5 <= probability < 1.0:
        raise ValueError(f"probability is {probability}; allowed: 0.5 to below 1")
    if freedom < 1:
        raise ValueError(f"freedom is {freedom}; allowed: a whole number of at least 1")
    low, high = 0.0, 1.0
    while student_t_cdf(high, freedom) < probability:
        high *= 2
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if student_t_cdf(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def student_t_cdf(t: float, freedom: int) -> float:
    """Return P(T <= t) for t >= 0 (Abramowitz & Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2 == 1
    term = cosine if odd else 1.0
    total = term if freedom > 1 or not odd else 0.0
    for k in range(3 if odd else 2, freedom - 1, 2):
        term *= cosine**2 * ((k - 1) / k)
        total += term
    inside = (2 / math.pi) * (angle + sine * total) if odd else sine * total
    return 0.5 + inside / 2
