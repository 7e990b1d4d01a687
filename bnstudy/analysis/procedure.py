"""The one procedure of the second round: from a quantity's sample to the interval that decides every
bound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, betaincinv, ndtri, stdtrit

from bnstudy.analysis.statistics import Interval

FloatArray = npt.NDArray[np.float64]

# What all intervals together may miss, for normal values. With skewed ones Student's interval misses more
# often than it says, the more so the smaller the share: at 0.04, with all quantities exactly at their
# bounds, a book of 28 has a false answer in 9 % of studies at a skewness of 1, at 0.0125 in 4 %
# (`bnstudy.analysis.simulate`; 5 % is what it may have). Intervals get a seventh wider by that. Corrections
# for skewness (Hall's transformation) cost the same width and miss more where there is no skew, with 12 to
# 24 seeds.
ALPHA = 0.0125


@dataclass(frozen=True)
class Component:
    """Independent seeds, and the images on which they were compared.

    * ``values``: [seeds], one value a seed.
    * ``images``: for each set of images, [seeds, images], the value on each; where there are any,
      ``values`` is the sum of their means.
    * ``at_least``, ``at_most``: a value was cut off, as a time by the end of training, and stands lower or
      higher than it is. The mean of such values bounds the true one on one side only.
    """

    values: FloatArray
    images: tuple[FloatArray, ...] = ()
    at_least: bool = False
    at_most: bool = False

    @classmethod
    def of_images(cls, *images: FloatArray) -> Component:
        """Return the component whose values are the sums of the images' means."""
        means = np.stack([table.mean(axis=1) for table in images]).sum(axis=0)
        return cls(np.asarray(means, dtype=np.float64), images)


@dataclass(frozen=True)
class Sample:
    """What was measured of a quantity: the sum of independent components, and what was counted on the
    way."""

    components: tuple[Component, ...]
    counted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcomes:
    """A yes or no of each seed: how many said yes, of how many."""

    yes: int
    of: int


class Moments(NamedTuple):
    """A mean, the variance of the mean, and Satterthwaite's sum of that variance's parts.

    ``wobble`` is the sum of ``v ** 2 / freedom`` over the mean squares that the variance is made of. Means
    and variances of independent components add up, and so do these. Numbers, or arrays of many studies.
    """

    mean: FloatArray
    variance: FloatArray
    wobble: FloatArray


def level_of(quantities: int) -> float:
    """Return the level of one interval among ``quantities`` that are to hold together (Bonferroni)."""
    if quantities < 1:
        raise ValueError(f"quantities is {quantities}; allowed: an integer of at least 1")
    return 1 - ALPHA / quantities


def interval(sample: Sample | Outcomes, quantities: int) -> Interval:
    """Return a quantity's estimate, and the interval that decides every bound and grade on it.

    Seeds and images are both samples, crossed: D[s, i] is the value of seed s on image i, with effects of
    seeds, of images, and of both (an interaction, which is all that is left). With n seeds and N images,
    ``s2_S`` the variance of the seeds' means, ``s2_I`` that of the images' means and ``s2_SI`` the
    interaction mean square, the variance of the grand mean is estimated without bias by

        V = s2_S / n + (s2_I - s2_SI / n) / N,

    since s2_S holds the interaction's share already. The second term is left out where it is negative.
    Several sets of images (a contrast of training images with test images) each add their own second term.

    The interval is Student's, with Satterthwaite's degrees of freedom from all three mean squares. With
    10,000 images those of the seeds decide: df = V^2 / ((s2_S / n)^2 / (n - 1)); the others matter for small
    sets. Without images V = s2_S / n and df = n - 1.

    * Outcomes have the exact binomial interval (Clopper & Pearson 1934).
    * Seeds of fewer than three different values are no sample of a distribution with a variance to speak of:
      equal ones have none, and of two values Student's interval misses three times as often as it says.
      They get their median, and the sign test's interval for it, from one order statistic to another, exact
      for any distribution; of too few seeds it is the whole line. So n equal values decide a bound only if
      2^(1 - n) is at most what the interval may miss, and never one that they equal.
    * An interval is open on the side on which a value was cut off, and on both where a value is undefined
      or there is one seed.

    Sources: Student 1908; Satterthwaite 1946; for crossed seeds and images, Searle, Casella & McCulloch,
    Variance Components (1992), chapter 4 (two crossed factors, one observation a cell); for the median,
    David & Nagaraja, Order Statistics (2003), section 7.1.
    """
    level = level_of(quantities)
    if isinstance(sample, Outcomes):
        return _binomial(sample, level)
    components = sample.components
    n = min(len(c.values) for c in components)
    mean = math.fsum(_middle(c.values) for c in components)
    if not all(len(c.values) > 1 and np.isfinite(c.values).all() for c in components):
        return Interval(mean, -math.inf, math.inf, n, level)
    ordinary = [c for c in components if not few_values(c.values)]
    tied = [c for c in components if few_values(c.values)]
    parts = [moments(c) for c in ordinary] + [_images_alone(c) for c in tied]
    total = Moments(*(np.sum(column, axis=0) for column in zip(*parts, strict=True)))
    half = float(half_widths(total, level))
    ends = [sign_test_interval(c.values, level) for c in tied]
    low = float(total.mean) - half + math.fsum(low for low, _ in ends)
    high = float(total.mean) + half + math.fsum(high for _, high in ends)
    if any(c.at_most for c in components):
        low = -math.inf
    if any(c.at_least for c in components):
        high = math.inf
    return Interval(mean, low, high, n, level)


def moments(component: Component) -> Moments:
    """Return the mean of a component of two seeds or more, the variance of that mean and its uncertainty."""
    values, n = component.values, len(component.values)
    seeds = float(values.var(ddof=1)) / n
    images = _images_alone(component)
    return Moments(np.array(values.mean()), seeds + images.variance, seeds**2 / (n - 1) + images.wobble)


def half_widths(total: Moments, level: float) -> FloatArray:
    """Return half the width of Student's interval of each mean; 0 where the variance is 0."""
    variance = np.asarray(total.variance, dtype=np.float64)
    wobble = np.asarray(total.wobble, dtype=np.float64)
    probability = (1 + level) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(wobble > 0, variance**2 / wobble, np.inf)
    # scipy's quantile isn't meant for infinite degrees of freedom, where it is the normal's.
    finite = np.where(freedom < 1e7, freedom, 1.0)
    quantile = np.where(freedom < 1e7, stdtrit(finite, probability), ndtri(probability))
    return np.asarray(quantile * np.sqrt(variance))


def few_values(values: FloatArray) -> npt.NDArray[np.bool_]:
    """Say of each row whether it has fewer than three different values, but for the rounding of sums."""
    close = 1e-12 * np.maximum(1.0, np.abs(values).max(axis=-1, keepdims=True))
    return np.asarray((np.diff(np.sort(values, axis=-1), axis=-1) > close).sum(axis=-1) < 2)


def sign_test_interval(values: FloatArray, level: float) -> tuple[float, float]:
    """Return the interval of the median that inverts the two-sided sign test; infinite for too few values."""
    ordered, n = np.sort(values), len(values)
    # So many of n fair coins may all fall on one side at most.
    tails = bdtr(np.arange(n), n, 0.5)
    allowed = int(np.searchsorted(tails, (1 - level) / 2, side="right"))
    if allowed == 0:
        return -math.inf, math.inf
    allowed = min(allowed, (n + 1) // 2)
    return float(ordered[allowed - 1]), float(ordered[n - allowed])


def _middle(values: FloatArray) -> float:
    """Return what the interval is about: the mean, or of fewer than three different values the median."""
    return float(np.median(values)) if few_values(values) else float(values.mean())


def _images_alone(component: Component) -> Moments:
    """Return what the choice of the images adds, to a mean of 0."""
    parts = [_image_part(table) for table in component.images]
    variance, wobble = (math.fsum(part[i] for part in parts) for i in (0, 1))
    return Moments(np.array(0.0), np.array(variance), np.array(wobble))


def _image_part(table: FloatArray) -> tuple[float, float]:
    """Return what the choice of a set of images adds to the variance of the mean, and to its uncertainty."""
    n, count = table.shape
    if count < 2:
        raise ValueError(f"a set of images has {count}; allowed: at least 2")
    seeds, images = table.mean(axis=1), table.mean(axis=0)
    by_image = float(images.var(ddof=1))
    rest = table - seeds[:, None] - images[None, :] + table.mean()
    freedom = (n - 1) * (count - 1)
    interaction = float((rest**2).sum()) / freedom
    part = (by_image - interaction / n) / count
    if part <= 0:
        return 0.0, 0.0
    own, taken = by_image / count, interaction / (n * count)
    return part, own**2 / (count - 1) + taken**2 / freedom


def _binomial(outcomes: Outcomes, level: float) -> Interval:
    yes, n = outcomes.yes, outcomes.of
    if not 0 <= yes <= n or n < 1:
        raise ValueError(f"yes is {yes} of {n}; allowed: 0 to the number of seeds, which is at least 1")
    tail = (1 - level) / 2
    low = 0.0 if yes == 0 else float(betaincinv(yes, n - yes + 1, tail))
    high = 1.0 if yes == n else float(betaincinv(yes + 1, n - yes, 1 - tail))
    return Interval(yes / n, low, high, n, level)
