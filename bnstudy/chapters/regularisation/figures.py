"""The figures of the regularisation chapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bnstudy.analysis.style import (
    ARMS,
    NEUTRAL,
    SMALL,
    legend_above,
    panels,
    row_labels,
    seed_points,
)
from bnstudy.chapters.regularisation.names import NAMES
from bnstudy.chapters.regularisation.rules import BASES, NORMALISED, of

# Seven arms in one figure: hue alone would not keep them apart for who sees no red or no green, so that their
# lightness differs too.
COLOURS = {
    **ARMS,
    "l2": "#c08a00",
    "dropout": "#8a2f00",
    "batch + l2": "#3398da",
    "batch + dropout": "#002f55",
    "dropout + batch": "#c86fb0",
}

MARKERS = dict(zip(NAMES, "oDvsPX^", strict=True))

# On an axis, where a line has little room.
SHORT = {
    **NAMES,
    "none": "without\nbatch norm",
    "batch + dropout": "batch norm,\nthen dropout",
    "dropout + batch": "dropout, then\nbatch norm",
}


def generalisation(test: pd.Series[float], gaps: pd.Series[float], fractions: Mapping[str, str]) -> Figure:
    """Draw test accuracy and train-test gap by arm (in percent), a row of panels for each amount of data.

    Values are indexed by arm, fraction and seed; ``fractions`` has the title of each amount of data.
    """
    figure, axes = panels(
        3.6 * len(fractions) + 0.3, len(fractions), 2, sharey=True, sharex="col", squeeze=False
    )
    for row, (fraction, title) in zip(axes, fractions.items(), strict=True):
        for axis, values in zip(row, (test, gaps), strict=True):
            _by_arm(axis, values, fraction, list(NAMES))
        _label(row[0], list(NAMES))
        row[1].axvline(0, color=NEUTRAL, lw=0.8)
        row[0].set_title(title, fontsize=SMALL + 1, loc="left")
    axes[-1, 0].set_xlabel("test accuracy (%)", fontsize=SMALL)
    axes[-1, 1].set_xlabel("training less\ntest (points)", fontsize=SMALL)
    return figure


def gained(values: pd.Series[float], fractions: Mapping[str, str]) -> Figure:
    """Draw what each regularisation adds to the test accuracy (points), without and with batch norm.

    Values are paired differences indexed by arm, fraction and seed.
    """
    figure, axes = _beside(fractions, 3.3, sharex=True)
    for axis, fraction in zip(axes, fractions, strict=True):
        _by_arm(axis, values, fraction, list(BASES))
        axis.axvline(0, color=NEUTRAL, lw=0.8)
    _label(axes[0], list(BASES))
    figure.supxlabel("test accuracy gained (points)", fontsize=SMALL + 1, color=NEUTRAL)
    return figure


def recalibrated(values: pd.Series[float], fractions: Mapping[str, str]) -> Figure:
    """Draw test accuracy with precise less with moving statistics (points), by arm with batch norm."""
    figure, axes = _beside(fractions, 2.9, sharex=False)
    for axis, fraction in zip(axes, fractions, strict=True):
        _by_arm(axis, values, fraction, list(NORMALISED))
        axis.axvline(0, color=NEUTRAL, lw=0.8)
    _label(axes[0], list(NORMALISED))
    figure.supxlabel("gained by precise statistics (points)", fontsize=SMALL + 1, color=NEUTRAL)
    return figure


def training_against_test(
    train: pd.Series[float], test: pd.Series[float], fractions: Mapping[str, str]
) -> Figure:
    """Draw each run's test accuracy against its training accuracy (in percent); on the line, no gap."""
    figure, axes = panels(3.9, 1, len(fractions), sharey=True, squeeze=False)
    for axis, (fraction, title) in zip(axes[0], fractions.items(), strict=True):
        for arm in NAMES:
            x, y = (100 * of(values, arm, fraction) for values in (train, test))
            axis.plot(x, y.reindex(x.index), **_mark(arm), alpha=0.8)
        limits = axis.axis()
        axis.axline((0, 0), slope=1, color=NEUTRAL, lw=0.8)
        axis.axis(limits)
        axis.set_title(title, fontsize=SMALL + 1)
    axes[0, 0].set_ylabel("test accuracy (%)")
    figure.supxlabel("training accuracy (%)", fontsize=SMALL + 1, color=NEUTRAL)
    handles = [Line2D([], [], label=name, **_mark(arm)) for arm, name in NAMES.items()]
    legend_above(figure, handles, columnspacing=0.8, handletextpad=0.1)
    return figure


def _mark(arm: str) -> dict[str, Any]:
    # Hollow without batch norm: filled marks would hide one another, and tell the two groups less well apart.
    inside = COLOURS[arm] if arm in NORMALISED else "none"
    return {
        "ls": "",
        "marker": MARKERS[arm],
        "color": COLOURS[arm],
        "markerfacecolor": inside,
        "ms": 5.5,
        "mew": 1.1,
    }


def _beside(fractions: Mapping[str, str], height: float, *, sharex: bool) -> tuple[Figure, list[Axes]]:
    figure, axes = panels(height, 1, len(fractions), sharey=True, sharex=sharex, squeeze=False)
    for axis, title in zip(axes[0], fractions.values(), strict=True):
        axis.set_title(title, fontsize=SMALL + 1)
    return figure, list(axes[0])


def _by_arm(axis: Axes, values: pd.Series[float], fraction: str, arms: Sequence[str]) -> None:
    """Draw each arm's values, in percent, one arm below the other."""
    for i, arm in enumerate(arms):
        seed_points(axis, 100 * of(values, arm, fraction), i, COLOURS[arm], MARKERS[arm])
    axis.set_ylim(len(arms) - 0.5, -0.5)


def _label(axis: Axes, arms: Sequence[str]) -> None:
    row_labels(axis, [SHORT[arm] for arm in arms])
