"""The figures of the chapter on the remaining arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bnstudy.analysis.style import (
    ARMS,
    NEUTRAL,
    SMALL,
    legend_above,
    panels,
    row_labels,
    sample,
    seed_points,
)
from bnstudy.chapters.knobs.rules import DEFAULT_EPSILON, STATISTICS, Contrast, difference, of

MARKERS = {"moving": "o", "batch": "s", "precise": "^"}

# Precise statistics come first: an argument can't hide behind the lag and the noise that averages have.
SHOWN = {statistics: STATISTICS[statistics] for statistics in ("precise", "moving", "batch")}

# What stands beside one another at one place of an axis, in shares of the distance between two places.
ASIDE = dict(zip(SHOWN, (-0.22, 0.0, 0.22), strict=True))


def accuracy_by_epsilon(accuracies: Mapping[str, pd.Series[float]], epsilons: Sequence[str]) -> Figure:
    """Draw test accuracy (in percent) against epsilon on a log axis, a curve for each kind of statistics.

    ``accuracies`` has, by statistics, values indexed by arm, epsilon and seed. The dotted line is
    TensorFlow's default, if it is among ``epsilons``.
    """
    figure, axis = panels(3.7)
    decades = np.log10([float(epsilon) for epsilon in epsilons])
    apart = float(np.diff(decades).min())
    for statistics, values in accuracies.items():
        colour = ARMS[SHOWN[statistics]]
        places = 10 ** (decades + ASIDE[statistics] / 2 * apart)
        reached = [100 * of(values, "epsilon", epsilon) for epsilon in epsilons]
        axis.plot(places, [r.mean() for r in reached], color=colour, lw=1.2, alpha=0.6)
        for place, seeds in zip(places, reached, strict=True):
            seed_points(axis, seeds, place, colour, MARKERS[statistics], across=False)
    axis.set(xscale="log", xlabel="epsilon", ylabel="test accuracy (%)")
    axis.set_xticks([float(e) for e in epsilons], [_power(e) for e in epsilons])
    axis.xaxis.set_minor_locator(NullLocator())
    if DEFAULT_EPSILON in epsilons:
        axis.axvline(float(DEFAULT_EPSILON), color=NEUTRAL, lw=0.8, ls=":", zorder=0)
        axis.text(
            float(DEFAULT_EPSILON), 1.0, "default", transform=axis.get_xaxis_transform(), ha="center",
            va="bottom", fontsize=SMALL,
        )  # fmt: skip
    _legend(figure)
    return figure


def differences(accuracies: Mapping[str, pd.Series[float]], contrasts: Sequence[Contrast]) -> Figure:
    """Draw each arm's test accuracy minus that of its base (points, paired by seed), a row a contrast.

    ``accuracies`` has, by statistics, values indexed by arm, epsilon and seed.
    """
    figure, axis = panels(0.85 * len(contrasts) + 1.3)
    for i, contrast in enumerate(contrasts):
        for statistics, values in accuracies.items():
            colour = ARMS[SHOWN[statistics]]
            place = i + ASIDE[statistics]
            seed_points(axis, 100 * difference(values, contrast), place, colour, MARKERS[statistics])
    axis.axvline(0, color=NEUTRAL, lw=0.8)
    row_labels(axis, [f"{contrast.name}\nagainst {contrast.against}" for contrast in contrasts])
    axis.set_ylim(len(contrasts) - 0.5, -0.5)
    axis.set_xlabel("accuracy gained (points)")
    _legend(figure)
    return figure


def accuracy_by_arm(ends: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Draw test accuracy (in percent) by arm and statistics, a row an arm, in the order of ``names``.

    ``ends`` has the columns arm, statistics, seed and accuracy.
    """
    figure, axis = panels(0.6 * len(names) + 1.3)
    kinds = [statistics for statistics in SHOWN if statistics in set(ends["statistics"])]
    for i, arm in enumerate(names):
        for statistics in kinds:
            reached = ends[(ends["arm"] == arm) & (ends["statistics"] == statistics)].set_index("seed")[
                "accuracy"
            ]
            place = i + ASIDE[statistics]
            seed_points(axis, 100 * reached, place, ARMS[SHOWN[statistics]], MARKERS[statistics])
    row_labels(axis, list(names.values()))
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_xlabel("test accuracy (%)")
    _legend(figure, kinds)
    return figure


def _power(epsilon: str) -> str:
    """Return ``"$10^{-3}$"`` for ``"0.001"``, and any other number than a power of ten as it is."""
    exponent = np.log10(float(epsilon))
    return f"$10^{{{exponent:.0f}}}$" if abs(exponent - round(exponent)) < 1e-9 else epsilon


def _legend(figure: Figure, kinds: Sequence[str] = tuple(SHOWN)) -> None:
    handles = [sample(SHOWN[kind], ARMS[SHOWN[kind]], MARKERS[kind], ls="", ms=5.5) for kind in kinds]
    legend_above(figure, handles, handletextpad=0.2)
