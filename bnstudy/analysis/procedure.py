"""The one procedure of the second round: from a quantity's sample to the interval that decides every
bound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtri, stdtrit

from bnstudy.analysis.statistics import Interval

FloatArray = npt.NDArray[np.float64]

# For all intervals together. Below 0.05, since Student's interval of skewed values covers a little less than
# it says; what it comes to is simulated (`bnstudy.analysis.simulate`).
ALPHA = 0.04


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
    10,000 images those of the seeds decide: df = V^2 / ((s2_S / n)^2 / (n - 1)); the others matter for
    small sets. Without images V = s2_S / n and df = n - 1.

    * Outcomes have the exact binomial interval (Clopper & Pearson 1934).
    * Seeds without any spread have no variance to take Student's interval from; a sign test is left. All n
      on one side of a bound have the two-sided p-value 2^(1 - n): if that is small enough, they count as
      exact; else the interval is the whole line.
    * An interval is open on the side on which a value was cut off, and on both where a value is undefined
      or there is one seed.

    Sources: Student 1908; Satterthwaite 1946; for crossed seeds and examples, Searle, Casella & McCulloch,
    Variance Components (1992), section 4.7 (two-way crossed, one observation a cell).
    """
    level = level_of(quantities)
    if isinstance(sample, Outcomes):
        return _binomial(sample, level)
    n = min(len(c.values) for c in sample.components)
    parts = [moments(c) for c in sample.components]
    total = Moments(*(np.sum(column, axis=0) for column in zip(*parts, strict=True)))
    mean = float(total.mean)
    decided = all(_defined(c) and spread_is_enough(c.values, level) for c in sample.components)
    if not decided:
        return Interval(mean, -math.inf, math.inf, n, level)
    half = float(half_widths(total, level))
    low = -math.inf if any(c.at_most for c in sample.components) else mean - half
    high = math.inf if any(c.at_least for c in sample.components) else mean + half
    return Interval(mean, low, high, n, level)


def moments(component: Component) -> Moments:
    """Return the mean of a component, the variance of that mean and its parts' uncertainty."""
    values, n = component.values, len(component.values)
    if n == 0:
        raise ValueError("values is empty; allowed: at least one seed")
    if n == 1 or not np.isfinite(values).all():
        mean = float(values.mean()) if np.isfinite(values).all() else math.nan
        return Moments(*(np.array(v) for v in (mean, 0.0, 0.0)))
    seeds = 0.0 if without_spread(values) else float(values.var(ddof=1)) / n
    variance, wobble = seeds, seeds**2 / (n - 1)
    for table in component.images:
        more, its = _image_part(table)
        variance, wobble = variance + more, wobble + its
    mean = float(values[0]) if without_spread(values) else float(values.mean())
    return Moments(*(np.array(v) for v in (mean, variance, wobble)))


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


def without_spread(values: FloatArray) -> bool:
    """Say whether all values are the same, but for the rounding of sums."""
    return bool(np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max())))


def spread_is_enough(values: FloatArray, level: float) -> bool:
    """Say whether values have a spread, or else are so many that a sign test of them can decide."""
    return not without_spread(values) or sign_test_decides(len(values), level)


def sign_test_decides(n: int, level: float) -> bool:
    """Say whether n equal values, all on one side of a bound, are evidence at ``level``: 2^(1-n) <= 1 -
    level."""
    return 2.0 ** (1 - n) <= 1 - level


def _defined(component: Component) -> bool:
    return len(component.values) > 1 and bool(np.isfinite(component.values).all())


def _image_part(table: FloatArray) -> tuple[float, float]:
    """Return what the choice of the images adds to the variance of the mean, and to Satterthwaite's sum."""
    n, count = table.shape
    if count < 2:
        raise ValueError(f"a set of images has {count}; allowed: at least 2")
    seeds, images = table.mean(axis=1), table.mean(axis=0)
    mean = float(table.mean())
    by_image = float(images.var(ddof=1))
    rest = table - seeds[:, None] - images[None, :] + mean
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
