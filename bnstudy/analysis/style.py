"""One look for every figure: the same colour for the same arm, and SVG that is the same each time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter
from matplotlib.transforms import ScaledTranslation

from bnstudy.analysis.statistics import mean_interval

NEUTRAL = "#333333"  # the book's style sheet turns a figure's dark ink light on a dark page

# Wide enough to read beside the text, and narrow enough for its letters to stay legible on a phone.
WIDTH = 4.4
SMALL = 10.5
LINE = 1.1 * SMALL  # from one line of a label to the next, in points

# One colour an arm, in every figure of the book. These are the arms of several chapters; the figures of each
# add their own to them, as COLOURS. The hues are Okabe and Ito's (2008), which the common kinds of colour
# blindness keep apart; the yellows are darkened to be seen on white.
ARMS = {
    # statistics that an evaluation normalises with
    "batch statistics": "#cc3311",
    "precise statistics": NEUTRAL,
    "moving averages": "#0072b2",
    # networks
    "none": "#666666",
    "batch": "#0072b2",
}

# What the arm "none" is called, in every figure, table and text.
WITHOUT = "without batch norm"


def use_style() -> None:
    """Set seaborn's and matplotlib's defaults for the book."""
    sns.set_theme(style="ticks", context="notebook")
    mpl.rcParams.update(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "bnstudy",
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            "text.color": NEUTRAL,
            "axes.labelcolor": NEUTRAL,
            "axes.edgecolor": NEUTRAL,
            "axes.titlecolor": NEUTRAL,
            "xtick.color": NEUTRAL,
            "ytick.color": NEUTRAL,
            "legend.frameon": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "font.family": "sans-serif",
            "legend.fontsize": SMALL,
            "xtick.labelsize": SMALL,
            "ytick.labelsize": SMALL,
        }
    )


def decay_colour(decay: float) -> str:
    """Return the colour of a decay, the same whatever other decays a figure shows.

    Viridis by the steps that the average looks back over, 1 / (1 - decay), on a log scale from 1 to 10,000;
    its bright end is left out, as too faint for a line.
    """
    depth = min(math.log10(1 / (1 - decay)) / 4, 1.0)
    red, green, blue = sns.color_palette("viridis", 256)[round(150 * depth**0.6)]
    return str(to_hex((red, green, blue)))


def panels(height: float, rows: int = 1, columns: int = 1, **settings: Any) -> tuple[Figure, Any]:
    """Return a figure of the book's width and its axes; ``settings`` are keywords of ``pyplot.subplots``."""
    return plt.subplots(rows, columns, figsize=(WIDTH, height), layout="constrained", **settings)


def plain_ticks(axis: Axis) -> None:
    """Label the major ticks of a log axis with plain numbers, and no others."""
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def sample(label: str, colour: str, marker: str = "", **line: Any) -> Line2D:
    """Return what stands beside ``label`` in a legend."""
    return Line2D([], [], color=colour, marker=marker, label=label, **line)


def legend_above(figure: Figure, handles: Sequence[Artist], **changes: Any) -> None:
    """Put a figure's legend above its panels, in two columns; ``changes`` are keywords of matplotlib's."""
    settings: dict[str, Any] = {"ncols": 2, "columnspacing": 1.0, "handletextpad": 0.4, "fontsize": SMALL}
    figure.legend(handles=handles, loc="outside upper center", **{**settings, **changes})


def row_labels(axis: Axes, labels: Sequence[str]) -> None:
    """Label the rows 0, 1, ... of an axis at its left, each label's lines right-aligned.

    Every line is a text of its own. Matplotlib places the lines of one text by the widths that they have in
    its own font, and a browser that draws an SVG with another font would leave them ragged.
    """
    axis.set_yticks(range(len(labels)), [""] * len(labels))
    figure = axis.figure
    aside = -(mpl.rcParams["ytick.major.size"] + mpl.rcParams["ytick.major.pad"])
    for row, label in enumerate(labels):
        lines = label.split("\n")
        for i, line in enumerate(lines):
            above = LINE * ((len(lines) - 1) / 2 - i)
            place = ScaledTranslation(aside / 72, above / 72, figure.dpi_scale_trans)
            axis.text(
                0, row, line, transform=axis.get_yaxis_transform() + place, ha="right",
                va="center_baseline", fontsize=SMALL,
            )  # fmt: skip


def curve(
    axis: Axes, runs: pd.DataFrame, y: str, colour: str, *, x: str = "step", band: float = 0.18, **line: Any
) -> None:
    """Draw a mean over seeds along ``x``, with its 95 % band (Student's t, each place on its own).

    ``runs`` has a row a seed and place. On an axis that has a log scale already, mean and band are those of
    the logarithm. ``line`` are keywords of matplotlib's.
    """
    if runs.empty:  # as where every run of an arm diverged before its first evaluation
        return
    labels = {"xlabel": axis.get_xlabel(), "ylabel": axis.get_ylabel()}
    style = {"err_kws": {"alpha": band, "linewidth": 0}, "legend": False}
    # With none there, seaborn makes every tick's label to choose whether to show one.
    axis.set(xlabel=x, ylabel=y)
    sns.lineplot(runs, x=x, y=y, color=colour, errorbar=_bounds, ax=axis, **style, **line)
    axis.set(**labels)  # seaborn's are the columns' names


def _bounds(values: Iterable[float]) -> tuple[float, float]:
    interval = mean_interval(values)
    return interval.low, interval.high


def seed_points(
    axis: Axes, values: Iterable[float], at: float, colour: str, marker: str = "o", *, across: bool = True
) -> None:
    """Draw values as small points, and their mean with its 95 % bar (Student's t), at one place of an axis.

    The values lie along the horizontal axis, or with ``across=False`` along the upright one. No values, as
    where every run of an arm diverged, draw nothing.
    """
    data = list(values)
    if not data:
        return
    interval = mean_interval(data)
    place, middle = [at] * len(data), [interval.mean]
    bar = [[interval.mean - interval.low], [interval.high - interval.mean]]
    (x, y), (mean_x, mean_y) = ((data, place), (middle, [at])) if across else ((place, data), ([at], middle))
    axis.plot(x, y, ".", color=colour, ms=6, alpha=0.45, mew=0)
    xerr, yerr = (bar, None) if across else (None, bar)
    axis.errorbar(mean_x, mean_y, yerr, xerr, fmt=marker, ms=5.5, color=colour, capsize=2.5, elinewidth=1.3)
