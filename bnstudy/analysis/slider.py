"""A figure that moves without a network: one drawing a position, and a slider that chooses among them."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from bnstudy.analysis.words import Html


@dataclass(frozen=True)
class Frame:
    """One position of a slider: what it is called, what its drawing shows in words, and the drawing."""

    label: str
    text: str
    figure: Figure


def slider(frames: Iterable[Frame], name: str, quantity: str, start: int = 0) -> Html:
    """Return a slider over ``frames`` as one piece of HTML; their figures are closed.

    ``name`` is the element's id, and begins the ids within. ``quantity`` says what the slider changes,
    for its label. Without script every drawing shows under its label, one below the other; ``slider.js``
    keeps the one that is chosen, says its label, and opens at number ``start``: where the story begins, so
    that moving it tells the rest. A caption is the page's, which numbers its figures.

    Raises:
        ValueError: there is no frame of that number.
    """
    shown = []
    for i, frame in enumerate(frames):
        drawing = inline_svg(frame.figure, f"{name}-{i}", frame.text)
        plt.close(frame.figure)
        label = escape(frame.label)
        shown.append(f'<div class="frame" data-label="{label}"><p>{label}</p>{drawing}</div>')
    last = len(shown) - 1
    if shown and not 0 <= start <= last:
        raise ValueError(f"start is {start}; allowed: 0 to {last}")
    return Html(
        f'<div class="slider" id="{name}"><p class="control" hidden>'
        f'<label for="{name}-input">{escape(quantity)}: <output for="{name}-input"></output></label>'
        f'<input type="range" id="{name}-input" min="0" max="{last}" step="1" value="{start}"></p>'
        f"{''.join(shown)}</div>"
    )


def inline_svg(figure: Figure, prefix: str, text: str) -> str:
    """Return a figure as an SVG element to stand in a page: its ids its own, ``text`` its description."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Text stays text in the SVG: the browser has the glyphs that the font measured here may lack.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = _without_bare_groups(re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S))
    # Ids are unique within a drawing, and have to be within the page.
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = svg.replace('href="#', f'href="#{prefix}-').replace("url(#", f"url(#{prefix}-")
    # Coordinates to a hundredth of a point; what is written in the figure, between the tags, stays.
    svg = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d{2})\d+", r"\1", tag[0]), svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(text)}" ', 1)


def _without_bare_groups(svg: str) -> str:
    """Drop the groups that only name their content, or have none: most of what matplotlib writes."""
    kept: list[bool] = []

    def tag(match: re.Match[str]) -> str:
        if match[0].endswith("/>"):
            return ""
        if match[0] != "</g>":
            kept.append(re.fullmatch(r'<g( id="[^"]*")?>', match[0]) is None)
            return match[0] if kept[-1] else ""
        return match[0] if kept.pop() else ""

    return re.sub(r"\s*\n\s*", "\n", re.sub(r"<g(?: [^>]*)?>|</g>", tag, svg))
