"""One look for every figure: the same colour for the same arm, and SVG that is the same each time."""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib as mpl
import seaborn as sns

NEUTRAL = "#777777"  # legible on white and on the dark theme alike
BATCH = "#009e73"
PRECISE = "#777777"


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
        }
    )


def decay_colours(decays: Iterable[float]) -> dict[float, tuple[float, float, float]]:
    """Return a colour for each decay, by rank, on a colour-blind safe sequence for light and dark."""
    ordered = sorted(decays)
    palette = sns.color_palette("viridis", 256)
    # The two ends vanish on a dark and on a light page.
    where = [60 + round(150 * i / max(len(ordered) - 1, 1)) for i in range(len(ordered))]
    return {d: palette[w] for d, w in zip(ordered, where, strict=True)}
