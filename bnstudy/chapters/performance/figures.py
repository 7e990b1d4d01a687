"""The figure of the performance chapter."""

from __future__ import annotations

import textwrap

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from bnstudy.analysis.style import NEUTRAL, SMALL, legend_above, panels, sample
from bnstudy.chapters.performance.page import Result, met

# As a run's end: green for what came as asked, red for what did not.
MET = {True: "#007755", False: "#cc3311", None: NEUTRAL}
NAMES = {True: "target met", False: "target missed", None: "no target"}


def ratios(result: Result) -> Figure:
    """Draw every ratio of a result with its lowest and highest pair, and its target where it has one."""
    found = [line for line in result["lines"] if "ratio" in line]
    figure, axis = panels(0.9 + 0.66 * len(found))
    places = range(len(found))
    for place, line in zip(places, reversed(found), strict=True):
        good = met(line)
        colour = MET[good]
        axis.plot([line["low"], line["high"]], [place, place], color=colour, lw=2)
        axis.plot(line["ratio"], place, "o", color=colour, ms=6)
        # A line's name is longer than what could stand beside its mark on a phone.
        axis.annotate(
            textwrap.fill(line["name"], 50),
            (0, place),
            xycoords=("axes fraction", "data"),
            xytext=(0, 8),
            textcoords="offset points",
            fontsize=SMALL,
        )
        if line["target"]:
            axis.plot(float(line["target"].rsplit(" ", 1)[1]), place, "|", color=NEUTRAL, ms=11, mew=2)
    # Between the names, not through them.
    axis.vlines(
        [1] * len(found), [p - 0.15 for p in places], [p + 0.15 for p in places], NEUTRAL, ":", lw=0.8
    )
    axis.set(xscale="log", xlabel="time of the first over time of the second", yticks=[])
    axis.set_ylim(-0.6, len(found) - 0.1)
    axis.set_xticks([tick for tick in (0.5, 1, 2, 5, 10, 20, 50) if _within(tick, found)])
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.spines["left"].set_visible(False)
    shown = {met(line) for line in found}
    marks = [sample(NAMES[good], MET[good], "o") for good in NAMES if good in shown]
    target = sample("target", NEUTRAL, "|", ms=11, mew=2, ls="")
    legend_above(figure, [*marks, *([target] if shown - {None} else [])])
    return figure


def _within(tick: float, found: list[Result]) -> bool:
    return bool(0.7 * min(line["low"] for line in found) <= tick <= 1.1 * max(line["high"] for line in found))
