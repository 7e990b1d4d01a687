"""The figures of the covariate-shift chapter."""

from __future__ import annotations

import itertools

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from bnstudy.analysis.style import (
    ARMS,
    NEUTRAL,
    SMALL,
    WITHOUT,
    curve,
    legend_above,
    panels,
    plain_ticks,
    sample,
)
from bnstudy.analysis.tables import last_step, summary
from bnstudy.chapters.covariate_shift.rules import C3

COLOURS = {
    **ARMS,
    "noisy batch": "#aa4499",
    "normalised": "#0072b2",
    "output": "#d55e00",
    "activated": "#007755",
}

NAMES = {"none": WITHOUT, "batch": "batch norm", "noisy batch": "noisy batch norm"}
MARKERS = {"none": "o", "batch": "s", "noisy batch": "^"}
STAGES = {"normalised": "o", "output": "s", "activated": "^"}


def shift_by_layer(relative: pd.Series[float], cosine: pd.Series[float], training: str) -> Figure:
    """Draw relative shift and cosine over training, a row a layer and a curve an arm, with 95 % bands.

    Both are indexed by arm, training, seed, step and layer. Axes are the same for every training.
    """
    layers = sorted(relative.index.unique("layer"))
    figure, axes = panels(1.35 * len(layers) + 0.8, len(layers), 2, sharex=True, sharey="col", squeeze=False)
    for column, values in enumerate((relative, cosine)):
        for axis, layer in zip(axes[:, column], layers, strict=True):
            _curves(axis, values.xs((training, layer), level=("training", "layer")), log=column == 0)
        means = values.groupby(["arm", "training", "step", "layer"]).mean()
        if column == 0:
            positive = means[means > 0]
            axes[0, 0].set_ylim(positive.min() / 1.3, positive.max() * 1.3)
        else:
            axes[0, 1].set_ylim(min(0.0, means.min()) - 0.05, 1.05)
    for axis in axes.flat:
        axis.minorticks_off()  # panels are small, and hundreds of ticks heavy
    for axis, layer in zip(axes[:, 0], layers, strict=True):
        axis.set_ylabel(layer)
    axes[0, 0].set_title("relative shift", fontsize=SMALL + 1)
    axes[0, 1].set_title("cosine", fontsize=SMALL + 1)
    for axis in axes[-1]:
        axis.set_xlabel("training step")
    _legend(figure, relative)
    return figure


def over_training(values: pd.Series[float], ylabel: str, *, log: bool = True) -> Figure:
    """Draw a quantity's mean over layers along training, a panel a training and a curve an arm.

    ``values`` are indexed by arm, training, seed, step and, where there are any, layer. Bands: 95 % over
    seeds; with ``log``, means and bands are those of the logarithm.
    """
    trainings = list(values.index.unique("training"))
    height = (len(trainings) + 1) // 2
    figure, axes = panels(
        1.9 * height + 0.9, height, min(len(trainings), 2), sharex=True, sharey=True, squeeze=False
    )
    means = values.groupby(["arm", "training", "step"]).mean()
    for axis, training in zip(axes.flat, trainings, strict=False):
        _curves(axis, values.xs(training, level="training"), log=log)
        axis.set_title(training, fontsize=SMALL + 1)
    for axis in axes.flat[len(trainings) :]:
        axis.set_axis_off()
    if log:
        positive = means[means > 0]
        axes[0, 0].set_ylim(positive.min() / 1.3, positive.max() * 1.3)
    else:
        pad = 0.06 * (means.max() - means.min())
        axes[0, 0].set_ylim(means.min() - pad, means.max() + pad)
    figure.supylabel(ylabel, fontsize=SMALL + 1, color=NEUTRAL)
    figure.supxlabel("training step", fontsize=SMALL + 1, color=NEUTRAL)
    _legend(figure, values)
    return figure


def accuracy_against_shift(shift: pd.Series[float], accuracy: pd.Series[float]) -> Figure:
    """Draw each run's test accuracy (in percent) against its mean relative shift.

    Both are indexed by arm, training and seed. Colour says the arm, the mark the training.
    """
    trainings = list(shift.index.unique("training"))
    marks = dict(zip(trainings, itertools.cycle("os^DvP*X"), strict=False))
    figure, axis = panels(4.4)
    for arm, training in itertools.product(_arms(shift), trainings):
        at, reached = (v.xs((arm, training), level=("arm", "training")) for v in (shift, accuracy))
        axis.plot(at, 100 * reached, marks[training], color=COLOURS[arm], ms=6, alpha=0.7, mew=0)
    axis.set(xscale="log", xlabel="relative shift, mean of the run", ylabel="test accuracy (%)")
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    plain_ticks(axis.xaxis)
    handles = [sample(NAMES[arm], COLOURS[arm], "o", ls="", ms=6) for arm in _arms(shift)]
    handles += [sample(training, NEUTRAL, marks[training], ls="", ms=6) for training in trainings]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, columnspacing=1.0, handletextpad=0.2)
    return figure


def normality(gaussianity: pd.DataFrame) -> Figure:
    """Draw skewness, kurtosis and distance to the standard Gaussian by layer, with batch norm.

    Last step, means over trainings, bars: 95 % over seeds. The dotted lines are the bounds of C3's rules.
    """
    norms = gaussianity[(gaussianity["arm"] == "batch") & gaussianity["layer"].str.endswith(".norm")]
    last = last_step(norms)
    last = last.assign(layer=last["layer"].str.split(".").str[-2])
    distance, skewness = (rule.threshold for rule in C3.rules)
    shapes = {
        "skewness": ("absolute skewness", skewness),
        "excess_kurtosis": ("excess kurtosis", None),
        "normal_distance": ("distance", distance),
    }
    layers = sorted(last["layer"].unique())
    figure, axes = panels(2.1 * len(shapes) + 0.6, len(shapes), sharex=True)
    for axis, (quantity, (label, bound)) in zip(axes, shapes.items(), strict=True):
        for i, (stage, marker) in enumerate(STAGES.items()):
            chosen = last[last["quantity"] == f"{stage}_{quantity}"]
            table = summary(
                chosen.groupby(["seed", "layer"])["value"].mean().reset_index(), ["layer"], "value"
            )
            at = [layers.index(layer) + (i - 1) * 0.2 for layer in table["layer"]]
            errors = [table["mean"] - table["low"], table["high"] - table["mean"]]
            axis.errorbar(
                at, table["mean"], errors, fmt=marker, ms=5, color=COLOURS[stage], label=stage, capsize=2
            )
        axis.axhline(0, color=NEUTRAL, lw=0.8)
        if bound is not None:
            axis.axhline(bound, color=NEUTRAL, lw=1, ls=":")
        axis.set_ylabel(label)
    axes[-1].set_xticks(range(len(layers)), layers)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, columnspacing=1.2
    )
    return figure


def _curves(axis: Axes, values: pd.Series[float], *, log: bool) -> None:
    """Draw each arm's mean over seeds along training, with its band; with ``log``, those of the logarithm."""
    runs = values.groupby(["arm", "seed", "step"]).mean()
    if log:
        # A network that has died moves nothing; zero has no place on the axis.
        runs = runs[runs > 0]
        axis.set_yscale("log")
    table = runs.rename("value").reset_index()
    for arm in _arms(values):
        of_arm = table[table["arm"] == arm]
        curve(axis, of_arm, "value", COLOURS[arm], marker=MARKERS[arm], ms=3.5, lw=1.4, mew=0)
    axis.set_xscale("log")
    last = int(values.index.unique("step").max())
    decades = [10**k for k in range(len(str(last)))]
    # The last step too, unless its label would run into a decade's.
    axis.set_xticks([*decades, *([last] if last >= 4 * decades[-1] else [])])
    plain_ticks(axis.xaxis)


def _arms(values: pd.Series[float]) -> list[str]:
    there = set(values.index.unique("arm"))
    return [arm for arm in NAMES if arm in there]


def _legend(figure: Figure, values: pd.Series[float]) -> None:
    handles = [sample(NAMES[arm], COLOURS[arm], MARKERS[arm], ms=4, lw=1.4) for arm in _arms(values)]
    legend_above(figure, handles, handlelength=1.4)
