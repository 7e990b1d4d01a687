"""The figures of what the second round's probes saw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from bnstudy.analysis.statistics import mean_interval
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
from bnstudy.blocks.shift import HALF_RATE

NAMES = {"none": WITHOUT, HALF_RATE: "without, half the rate", "batch": "batch norm"}
COLOURS = {
    "none": ARMS["none"],
    HALF_RATE: "#997700",
    "batch": ARMS["batch"],
    "fresh": "#aa4499",
    "frozen": "#007755",
}
MARKS = {"none": "o", HALF_RATE: "D", "batch": "s", "fresh": "^", "frozen": "v"}
NOISES = {"fresh": "fresh noise", "frozen": "frozen noise"}
TRAININGS = {"sgd": "SGD", "adam": "Adam"}


def by_layer(drift: pd.DataFrame, cosine: pd.DataFrame) -> Figure:
    """Draw drift and cosine by layer: a column a training, a mark an arm, bars of 95 % (Student's t).

    Both have the columns arm, training, seed, layer and value; drift's are binary logarithms.
    """
    figure, axes = panels(4.6, 2, len(TRAININGS), sharex=True, sharey="row")
    layers = sorted(drift["layer"].unique())
    for column, (training, title) in enumerate(TRAININGS.items()):
        axes[0, column].set_title(title, fontsize=SMALL + 1)
        for axis, table, log in ((axes[0, column], drift, True), (axes[1, column], cosine, False)):
            for i, arm in enumerate(NAMES):
                of_arm = table[(table["training"] == training) & (table["arm"] == arm)]
                _marks(axis, of_arm, layers, arm, (i - 1) * 0.2, log)
        axes[1, column].set_xticks(range(len(layers)), [layer.removeprefix("conv") for layer in layers])
    axes[0, 0].set(yscale="log", ylabel="inputs moved by a step\n(standard deviations)")
    axes[0, 0].yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    plain_ticks(axes[0, 0].yaxis)
    axes[0, 0].yaxis.set_minor_locator(NullLocator())
    axes[1, 0].set_ylabel("cosine")
    figure.supxlabel("convolution", fontsize=SMALL + 1, color=NEUTRAL)
    legend_above(figure, [sample(n, COLOURS[a], MARKS[a], ls="", ms=6, mew=0) for a, n in NAMES.items()])
    return figure


def shape(table: pd.DataFrame, bound: float) -> Figure:
    """Draw Kolmogorov's distance to a Gaussian along training: a panel a training, a line a layer.

    ``table`` has the columns training, seed, step, layer, value and sample. Dotted: ``bound``; dashed: what
    a Gaussian sample has.
    """
    figure, axes = panels(3.4, 1, len(TRAININGS), sharey=True)
    layers = sorted(table["layer"].unique())
    colours = [str(to_hex(c)) for c in sns.color_palette("viridis", len(layers) + 1)[:-1]]
    for axis, (training, title) in zip(axes, TRAININGS.items(), strict=True):
        part = table[table["training"] == training]
        for layer, colour in zip(layers, colours, strict=True):
            curve(axis, part[part["layer"] == layer], "value", colour, lw=1.6)
        drawn = part.groupby("step")["sample"].mean()
        axis.plot(drawn.index, drawn, color=NEUTRAL, lw=1, ls="--")
        axis.axhline(bound, color=NEUTRAL, lw=1, ls=":")
        axis.set(xscale="log")
        axis.set_title(title, fontsize=SMALL + 1)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_locator(NullLocator())
    # Only now: a limit that is set ends the scaling, and the panels share theirs.
    axes[0].set_ylim(0, None)
    axes[0].set_ylabel("Kolmogorov distance to a Gaussian")
    figure.supxlabel("training step", fontsize=SMALL + 1, color=NEUTRAL)
    handles = [sample(layer, colour, lw=1.6) for layer, colour in zip(layers, colours, strict=True)]
    handles.append(sample("a Gaussian sample", NEUTRAL, lw=1, ls="--"))
    legend_above(figure, handles, ncols=3)
    return figure


def noise(table: pd.DataFrame) -> Figure:
    """Draw shift, largest gradient and test accuracy against the noise's dose: a column a training.

    ``table`` has the columns arm, training, seed, kind, dose, shift, gradient (binary logarithms) and
    accuracy. Level lines: the networks without noise.
    """
    figure, axes = panels(6.2, 3, len(TRAININGS), sharex=True, sharey="row")
    shown = {"shift": "relative shift", "gradient": "largest gradient norm", "accuracy": "test accuracy (%)"}
    for column, (training, title) in enumerate(TRAININGS.items()):
        part = table[table["training"] == training]
        axes[0, column].set_title(title, fontsize=SMALL + 1)
        for axis, (quantity, label) in zip(axes[:, column], shown.items(), strict=True):
            log = quantity != "accuracy"
            values = part.assign(y=2 ** part[quantity] if log else 100 * part[quantity])
            if log:
                axis.set_yscale("log")
                axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
                plain_ticks(axis.yaxis)
                axis.yaxis.set_minor_locator(NullLocator())
            for arm in ("none", "batch"):
                level = part[part["arm"] == arm][quantity].mean()
                axis.axhline(2**level if log else 100 * level, color=COLOURS[arm], lw=1.2, ls="--")
            for kind in NOISES:
                of_kind = values[values["kind"] == kind]
                curve(axis, of_kind, "y", COLOURS[kind], x="dose", marker=MARKS[kind], ms=5, lw=1.4, mew=0)
            if column == 0:
                axis.set_ylabel(label)
    doses = sorted(table["dose"].dropna().unique())
    axes[0, 0].set_xscale("log", base=2)
    axes[0, 0].set_xticks(doses, [f"{dose:g}" for dose in doses])
    axes[0, 0].xaxis.set_minor_locator(NullLocator())
    figure.supxlabel("noise, times the published amount", fontsize=SMALL + 1, color=NEUTRAL)
    handles = [sample(name, COLOURS[kind], MARKS[kind], lw=1.4, ms=5) for kind, name in NOISES.items()]
    handles += [sample(NAMES[arm], COLOURS[arm], lw=1.2, ls="--") for arm in ("none", "batch")]
    legend_above(figure, handles)
    return figure


def _marks(axis: Axes, table: pd.DataFrame, layers: list[str], arm: str, aside: float, log: bool) -> None:
    found = [mean_interval(table[table["layer"] == layer]["value"]) for layer in layers]
    mean, low, high = (
        np.array([getattr(interval, end) for interval in found]) for end in ("mean", "low", "high")
    )
    if log:
        mean, low, high = 2**mean, 2**low, 2**high
    places = np.arange(len(layers)) + aside
    axis.errorbar(places, mean, [mean - low, high - mean], fmt=MARKS[arm], ms=6, color=COLOURS[arm], mew=0)
