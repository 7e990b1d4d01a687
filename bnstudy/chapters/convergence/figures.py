"""The figures of the convergence chapter."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.style import (
    NEUTRAL,
    SMALL,
    curve,
    legend_above,
    panels,
    plain_ticks,
    row_labels,
    sample,
)
from bnstudy.analysis.tables import Tables, per_seed, rows
from bnstudy.chapters.convergence.rules import first_step_at, seconds_per_step, tested, time_to
from bnstudy.chapters.updates_collections.figures import COLOURS

NAMES = {"none": "without batch norm", "batch": "with batch norm"}
MARKERS = {"none": "o", "batch": "s"}
# What a step's cost was timed for, in words.
COSTS = {
    "none": "without batch norm",
    "in place": "batch norm,\nupdates in place",
    "with the step": "updates with the step",
    "after the step": "updates after the step",
    "never": "no updates",
}


def accuracy_by_rate(tables: Tables, rates: list[str], target: float) -> Figure:
    """Draw test accuracy over steps, a panel a learning rate and a curve an arm, with 95 % bands."""
    figure, axes = panels(2.0 * len(rates) + 0.8, len(rates), sharex=True, sharey=True, squeeze=False)
    every = tested(tables)
    for axis, rate in zip(axes[:, 0], rates, strict=True):
        for arm in NAMES:
            part = every[(every["learning_rate"] == rate) & (every["arm"] == arm)]
            _curve(axis, part, arm, 1.0)
        _accuracies(axis, every, target)
        axis.set_title(f"learning rate {rate}", fontsize=SMALL + 1)
    axes[-1, 0].set_xlabel("training step")
    _legend(figure)
    return figure


def accuracy_at_best(tables: Tables, best: Mapping[str, str], target: float) -> Figure:
    """Draw test accuracy at each arm's best rate, over steps and over seconds of training.

    ``best`` has the label of each arm's rate. A point's seconds are its step times the mean of what a step
    takes; bands: 95 % over seeds, of the accuracy.
    """
    figure, axes = panels(5.4, 2, sharey=True)
    every = tested(tables)
    for axis, in_seconds in zip(axes, (False, True), strict=True):
        for arm, rate in best.items():
            part = every[(every["learning_rate"] == rate) & (every["arm"] == arm)]
            _curve(axis, part, arm, seconds_per_step(tables, arm).mean() if in_seconds else 1.0)
        _accuracies(axis, every, target)
        axis.set_xlabel("seconds of training" if in_seconds else "training step")
    names = {arm: f"{name}, learning rate {best[arm]}" for arm, name in NAMES.items() if arm in best}
    _legend(figure, names, columns=1)
    return figure


def times_to_target(tables: Tables, rates: list[str], target: float) -> Figure:
    """Draw each seed's steps and seconds to ``target``, a row a rate and arm; hollow: never got there."""
    figure, axes = panels(1.4 * len(rates) + 2.6, 2, sharey=True)
    for axis, clock in zip(axes, ("step", "seconds"), strict=True):
        for row, rate in enumerate(rates):
            for arm, shift in (("none", -0.2), ("batch", 0.2)):
                took = time_to(tables, arm, rate, target, "step" if clock == "step" else "seconds")
                never = first_step_at(tables, arm, rate, target).isna()
                for i, seed in enumerate(took.index):
                    axis.plot(
                        took[seed],
                        # Side by side, so that seeds with the same time don't hide one another.
                        row + shift + 0.06 * (i - (len(took) - 1) / 2),
                        MARKERS[arm],
                        color=COLOURS[arm],
                        mfc="none" if never[seed] else COLOURS[arm],
                        ms=5,
                    )
        axis.set_xlim(left=0)
        axis.set_xlabel("training steps" if clock == "step" else "seconds of training")
        axis.set_ylabel("learning rate")
        axis.set_yticks(range(len(rates)), rates)
    axes[0].set_ylim(len(rates) - 0.5, -0.5)
    _legend(figure)
    return figure


def step_cost(tables: Tables) -> Figure:
    """Draw what a training step takes, a row a network: a point a seed, the mean with its 95 % interval."""
    figure, axis = panels(3.4)
    for row, arm in enumerate(COSTS):
        seconds = 1000 * per_seed(rows(tables, "cost", arm=arm), "seconds_per_step")
        axis.plot(seconds, [row + 0.18] * len(seconds), "o", color=COLOURS[arm], ms=4, alpha=0.6, mew=0)
        interval = mean_interval(seconds)
        errors = [[interval.mean - interval.low], [interval.high - interval.mean]]
        axis.errorbar(interval.mean, row - 0.12, xerr=errors, fmt="D", color=COLOURS[arm], ms=6, capsize=3)
    row_labels(axis, list(COSTS.values()))
    axis.set(ylim=(len(COSTS) - 0.5, -0.5), xlabel="milliseconds a step")
    axis.set_xlim(left=0)
    return figure


def ladder(rungs: pd.DataFrame) -> Figure:
    """Draw the steps to each target of accuracy, a rung a target and a mark an arm; hollow: never got there.

    ``rungs``: target, arm, seed, step, arrived. Bars are 95 % intervals over seeds, of the logarithm.
    """
    targets = sorted(rungs["target"].unique())
    figure, axis = panels(0.75 * len(targets) + 1.2)
    for rung, target in enumerate(targets):
        for arm, shift in (("none", 0.16), ("batch", -0.16)):
            part = rungs[(rungs["target"] == target) & (rungs["arm"] == arm)]
            colour, mark, at = COLOURS[arm], MARKERS[arm], rung + shift
            for arrived, fill in ((True, colour), (False, "none")):
                steps = part[part["arrived"] == arrived]["step"]
                axis.plot(
                    steps, [at - 0.1] * len(steps), mark, color=colour, mfc=fill, ms=3, alpha=0.6, mew=0.8
                )
            mean = mean_interval(np.log(part["step"]))
            axis.plot(np.exp([mean.low, mean.high]), [at, at], "-", color=colour, lw=1.8)
            axis.plot(np.exp(mean.mean), at, mark, color=colour, ms=7, mew=0)
    axis.set_yticks(range(len(targets)), [f"{target:.0%}" for target in targets])
    axis.set(xscale="log", xlabel="training step", ylabel="test accuracy", ylim=(-0.5, len(targets) - 0.5))
    plain_ticks(axis.xaxis)
    _legend(figure)
    return figure


def _curve(axis: Axes, part: pd.DataFrame, arm: str, scale: float) -> None:
    scaled = part.assign(at=part["step"] * scale)
    curve(axis, scaled, "accuracy", COLOURS[arm], x="at", marker=MARKERS[arm], ms=3.5, lw=1.5, mew=0)


def _accuracies(axis: Axes, every: pd.DataFrame, target: float) -> None:
    axis.axhline(target, color=NEUTRAL, lw=1, ls=":")
    # Bands of few seeds may leave the range of an accuracy; the runs set the scale.
    axis.set(ylim=(0, min(1.0, 1.1 * max(every["accuracy"].max(), target))), ylabel="test accuracy")
    axis.set_xlim(left=0)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _legend(figure: Figure, names: Mapping[str, str] = NAMES, columns: int = 2) -> None:
    handles = [sample(name, COLOURS[arm], MARKERS[arm], ms=4, lw=1.5, mew=0) for arm, name in names.items()]
    legend_above(figure, handles, ncols=columns)
