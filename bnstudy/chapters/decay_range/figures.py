"""The figures of the chapter on decay's other settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from seaborn.utils import relative_luminance

from bnstudy.analysis.rules import SMALLEST_EFFECT
from bnstudy.analysis.style import (
    NEUTRAL,
    SMALL,
    decay_colour,
    legend_above,
    panels,
    sample,
    seed_points,
)
from bnstudy.chapters.decay.figures import COLOURS as DECAY
from bnstudy.chapters.decay.rules import PARTS
from bnstudy.chapters.decay_range.rules import LARGE, USUAL

COLOURS = {
    **DECAY,
    "overfitting": "#007755",
}

# By claim: the title of its panel, what is on its axis, and the decay whose colour it has. The panels are
# narrow: what each decay is held against is said in the caption.
CONTRASTS = {
    "C6": (f"C6: decay {USUAL:g}", "test accuracy,\ndifference (points)", USUAL),
    "C7": (f"C7: decay {LARGE:g}", "training less test\naccuracy (points)", LARGE),
}
CAUSES = {"overfitting": ("overfitting", "D"), "staleness": ("staleness", "s")}
MARKERS = dict(zip(PARTS, "os^", strict=True))

# Of blues and yellows, evenly from light to dark: its order is seen without red or green.
POINTS_LOST = "cividis_r"

Values = Mapping[str, "pd.Series[float]"]


def points_lost(
    lost: pd.DataFrame, fitting: Mapping[str, float], rows: Mapping[str, Mapping[str, str]]
) -> Figure:
    """Draw test accuracy lost (in points) as a map: decay across, a panel a quantity and a row a value of it.

    ``lost`` has columns setting, seed, decay and lost; a cell is the mean over seeds, and one of a setting
    without any is left empty. ``rows`` has the settings by panel and label. Framed: ``fitting``.
    """
    cells = (100 * lost.pivot_table("lost", "setting", "decay")).round(1) + 0.0  # no cell says -0.0
    decays: list[Any] = list(cells.columns)
    largest = max(1.0, float(np.nanmax(cells.to_numpy()))) if decays else 1.0
    heights = [len(settings) for settings in rows.values()]
    figure, axes = panels(
        0.42 * sum(heights) + 0.55 * len(rows) + 0.5,
        len(rows),
        squeeze=False,
        sharex=True,
        gridspec_kw={"height_ratios": heights},
    )
    for axis, (quantity, settings) in zip(axes[:, 0], rows.items(), strict=True):
        here = cells.reindex(list(settings.values()))
        if here.notna().any(axis=None):
            sns.heatmap(
                here.set_axis(list(settings)),
                ax=axis, cmap=POINTS_LOST, vmin=0, vmax=largest, cbar=False, annot=True, fmt=".1f",
                annot_kws={"fontsize": SMALL},
            )  # fmt: skip
        for text in axis.texts:
            # Black or white, whichever the cell contrasts with more.
            cell = colormaps[POINTS_LOST](float(text.get_text()) / largest)
            text.set_color("black" if relative_luminance(cell) > 0.18 else "white")
        for row, setting in enumerate(settings.values()):
            if setting in fitting:
                place = (decays.index(fitting[setting]), row)
                axis.add_patch(Rectangle(place, 1, 1, fill=False, ec=NEUTRAL, lw=2, clip_on=False))
        axis.set(xlabel="", ylabel="")
        axis.set_title(quantity, fontsize=SMALL + 1, loc="left")
        axis.tick_params(length=0, labelbottom=True, labelrotation=0)
    axes[-1, 0].set_xticks(np.arange(len(decays)) + 0.5, [f"{decay:g}" for decay in decays])
    for axis in axes[:-1, 0]:
        axis.tick_params(labelbottom=False)
    axes[-1, 0].set_xlabel("decay")
    return figure


def contrasts(values: Mapping[str, Values], settings: Sequence[str]) -> Figure:
    """Draw C6's and C7's contrasts (in points), a panel each and a row a setting; dotted: the rules' bound.

    ``values`` has, by claim and setting, paired differences by seed. A setting without any is left empty.
    """
    figure, axes = panels(0.62 * len(settings) + 1.6, 1, 2, sharey=True)
    for axis, (claim, (title, label, decay)) in zip(axes, CONTRASTS.items(), strict=True):
        for row, setting in enumerate(settings):
            seed_points(axis, 100 * values[claim].get(setting, _NONE), row, decay_colour(decay))
        _bounded(axis)
        axis.set_title(title, fontsize=SMALL + 1, loc="left")
        axis.set_xlabel(label, fontsize=SMALL)
    _rows(axes[0], [_short(setting) for setting in settings])
    return figure


def parts_by_decay(parts: pd.DataFrame, fitting: Mapping[str, float], settings: Sequence[str]) -> Figure:
    """Draw the parts of the accuracy lost (in points) by decay, a panel a setting; grey: the decay that fits.

    ``parts`` has columns setting, decay, part, seed and loss_of_accuracy.
    """
    shown = [setting for setting in settings if (parts["setting"] == setting).any()] or list(settings[:1])
    decays = sorted(parts["decay"].unique())
    figure, axes = panels(1.9 * len(shown) + 0.9, len(shown), sharex=True, sharey=True, squeeze=False)
    for axis, setting in zip(axes[:, 0], shown, strict=True):
        here = parts[parts["setting"] == setting]
        for i, (part, marker) in enumerate(MARKERS.items()):
            for place, decay in enumerate(decays):
                lost = here[(here["part"] == part) & (here["decay"] == decay)]["loss_of_accuracy"]
                seed_points(axis, 100 * lost, place + (i - 1) * 0.24, COLOURS[part], marker, across=False)
        axis.axhline(0, color=NEUTRAL, lw=0.8)
        if setting in fitting:
            at = decays.index(fitting[setting])
            axis.axvspan(at - 0.45, at + 0.45, color=NEUTRAL, alpha=0.1, lw=0)
        axis.set_title(setting, fontsize=SMALL + 1, loc="left")
    axes[-1, 0].set_xticks(range(len(decays)), [f"{d:g}" for d in decays])
    axes[-1, 0].set_xlabel("decay")
    figure.supylabel("test accuracy lost (points)", fontsize=SMALL + 1, color=NEUTRAL)
    legend_above(figure, _handles({part: (part, marker) for part, marker in MARKERS.items()}))
    return figure


def causes(values: Mapping[str, Values], fitting: Mapping[str, float], settings: Sequence[str]) -> Figure:
    """Draw what the decay that fits loses by each cause (in points), a row a setting; dotted: the bound.

    ``values`` has, by cause and setting, paired differences by seed; ``fitting`` each setting's decay.
    """
    figure, axis = panels(0.72 * len(settings) + 1.3)
    for row, setting in enumerate(settings):
        for shift, (cause, (_, marker)) in zip((-0.15, 0.15), CAUSES.items(), strict=True):
            lost = 100 * values[cause].get(setting, _NONE)
            seed_points(axis, lost, row + shift, COLOURS[cause], marker)
    _bounded(axis)
    labels = [_short(s) + (f", decay {fitting[s]:g}" if s in fitting else "") for s in settings]
    _rows(axis, labels)
    axis.set_xlabel("accuracy lost (points)")
    legend_above(figure, _handles(CAUSES))
    return figure


_NONE: pd.Series[float] = pd.Series(dtype="float64")


def _short(setting: str) -> str:
    """Return a setting's label as beside an axis, where there is little room."""
    return setting.removeprefix("learning ")


def _bounded(axis: Axes) -> None:
    axis.axvline(0, color=NEUTRAL, lw=0.8)
    axis.axvline(100 * SMALLEST_EFFECT, color=NEUTRAL, lw=0.8, ls=":")


def _rows(axis: Axes, labels: Sequence[str]) -> None:
    axis.set_yticks(range(len(labels)), labels)
    axis.set_ylim(len(labels) - 0.5, -0.5)


def _handles(named: Mapping[str, tuple[str, str]]) -> list[Line2D]:
    return [sample(name, COLOURS[arm], marker, ls="", ms=5.5) for arm, (name, marker) in named.items()]
