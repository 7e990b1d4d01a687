"""Intervals for a mean over few paired seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A mean and the interval that covers the true mean at ``level`` (``nan`` bounds for one value)."""

    mean: float
    low: float
    high: float
    count: int
    level: float = 0.95

    def percent(self, signed: bool = False) -> str:
        """Return ``"71.6 % [71.2, 72.0]"``, or in percentage points with a sign."""
        sign = "+" if signed else ""
        unit = " percentage points" if signed else " %"
        return f"{self.mean * 100:{sign}.1f}{unit} {self.bounds(signed)}"

    def bounds(self, signed: bool = False) -> str:
        """Return the bounds in percent: ``"[71.2, 72.0]"``."""
        sign = "+" if signed else ""
        return f"[{self.low * 100:{sign}.1f}, {self.high * 100:{sign}.1f}]"


def mean_interval(values: Iterable[float], level: float = 0.95) -> Interval:
    """Return the mean of independent values with Student's t interval (Student 1908).

    With five seeds a percentile bootstrap covers far less than it says; Student's interval is exact
    for normal values and errs little for the averages that accuracies are.
    """
    data = [float(v) for v in values]
    n = len(data)
    if n == 0:
        raise ValueError("values is empty; allowed: at least one value")
    mean = math.fsum(data) / n
    if n == 1:
        return Interval(mean, math.nan, math.nan, n, level)
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in data) / (n - 1))
    half = student_t_quantile((1 + level) / 2, n - 1) * spread / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n, level)


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
