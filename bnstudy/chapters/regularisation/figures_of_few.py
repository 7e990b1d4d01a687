"""The figures of the networks that were trained on few images: where six arms end, and how they get there."""

from __future__ import annotations

from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.style import (
    NEUTRAL,
    SMALL,
    curve,
    legend_above,
    panels,
    row_labels,
    sample,
    seed_points,
)
from bnstudy.chapters.regularisation.few_images import PLAIN, of
from bnstudy.chapters.regularisation.figures import COLOURS, MARKERS, SHORT
from bnstudy.chapters.regularisation.names import NAMES

# How the notebook's own figures call the same arms: an arm has one colour, mark and name in all of them.
CALLED: Final = {
    "none plain": "none",
    "none L2": "l2",
    "none dropout": "dropout",
    "batch plain": "batch",
    "batch L2": "batch + l2",
    "batch dropout": "batch + dropout",
}


def six_arms(best: pd.DataFrame, last: pd.DataFrame) -> Figure:
    """Draw test accuracy by arm (in percent), of training stopped early and, hollow, at the end.

    Both have the columns arm, seed and test. The three arms without batch norm stand above a line, those with
    it below.
    """
    figure, axis = panels(3.0)
    for row, (arm, called) in enumerate(CALLED.items()):
        colour, marker = COLOURS[called], MARKERS[called]
        seed_points(axis, 100 * of(best, arm), row, colour, marker)
        end = 100 * of(last, arm).mean()
        axis.plot(end, row + 0.3, "D", color=colour, ms=4.5, markerfacecolor="none", mew=1.1)
    row_labels(axis, [SHORT[called] for called in CALLED.values()])
    axis.axhline(2.5, color=NEUTRAL, lw=0.6, ls=":")
    axis.set_ylim(5.6, -0.5)
    axis.set_xlabel("test accuracy (%)", fontsize=SMALL)
    stops = sample("stopped early", NEUTRAL, "o", ls="", ms=5.5)
    ended = sample("at the end", NEUTRAL, "D", ls="", ms=4.5, markerfacecolor="none", mew=1.1)
    legend_above(figure, [stops, ended], handletextpad=0.1)
    return figure


def fitted(wide: pd.DataFrame, last: pd.DataFrame) -> Figure:
    """Draw test against training accuracy (in percent): the plain networks along training, the others' ends.

    ``wide`` has the columns arm, seed, step, train and test; ``last`` the same of the last step alone.
    """
    figure, axis = panels(3.9)
    for arm, called in CALLED.items():
        colour, marker = COLOURS[called], MARKERS[called]
        rows = wide if arm in PLAIN.values() else last
        rows = rows[rows["arm"] == arm].dropna(subset=["train", "test"])
        means = [
            (mean_interval(group["train"]).mean, mean_interval(group["test"]))
            for _, group in rows.groupby("step")
        ]
        across, up = [100 * x for x, _ in means], [100 * y.mean for _, y in means]
        low, high = [100 * y.low for _, y in means], [100 * y.high for _, y in means]
        if arm in PLAIN.values():
            axis.plot(across, up, color=colour, marker=marker, lw=1.4, ms=4, mew=0)
            axis.fill_between(across, low, high, color=colour, alpha=0.18, lw=0)
        else:
            bars = [
                [y - a for y, a in zip(up, low, strict=True)],
                [b - y for y, b in zip(up, high, strict=True)],
            ]
            axis.errorbar(across, up, bars, fmt=marker, color=colour, ms=5.5, capsize=2.5, elinewidth=1.3)
    axis.set(xlabel="training accuracy (%)", ylabel="test accuracy (%)")
    _legend(figure)
    return figure


def along(wide: pd.DataFrame, annealed_from: float) -> Figure:
    """Draw test accuracy (in percent) along training by arm; dotted: from where on the rate is annealed.

    ``wide`` has the columns arm, seed, epoch and test.
    """
    figure, axis = panels(3.9)
    rows = wide.assign(percent=100 * wide["test"])
    for arm, called in CALLED.items():
        own = rows[rows["arm"] == arm]
        curve(axis, own, "percent", COLOURS[called], x="epoch", lw=1.4)
        marked = own.groupby("epoch")["percent"].mean().iloc[::3]
        axis.plot(marked.index, marked, MARKERS[called], color=COLOURS[called], ms=4.5, mew=0.8)
    axis.axvline(annealed_from, color=NEUTRAL, lw=0.8, ls=":", zorder=0)
    axis.set(xlabel="epochs", ylabel="test accuracy (%)")
    _annotate(axis, annealed_from)
    _legend(figure)
    return figure


def _annotate(axis: Axes, annealed_from: float) -> None:
    axis.text(
        annealed_from + 0.6, 0.02, "annealed", transform=axis.get_xaxis_transform(), ha="left", va="bottom",
        fontsize=SMALL,
    )  # fmt: skip


def _legend(figure: Figure) -> None:
    handles = [
        sample(NAMES[called], COLOURS[called], MARKERS[called], lw=1.4, ms=4.5) for called in CALLED.values()
    ]
    legend_above(figure, handles, columnspacing=0.8)
