"""Draw the picture that goes with a link to the book, from the recorded results: ``card.py FILE.png``."""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.ticker import PercentFormatter

import bnstudy
from bnstudy.analysis.style import NEUTRAL, decay_colour, use_style
from bnstudy.analysis.tables import last_step, summary

# What messengers and networks show: 1200 by 630.
WIDTH, HEIGHT, DOTS = 12.0, 6.3, 100
TITLE = "Batch normalization, measured"
SAYS = "The thirteen claims of a tutorial,\ntested on its own network"


def main(file: Path) -> None:
    """Draw test accuracy by decay at the end of training, and what the book is."""
    use_style()
    rows = last_step(bnstudy.load("decay")["evaluation"])
    rows = rows[(rows["split"] == "test") & (rows["schedule"] == "constant")]
    plain = rows[(rows["statistics"] == "moving") & (rows["zero_debias"] == "none")]
    table = summary(plain, ["decay"], "accuracy")
    figure = plt.figure(figsize=(WIDTH, HEIGHT), dpi=DOTS, facecolor="white")
    figure.text(0.06, 0.83, TITLE, fontsize=37, fontweight="bold", color=NEUTRAL)
    figure.text(0.06, 0.63, SAYS, fontsize=24, color=NEUTRAL, linespacing=1.4)
    behind = f"{len(plain['seed'].unique())} seeds, 95 % intervals;\na record behind every number"
    figure.text(0.06, 0.12, behind, fontsize=19, color="#666666", linespacing=1.4)
    axis = figure.add_axes((0.56, 0.17, 0.39, 0.56), facecolor="none")
    for place, row in enumerate(table.itertuples()):
        bar = [[row.mean - row.low], [row.high - row.mean]]
        axis.errorbar(
            place, row.mean, bar, fmt="o", ms=13, color=decay_colour(row.decay), elinewidth=3, capsize=5
        )
    axis.set_xticks(range(len(table)), [f"{decay:g}" for decay in table["decay"]], fontsize=13)
    axis.set_ylim(0, None)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.tick_params(axis="y", labelsize=15)
    axis.set_xlabel("decay of the moving averages", fontsize=18)
    axis.set_title("test accuracy of the same weights", fontsize=18, loc="left", pad=12)
    figure.savefig(file, dpi=DOTS, facecolor="white", metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
