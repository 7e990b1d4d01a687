"""The figure of a diagnosis: how far each layer's statistics are off, and what that costs."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

INK = "#333333"
MOVING, PRECISE = "#0072b2", "#d55e00"  # Okabe and Ito's (2008)
INFINITE = 1e6  # standard deviations, or units of loss, from which a bar says nothing
SHOWN = 24  # layers; more are unreadable beside the text


def draw(layers: pd.DataFrame) -> Figure:
    """Return the gap of each layer, in standard deviations, beside what exchanging it alone wins back."""
    rows = layers.nlargest(SHOWN, "mean_gap").sort_index()
    figure = Figure(figsize=(6.4, 1.2 + 0.24 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    places = range(len(rows))
    gaps = rows["mean_gap"]
    finite = gaps[gaps < INFINITE]
    edge = 1.15 * float(finite.max()) if len(finite) else 1.0
    left.barh(places, gaps.where(gaps < INFINITE, edge), color=MOVING, height=0.7)
    for place, gap in zip(places, gaps, strict=True):
        if not gap < INFINITE:
            left.text(edge, place, " broken", va="center")
    left.set_yticks(places, [str(name) or "(model)" for name in rows["layer"]])
    left.invert_yaxis()
    left.set_xlabel("gap of the mean (sd)")
    won = rows["recovered_loss"].where(rows["recovered_loss"].abs() < INFINITE)
    right.barh(places, won.fillna(0.0), color=PRECISE, height=0.7)
    right.axvline(0.0, color=INK, linewidth=0.8)
    right.set_xlabel("loss won back" if won.notna().any() else "loss won back: not measured")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def svg(layers: pd.DataFrame) -> str:
    """Return the figure as SVG whose ink is the page's own text colour."""
    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "bnstudy",
        "font.family": "sans-serif",
        **dict.fromkeys(
            ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
        ),
    }
    out = io.StringIO()
    with mpl.rc_context(settings):
        draw(layers).savefig(out, format="svg", transparent=True, metadata={"Date": None})
    image = out.getvalue()
    image = image[image.index("<svg") :].replace(INK, "currentColor")
    label = (
        "Layer by layer: the gap of its moving mean, and the loss that its precise statistics alone win back"
    )
    return image.replace("<svg", f'<svg role="img" aria-label="{label}" style="max-width:100%"', 1)
