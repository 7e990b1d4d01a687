"""The figures of the chapter on updates_collections."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.style import ARMS, NEUTRAL, SMALL, WITHOUT, curve, panels, plain_ticks
from bnstudy.analysis.tables import summary
from bnstudy.chapters.updates_collections.rules import ARMS as UPDATES
from bnstudy.chapters.updates_collections.rules import FIRST, accuracy_with

COLOURS = {
    **ARMS,
    "in place": "#0072b2",
    "with the step": "#d55e00",
    "after the step": "#007755",
    "never": "#aa4499",
}

# Each data set has ten classes, all about as frequent.
CHANCE = 1 / 10

# Curves that lie on one another stay visible: the first is drawn widest, the others on top of it.
LINES: dict[str, dict[str, Any]] = {
    "in place": {"lw": 5.5, "ls": "-", "alpha": 0.35},
    "with the step": {"lw": 1.6, "ls": "-"},
    "after the step": {"lw": 1.6, "ls": "--"},
    "never": {"lw": 1.6, "ls": "-"},
}


def accuracy_over_training(evaluation: pd.DataFrame) -> Figure:
    """Draw test accuracy with moving averages over training, a curve an arm, with 95 % bands over seeds.

    Batch statistics, which no arm's updates reach, are drawn from the first arm.
    """
    figure, axis = panels(4.2)
    for arm, style in LINES.items():
        runs = accuracy_with(evaluation, arm, "moving")
        curve(axis, runs, "accuracy", COLOURS[arm], band=0.15, label=arm, **style)
        axis.plot(runs["step"], runs["accuracy"], "o", color=COLOURS[arm], ms=2.5, alpha=0.5, mew=0)
    batch = summary(accuracy_with(evaluation, FIRST, "batch"), ["step"], "accuracy")
    axis.plot(
        batch["step"], batch["mean"], ls=":", lw=1.6, color=COLOURS["batch statistics"],
        label="batch statistics\n(the same for all)",
    )  # fmt: skip
    axis.axhline(CHANCE, color=NEUTRAL, lw=0.8, zorder=0)
    axis.annotate(
        "guessing", (1.0, CHANCE), xycoords=("axes fraction", "data"), xytext=(-2, -3),
        textcoords="offset points", ha="right", va="top", fontsize=SMALL, color=NEUTRAL,
    )  # fmt: skip
    axis.set(xscale="log", xlabel="training step", ylabel="test accuracy", ylim=(0, None))
    plain_ticks(axis.xaxis)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.legend(loc="outside upper center", ncols=2, columnspacing=1.2, handlelength=1.8)
    return figure


def cost_by_arm(costs: pd.DataFrame) -> Figure:
    """Draw seconds a step over the first arm's, a row an arm: every seed, the mean and its 95 % interval.

    ``costs`` has columns arm, seed and ratio (binary logarithm). The first arm is the line at one.
    """
    arms = [arm for arm in costs["arm"].unique() if arm != FIRST]
    figure, axis = panels(0.55 * len(arms) + 1.1)
    for row, arm in enumerate(arms):
        ratios = costs[costs["arm"] == arm]["ratio"]
        axis.plot(2**ratios, [row + 0.17] * len(ratios), "o", color=COLOURS[arm], ms=4, alpha=0.45, mew=0)
        interval = mean_interval(ratios)
        axis.plot([2**interval.low, 2**interval.high], [row, row], "-", color=COLOURS[arm], lw=1.6)
        axis.plot(2**interval.mean, row, "D", color=COLOURS[arm], ms=6)
    axis.axvline(1, color=NEUTRAL, lw=0.8, ls=":")
    axis.annotate(
        FIRST, (1, 1), xycoords=("data", "axes fraction"), xytext=(0, 2), textcoords="offset points",
        ha="center", va="bottom", fontsize=SMALL, color=COLOURS[FIRST],
    )  # fmt: skip
    labels = [WITHOUT if arm == "none" else arm for arm in arms]
    axis.set_yticks(range(len(arms)), labels)
    axis.set(xlabel=f"seconds a step, over those of “{FIRST}”")
    axis.set_ylim(len(arms) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    return figure


def accuracy_in_tensorflow(accuracy: pd.DataFrame) -> Figure:
    """Draw TensorFlow's test accuracy at the last step, a row an arm and a mark a kind of statistics.

    ``accuracy`` has columns arm, statistics, seed and accuracy. Every seed, the mean and its 95 % interval.
    """
    arms = [arm for arm in UPDATES if arm in set(accuracy["arm"])]
    kinds = [kind for kind in ("moving", "batch") if kind in set(accuracy["statistics"])]
    figure, axis = panels(0.7 * len(arms) + 1.6)
    for row, arm in enumerate(arms):
        for i, kind in enumerate(kinds):
            values = accuracy[(accuracy["arm"] == arm) & (accuracy["statistics"] == kind)]["accuracy"]
            colour = COLOURS[arm] if kind == "moving" else COLOURS["batch statistics"]
            at = row + 0.3 * (i - (len(kinds) - 1) / 2)
            axis.plot(values, [at] * len(values), "o", color=colour, ms=4, alpha=0.45, mew=0)
            interval = mean_interval(values)
            axis.plot([interval.low, interval.high], [at, at], "-", color=colour, lw=1.6)
            axis.plot(interval.mean, at, "D" if kind == "moving" else "s", color=colour, ms=6)
    axis.axvline(CHANCE, color=NEUTRAL, lw=0.8)
    for kind in kinds:
        mark, said = ("D", "moving averages") if kind == "moving" else ("s", "batch statistics")
        colour = NEUTRAL if kind == "moving" else COLOURS["batch statistics"]
        axis.plot([], [], mark, color=colour, label=said)
    axis.set_yticks(range(len(arms)), arms)
    axis.set(xlabel="test accuracy at the last step", xlim=(0, None), ylim=(len(arms) - 0.5, -0.5))
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper center", ncols=2, columnspacing=1.2)
    return figure
