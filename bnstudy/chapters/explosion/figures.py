"""The figures of the explosion chapter."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter

from bnstudy.analysis.style import (
    ARMS,
    NEUTRAL,
    SMALL,
    WITHOUT,
    legend_above,
    panels,
    plain_ticks,
    row_labels,
    sample,
)

COLOURS = {
    **ARMS,
    "trained": "#007755",
    "at chance": "#997700",
    "dead": "#666666",
    "diverged": "#cc3311",
}

OPTIMIZERS = {"sgd": "SGD", "adam": "Adam"}
NAMES = {"none": WITHOUT, "batch": "with batch norm"}
MARKERS = {"none": "o", "batch": "s"}
# How a run can end, in words, and each ending's mark.
ENDS = {"trained": "trained", "at chance": "stayed at chance", "dead": "died", "diverged": "diverged"}
END_MARKERS = {"trained": "o", "at chance": "D", "dead": "s", "diverged": "X"}

Limits = tuple[float, float]


def share_by_rate(shares: pd.DataFrame, ylabel: str) -> Figure:
    """Draw a share of seeds by learning rate, a panel an optimiser and a line an arm.

    ``shares`` has the columns arm, optimizer, learning_rate and share.
    """

    def draw(axis: Axes, part: pd.DataFrame) -> None:
        for arm, lines in part.groupby("arm", sort=False):
            ordered = lines.sort_values("learning_rate")
            at = ordered["learning_rate"] * _aside(str(arm))
            axis.plot(
                at, ordered["share"], MARKERS[str(arm)] + "-", color=COLOURS[str(arm)], ms=5, lw=1.6, mew=0
            )

    figure, axes = _by_optimizer(shares, draw, height=3.0)
    axes[0].set(ylabel=ylabel, ylim=(-0.05, 1.05))
    axes[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _legend(figure)
    return figure


def endings_by_rate(ended: pd.DataFrame) -> Figure:
    """Draw how every run ended: a panel an arm and optimiser, learning rate across, a row a seed.

    ``ended`` has the columns arm, optimizer, learning_rate, seed and end.
    """
    arms, optimizers = ([*dict.fromkeys(ended[column])] for column in ("arm", "optimizer"))
    figure, axes = panels(
        1.9 * len(arms) + 1.2, len(arms), len(optimizers), sharex="col", sharey=True, squeeze=False
    )
    for line, arm in zip(axes, arms, strict=True):
        for axis, optimizer in zip(line, optimizers, strict=True):
            part = ended[(ended["arm"] == arm) & (ended["optimizer"] == optimizer)]
            for end, runs in part.groupby("end"):
                axis.plot(
                    runs["learning_rate"],
                    runs["seed"],
                    END_MARKERS[str(end)],
                    color=COLOURS[str(end)],
                    ms=7,
                    mew=0,
                )
            _rates(axis, part)
            axis.yaxis.set_major_locator(MaxNLocator(integer=True))
        line[0].set_ylabel(f"{NAMES[arm]}\nseed", fontsize=SMALL + 1)
    for axis, optimizer in zip(axes[0], optimizers, strict=True):
        axis.set_title(OPTIMIZERS[optimizer], fontsize=SMALL + 1)
    low, high = ended["seed"].min(), ended["seed"].max()
    axes[0, 0].set_ylim(high + 0.6, low - 0.6)
    figure.supxlabel("learning rate", fontsize=SMALL + 1, color=NEUTRAL)
    handles = [
        sample(ENDS[end], COLOURS[end], marker, ls="", ms=7, mew=0) for end, marker in END_MARKERS.items()
    ]
    legend_above(figure, handles, handletextpad=0.2)
    return figure


def endings_by_arm(ended: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Draw how many seeds ended in which way: a bar an arm, in the order of ``names``, which labels them.

    ``ended`` has the columns arm and end, a row a run.
    """
    figure, axis = panels(0.5 * len(names) + 1.4)
    counts = ended.groupby(["arm", "end"]).size().unstack(fill_value=0).reindex(list(names), fill_value=0)
    left = np.zeros(len(names))
    for end in ENDS:
        if end not in counts:
            continue
        width = counts[end].to_numpy(dtype=float)
        axis.barh(range(len(names)), width, left=left, height=0.62, color=COLOURS[end], lw=0)
        for row in np.flatnonzero(width):
            middle = left[row] + width[row] / 2
            axis.text(middle, row, f"{width[row]:g}", color="white", ha="center", va="center", fontsize=SMALL)
        left += width
    axis.set(xlabel="seeds", xlim=(0, left.max()), ylim=(len(names) - 0.5, -0.5))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    row_labels(axis, list(names.values()))
    handles = [Patch(color=COLOURS[end], label=words) for end, words in ENDS.items()]
    legend_above(figure, handles, handlelength=1.0)
    return figure


def step_of_divergence(ended: pd.DataFrame) -> Figure:
    """Draw the step at which each diverged run did, by learning rate: a panel an optimiser, a point a run.

    ``ended`` has the columns arm, optimizer, learning_rate and blew_up_at.
    """

    def draw(axis: Axes, part: pd.DataFrame) -> None:
        for arm, runs in part.groupby("arm", sort=False):
            # Runs of one rate that diverge at one step lie side by side.
            place = runs.groupby(["learning_rate", "blew_up_at"]).cumcount()
            at = runs["learning_rate"] * _aside(str(arm)) * 1.13**place
            axis.plot(at, runs["blew_up_at"], MARKERS[str(arm)], color=COLOURS[str(arm)], ms=5, mew=0)
        if part["blew_up_at"].isna().all():
            axis.text(0.5, 0.5, "none diverged", transform=axis.transAxes, ha="center", fontsize=SMALL)

    figure, axes = _by_optimizer(ended, draw, height=3.0)
    axes[0].set(yscale="log", ylabel="step at which the run diverged")
    last = ended["blew_up_at"].max()
    axes[0].set_ylim(0.8, 2 * last if last > 0 else 10)
    plain_ticks(axes[0].yaxis)
    _legend(figure)
    return figure


def limits(values: pd.Series[float]) -> Limits:
    """Return the bounds of a log axis for the finite positive ones among ``values``, of at most 7 decades.

    The upper end gives way: what lies above it is drawn at the edge, as what is infinite is.
    """
    finite = values[np.isfinite(values) & (values > 0)]
    if finite.empty:
        return 0.1, 10.0
    low, high = float(finite.quantile(0.001)), float(finite.max())
    return low / 2, min(high * 2, low * 1e7)


def health(
    norms: pd.DataFrame, training: pd.DataFrame, bounds: tuple[Limits, Limits], level: float
) -> Figure:
    """Draw gradient norm and training loss over steps, both arms: medians, and the range of the seeds.

    Both tables have the columns arm, seed and step; ``norms`` has value, ``training`` has loss. ``bounds``
    are the limits of the two axes, ``level`` a loss to mark. Crosses at the upper edge: not finite, or above
    it; triangles at the lower edge: zero, or below it.
    """
    figure, (upper, lower) = panels(5.2, 2, sharex=True)
    _over_steps(upper, norms.rename(columns={"value": "y"}), bounds[0], "o", 3.5)
    _over_steps(lower, training.rename(columns={"loss": "y"}), bounds[1], "", 0)
    lower.axhline(level, color=NEUTRAL, lw=1, ls=":")
    upper.set_ylabel("norm of the gradient")
    lower.set(ylabel="training loss (nats)", xlabel="training step")
    _legend(figure)
    return figure


def _over_steps(axis: Axes, table: pd.DataFrame, bounds: Limits, marker: str, size: float) -> None:
    axis.set(xscale="log", yscale="log", ylim=bounds)
    low, high = bounds
    for arm, part in table.groupby("arm", sort=False):
        colour = COLOURS[str(arm)]
        # No number is above every number: a run has to pass infinity to get there.
        part = part.assign(y=part["y"].fillna(math.inf).clip(low, high))
        found = part.groupby("step")["y"].agg(["median", "min", "max"])
        axis.plot(found.index, found["median"], color=colour, lw=1.6, marker=marker, ms=size, mew=0)
        axis.fill_between(found.index, found["min"], found["max"], color=colour, alpha=0.18, lw=0)
        if marker:
            for edge, mark in ((high, "x"), (low, "v")):
                there = part[part["y"] == edge]
                if len(there):
                    axis.plot(there["step"], there["y"], mark, color=colour, ms=6, clip_on=False)
    axis.yaxis.set_major_locator(LogLocator(numticks=7))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter("{x:g}")


def _by_optimizer(
    table: pd.DataFrame, draw: Callable[[Axes, pd.DataFrame], None], height: float
) -> tuple[Figure, list[Axes]]:
    optimizers = list(dict.fromkeys(table["optimizer"]))
    figure, axes = panels(height, 1, len(optimizers), sharey=True, squeeze=False)
    for axis, optimizer in zip(axes[0], optimizers, strict=True):
        part = table[table["optimizer"] == optimizer]
        draw(axis, part)
        _rates(axis, part)
        axis.set_title(OPTIMIZERS[optimizer], fontsize=SMALL + 1)
    figure.supxlabel("learning rate", fontsize=SMALL + 1, color=NEUTRAL)
    return figure, list(axes[0])


def _rates(axis: Axes, part: pd.DataFrame) -> None:
    """Put a log axis of learning rates under a panel, with a tick at each and a label at every other."""
    rates = sorted(part["learning_rate"].unique())
    axis.set(xscale="log", xlim=(rates[0] / 2, rates[-1] * 2))
    axis.set_xticks(rates, [f"{rate:g}" if i % 2 == 0 else "" for i, rate in enumerate(rates)])
    axis.xaxis.set_minor_locator(NullLocator())


def _aside(arm: str) -> float:
    """Return the factor that puts an arm's marks beside the other's on a log axis."""
    return 1 / 1.08 if arm == "none" else 1.08


def _legend(figure: Figure) -> None:
    handles = [sample(name, COLOURS[arm], MARKERS[arm], ms=5, lw=1.6, mew=0) for arm, name in NAMES.items()]
    legend_above(figure, handles)
