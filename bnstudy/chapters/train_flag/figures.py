"""The figures of the chapter on the training flag."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.style import ARMS, SMALL, curve, legend_above, panels, plain_ticks, sample
from bnstudy.chapters.train_flag.rules import ORDERS

COLOURS = {
    **ARMS,
    "is_training=False": "#0072b2",
    "is_training=True": "#cc3311",
    "False after True": "#997700",
}

# By the table's column ``statistics``: name, mark and line. "False" is the article's advice.
FLAGS = {
    "moving": ("is_training=False", "o", "-"),
    "batch": ("is_training=True", "s", "-"),
    "leaked": ("False after True", "^", "--"),
}


def accuracy_by_size(flag: pd.DataFrame) -> Figure:
    """Draw test accuracy against the size of test batches, a panel an order and a curve a flag.

    Points: every seed; bands: 95 % over seeds.
    """
    figure, axes = panels(2.7 * len(ORDERS) + 0.7, len(ORDERS), sharex=True, sharey=True)  # fmt: skip
    for axis, order in zip(axes, ORDERS, strict=True):
        for statistics, (name, mark, line) in FLAGS.items():
            runs = flag[(flag["order"] == order) & (flag["statistics"] == statistics)]
            colour, style = COLOURS[name], {"ls": line, "marker": mark, "ms": 4, "lw": 1.4, "mew": 0}
            curve(axis, runs, "accuracy", colour, x="test_batch_size", band=0.15, **style)
            axis.plot(runs["test_batch_size"], runs["accuracy"], mark, color=colour, ms=2.5, alpha=0.4, mew=0)
        axis.set(xscale="log", ylabel="test accuracy")
        axis.set_title(order, fontsize=SMALL + 1)
    axes[0].set_ylim(0, _top(flag))
    axes[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    plain_ticks(axes[-1].xaxis)
    axes[-1].set_xlabel("images in a test batch")
    _legend(figure)
    return figure


def accuracy_at_size(flag: pd.DataFrame, size: int) -> Figure:
    """Draw test accuracy by order and flag in test batches of ``size``: every seed, mean, 95 % interval.

    The scale is that of all sizes, so that the figures can follow one another.
    """
    figure, axis = panels(3.4)
    now = flag[flag["test_batch_size"] == size]
    for i, order in enumerate(ORDERS):
        for k, (statistics, (name, mark, _)) in enumerate(FLAGS.items()):
            values = now[(now["order"] == order) & (now["statistics"] == statistics)]["accuracy"]
            interval = mean_interval(values)
            at, colour = i + (k - 1) * 0.26, COLOURS[name]
            axis.plot([at + 0.09] * len(values), values, mark, color=colour, ms=3.5, alpha=0.45, mew=0)
            axis.plot([at, at], [interval.low, interval.high], "-", color=colour, lw=1.6)
            axis.plot(at, interval.mean, mark, color=colour, ms=7, mew=0)
    axis.set_xticks(range(len(ORDERS)), ORDERS)
    axis.set(xlabel="order of the test images", ylabel="test accuracy", xlim=(-0.5, len(ORDERS) - 0.5))
    axis.set_ylim(0, _top(flag))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _legend(figure)
    return figure


def _top(flag: pd.DataFrame) -> float:
    return min(1.0, 1.1 * float(flag["accuracy"].max()))


def _legend(figure: Figure) -> None:
    handles = [
        sample(name, COLOURS[name], mark, ms=5, lw=1.4, ls=line, mew=0) for name, mark, line in FLAGS.values()
    ]
    legend_above(figure, handles, handlelength=1.8)
