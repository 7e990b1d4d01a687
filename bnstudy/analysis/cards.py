"""The front page's parts as HTML: a card a claim, and all claims' intervals against their bounds."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

Look = Literal["holds", "partly", "fails", "open", "missing"]

# Told by shape and word, too: colour alone says nothing to some.
ICONS: dict[Look, str] = {"holds": "✓", "partly": "◐", "fails": "✗", "open": "?", "missing": "…"}


@dataclass(frozen=True)
class Chip:
    """A part of a claim, and its answer."""

    look: Look
    answer: str
    part: str


@dataclass(frozen=True)
class Card:
    """What a reader needs of a claim: what was said, what was found, what to do. ``found`` and ``advice``
    are HTML, all else is text."""

    claim: str
    said: str
    href: str
    look: Look
    verdict: str
    basis: str
    found: str
    advice: str
    chips: Sequence[Chip] = ()


@dataclass(frozen=True)
class Bar:
    """An interval against its bound. ``low``, ``mean`` and ``high`` are distances beyond the bound, positive
    where the claim's statement holds, in units that one would call small; infinite where an end is open."""

    claim: str
    part: str
    href: str
    look: Look
    answer: str
    low: float
    mean: float
    high: float
    estimate: str
    asked: str = ""
    explored: bool = False


def card_html(card: Card, do: str) -> str:
    """Return a card; ``do`` is what stands before the advice."""
    chinese = any(re.search(r"[\u4e00-\u9fff]", chip.answer) for chip in card.chips)
    colon = "：" if chinese else ": "
    chips = "".join(
        f'<li class="chip {chip.look}"><span aria-hidden="true">{ICONS[chip.look]}</span> '
        f'{escape(chip.part)}<span class="visually-hidden">{colon}{escape(chip.answer)}</span></li>'
        for chip in card.chips
    )
    return (
        f'<article class="claim-card {card.look}" id="card-{card.claim.lower()}">'
        f'<p class="claim-head"><a href="{card.href}">{card.claim}</a> '
        f'<span class="verdict {card.look}"><span aria-hidden="true">{ICONS[card.look]}</span> '
        f'{escape(card.verdict)}</span> <span class="basis">{escape(card.basis)}</span></p>'
        f'<p class="claim-said">{marked(card.said)}</p>'
        f'<p class="claim-found">{card.found}</p>'
        + (f'<p class="claim-advice"><strong>{escape(do)}</strong> {card.advice}</p>' if card.advice else "")
        + (f'<ul class="chips">{chips}</ul>' if chips else "")
        + "</article>"
    )


def cards_html(groups: Iterable[tuple[str, Sequence[Card]]], do: str) -> str:
    """Return groups of cards under their titles; a group without cards is left out."""
    return "".join(
        f'<section class="claim-group"><h3>{escape(title)}</h3><div class="claim-cards">'
        f"{''.join(card_html(card, do) for card in cards)}</div></section>"
        for title, cards in groups
        if cards
    )


def bars_html(bars: Sequence[Bar], ends: tuple[str, str], caption: str) -> str:
    """Return all bars on one scale about their bounds, which is the arsinh of the distance.

    ``ends`` are what lies left and right of the bounds.
    """
    reach = max((abs(x) for b in bars for x in (b.low, b.mean, b.high) if math.isfinite(x)), default=1.0)
    rows = "".join(_bar(bar, reach) for bar in bars)
    return (
        f'<figure class="hero"><figcaption>{escape(caption)}</figcaption>'
        f'<div class="hero-ends" aria-hidden="true"><span>← {escape(ends[0])}</span>'
        f"<span>{escape(ends[1])} →</span></div><ul>{rows}</ul></figure>"
    )


def marked(text: str) -> str:
    """Return text as HTML, what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def _bar(bar: Bar, reach: float) -> str:
    low, mean, high = (_place(x, reach) for x in (bar.low, bar.mean, bar.high))
    kind = f"{bar.look} explored" if bar.explored else bar.look
    drawn = f'<line x1="{low:.1f}" x2="{high:.1f}" y1="5" y2="5"/>'
    if math.isinf(bar.low) and math.isinf(bar.high):
        drawn = ""
    elif not math.isnan(bar.mean):
        # A line of no length with round ends: a circle would be stretched with the drawing.
        marks = ("mark", "hollow") if bar.explored else ("mark",)
        drawn += "".join(
            f'<line class="{mark}" x1="{mean:.1f}" x2="{mean:.1f}" y1="5" y2="5"/>' for mark in marks
        )
    return (
        f'<li class="{kind}"><a href="{bar.href}"><b>{bar.claim}</b> {escape(bar.part)}</a>'
        f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<line class="bound" x1="50" x2="50" y1="0" y2="10"/>{drawn}</svg>'
        f'<span class="hero-answer">{ICONS[bar.look]} {escape(bar.answer)}</span>'
        f'<span class="hero-estimate">{escape(bar.estimate)}'
        + (f' <span class="hero-asked">{escape(bar.asked)}</span>' if bar.asked else "")
        + "</span></li>"
    )


def _place(distance: float, reach: float) -> float:
    if math.isnan(distance):
        return 50.0
    if math.isinf(distance):
        return 100.0 if distance > 0 else 0.0
    return 50.0 + 47.0 * math.asinh(distance) / math.asinh(reach)
