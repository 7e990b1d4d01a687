"""Each seed's point, with the mean and its interval: how a figure shows few paired values."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.axes import Axes

from bnstudy.analysis.statistics import mean_interval


def seed_points(
    axis: Axes, values: Iterable[float], at: float, colour: str, marker: str = "o", *, across: bool = True
) -> None:
    """Draw values as small points, and their mean with its 95 % bar (Student's t), at one place of an axis.

    The values lie along the horizontal axis, or with ``across=False`` along the upright one. No values, as
    where every run of an arm diverged, draw nothing.
    """
    data = list(values)
    if not data:
        return
    interval = mean_interval(data)
    place, middle = [at] * len(data), [interval.mean]
    bar = [[interval.mean - interval.low], [interval.high - interval.mean]]
    (x, y), (mean_x, mean_y) = ((data, place), (middle, [at])) if across else ((place, data), ([at], middle))
    axis.plot(x, y, ".", color=colour, ms=6, alpha=0.45, mew=0)
    xerr, yerr = (bar, None) if across else (None, bar)
    axis.errorbar(mean_x, mean_y, yerr, xerr, fmt=marker, ms=5.5, color=colour, capsize=2.5, elinewidth=1.3)
