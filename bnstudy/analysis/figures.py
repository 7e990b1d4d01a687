"""The figures of the decay chapter."""

from __future__ import annotations

import os

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bnstudy.analysis.decay import PARTS, error_split
from bnstudy.analysis.style import BATCH, NEUTRAL, PRECISE, decay_colours
from bnstudy.analysis.tables import last_step, summary

PART_COLOURS = {"initialisation bias": "#0072b2", "staleness": "#d55e00", "sampling noise": "#cc79a7"}


def accuracy_over_training(evaluation: pd.DataFrame) -> Figure:
    """Draw test accuracy over training steps by decay, one panel a schedule, with 95 % bands over seeds."""
    test = evaluation[evaluation["split"] == "test"]
    schedules = sorted(test["schedule"].unique(), reverse=True)
    figure, axes = _panels(schedules)
    # Bands of few seeds may leave the range of an accuracy; the curves set the scale.
    top = min(1.0, 1.1 * test["accuracy"].max())
    for axis, schedule in zip(axes, schedules, strict=True):
        part = test[test["schedule"] == schedule]
        plain = part[(part["statistics"] == "moving") & (part["zero_debias"] == "none")]
        ends = {}
        for decay, colour in decay_colours(plain["decay"].unique()).items():
            ends[f"{decay:g}"] = _curve(axis, plain[plain["decay"] == decay], colour, "-"), colour
        _curve(axis, part[part["statistics"] == "batch"], BATCH, "--")
        _curve(axis, part[part["statistics"] == "precise"], PRECISE, ":")
        axis.set(xscale="log", ylabel="test accuracy", title=f"{schedule} learning rate", ylim=(0, top))
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        _label_ends(axis, ends)
    axes[-1].set_xlabel("training step")
    axes[0].plot([], [], color=BATCH, ls="--", label="batch statistics")
    axes[0].plot([], [], color=PRECISE, ls=":", label="precise statistics")
    axes[0].plot([], [], color=NEUTRAL, ls="-", label="moving averages,\nby decay")
    axes[0].legend(loc="upper left", fontsize=9)
    return figure


def error_by_decay(evaluation: pd.DataFrame) -> Figure:
    """Draw the three parts of the accuracy lost at the last step by decay, with 95 % intervals over seeds."""
    split = last_step(error_split(evaluation))
    schedules = sorted(split["schedule"].unique(), reverse=True)
    figure, axes = _panels(schedules)
    decays = sorted(split["decay"].unique())
    for axis, schedule in zip(axes, schedules, strict=True):
        part = split[split["schedule"] == schedule]
        table = summary(part, ["part", "decay"], "loss_of_accuracy")
        for i, name in enumerate(PARTS):
            rows = table[table["part"] == name].sort_values("decay")
            at = [decays.index(d) + (i - 1) * 0.22 for d in rows["decay"]]
            errors = [rows["mean"] - rows["low"], rows["high"] - rows["mean"]]
            axis.errorbar(
                at, rows["mean"], errors, fmt="os^"[i], ms=5, color=PART_COLOURS[name], label=name, capsize=2
            )
        axis.axhline(0, color=NEUTRAL, lw=0.8)
        axis.set(ylabel="test accuracy lost\n(percentage points)", title=f"{schedule} learning rate")
        axis.set_xticks(range(len(decays)), [f"{d:g}" for d in decays])
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
    axes[-1].set_xlabel("decay")
    axes[0].legend(loc="upper left", fontsize=9)
    return figure


def save_svg(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as SVG, the same bytes for the same figure."""
    figure.savefig(path, format="svg", metadata={"Date": None})


def _panels(names: list[str]) -> tuple[Figure, list[Axes]]:
    # One above the other, so that the text stays readable on a phone.
    figure, axes = plt.subplots(
        len(names),
        1,
        figsize=(5.6, 3.5 * len(names)),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    return figure, list(axes[:, 0])


def _curve(axis: Axes, rows: pd.DataFrame, colour: str | tuple[float, float, float], style: str) -> float:
    """Draw one mean with its band; return where it ends."""
    table = summary(rows, ["step"], "accuracy")
    axis.plot(table["step"], table["mean"], style, color=colour, lw=1.6)
    axis.fill_between(table["step"], table["low"], table["high"], color=colour, alpha=0.2, lw=0)
    return float(table["mean"].iloc[-1])


def _label_ends(axis: Axes, ends: dict[str, tuple[float, tuple[float, float, float]]]) -> None:
    """Write each curve's name beside its end, pushed apart where they would overlap."""
    least = 0.055 * axis.get_ylim()[1]
    position = -1.0
    for name, (y, colour) in sorted(ends.items(), key=lambda item: item[1][0]):
        position = max(y, position + least)
        axis.annotate(
            name,
            (1.0, position),
            xytext=(6, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            color=colour,
            va="center",
            fontsize=9,
        )
