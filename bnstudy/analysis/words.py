"""How an answer, an effect and an amount of data are written, and what numbers on a page lead to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from bnstudy.analysis.rules import ALPHA, Answer, Finding, Rule, Unit
from bnstudy.analysis.statistics import Interval


class Markdown(str):
    """A text that a notebook shows as Markdown."""

    __slots__ = ()

    def _repr_markdown_(self) -> str:
        return str(self)


class Html(str):
    """A text that a notebook shows as HTML."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Language:
    """The words of one language for a table of verdicts."""

    claim: str
    verdict: str
    effect: str
    points: str
    asked: str
    premise_fails: str
    corrected: str
    sides: dict[str, str]
    answers: dict[Answer, str]


LANGUAGES = {
    "en": Language(
        claim="claim",
        verdict="verdict",
        effect="effect [95 % interval]",
        points="points",
        asked="asked: ",
        premise_fails="; its premise fails",
        corrected="; p = {} after Holm's correction",
        sides={"above": "above", "below": "below"},
        answers={a: a for a in ("supported", "refuted", "open", "not measured yet")},
    ),
    "zh": Language(
        claim="论断",
        verdict="结论",
        effect="效应 [95 % 区间]",
        points="个百分点",
        asked="要求：",
        premise_fails="；其前提不成立",
        corrected="；Holm 校正后 p = {}",
        sides={"above": "高于", "below": "低于"},
        answers={
            "supported": "成立",
            "refuted": "不成立",
            "open": "未定",
            "not measured yet": "尚未测量",
        },
    ),
}


def write_effect(effect: Interval, unit: Unit, points: str = "percentage points") -> str:
    """Return an effect with its bounds: ``"-2.1 percentage points [-2.6, -1.6]"``, ``"1.5 × [1.4, 1.6]"``."""
    if unit == "points":
        return effect.percent(signed=True).replace("percentage points", points)
    if unit == "factor":
        mean, low, high = (f"{2**v:.2f}" for v in (effect.mean, effect.low, effect.high))
        return f"{mean} × [{low}, {high}]"
    # Adding zero turns a rounded -0.0 into 0.0.
    mean, low, high = (f"{round(v, 3) + 0.0:.3f}" for v in (effect.mean, effect.low, effect.high))
    return f"{mean} [{low}, {high}]"


def write_bound(finding: Finding) -> str:
    """Return what the effect had to be for the claim: ``"above +0.5 percentage points"``."""
    return f"{finding.rule.side} {_bound(finding)}"


def write_asked(finding: Finding, words: Language) -> str:
    """Return the same in a language of the front pages, and what besides the interval made the rule open."""
    failed = finding.premise is not None and finding.premise.answer != "supported"
    asked = f"{words.asked}{words.sides[finding.rule.side]} {_bound(finding, words.points)}"
    return asked + (words.premise_fails if failed else "") + write_corrected(finding, words)


def write_corrected(finding: Finding, words: Language = LANGUAGES["en"]) -> str:
    """Return the corrected p-value where the interval alone would decide and the correction doesn't let it.

    Without it an interval that doesn't reach its bound stands beside *open*, and the verdict looks wrong.
    """
    outside = not finding.effect.low <= finding.rule.threshold <= finding.effect.high
    if finding.answer != "open" or not outside or finding.p <= ALPHA:
        return ""
    return words.corrected.format(write_p(finding.p))


def _bound(finding: Finding, points: str = "percentage points") -> str:
    alone = Interval(finding.rule.threshold, math.nan, math.nan, 1)
    return write_effect(alone, finding.rule.unit, points).split(" [")[0]


def write_label(rule: Rule, language: str) -> str:
    """Return what a claim's rule measures, in ``language``: ``"en"`` or ``"zh"``.

    Raises:
        KeyError: the rule decides no claim of the article, or has no label yet.
    """
    if rule.label is None:
        raise KeyError(f"rule {rule.part!r} has no label")
    return str(getattr(rule.label, language))


def write_finding(finding: Finding, cite: Callable[[str], str]) -> str:
    """Return what a rule's records say, to follow the rule's name: answer, effect, and what was asked for."""
    rule = finding.rule
    effect = cite(write_effect(finding.effect, rule.unit))
    said = (
        f"is **{finding.answer}**: {rule.quantity}, {rule.contrast}, {effect} "
        f"(asked for: {write_bound(finding)}{write_corrected(finding)})."
    )
    if finding.premise is None:
        return said
    held = finding.premise
    return (
        f"{said} Its premise, *{held.rule.part}*, "
        + ("holds" if held.answer == "supported" else "does not hold, so that nothing follows")
        + f": {held.rule.quantity}, {cite(write_effect(held.effect, held.rule.unit))} "
        f"(asked for: {write_bound(held)})."
    )


def write_p(p: float) -> str:
    """Return a p-value with two digits, or that it is below 0.001."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def write_images(train_size: int | None) -> str:
    """Return ``"25,600 images"``, or ``"all images"`` for None."""
    return "all images" if train_size is None else f"{train_size:,} images"


def write_amount(train_size: int | None, epochs: int) -> str:
    """Return images and passes over them: ``"all images for 2 epochs"``."""
    return f"{write_images(train_size)} for {epochs} epoch{'s' if epochs > 1 else ''}"


@dataclass(frozen=True)
class Sources:
    """The page that lists records, and their ids."""

    page: str
    runs: Sequence[str]

    def cite(self, text: str) -> str:
        """Return ``text`` as an HTML link to the list of its records, whose ids are its title."""
        several = "s" if len(self.runs) != 1 else ""
        title = f"From {len(self.runs)} record{several}: {', '.join(self.runs)}"
        href = f"{self.page}.html#records"
        return f'<a class="number" href="{href}" title="{escape(title)}">{escape(text)}</a>'


@dataclass(frozen=True)
class Cited:
    """A value to glue: HTML on a page, plain text elsewhere."""

    text: str
    sources: Sources

    def _repr_html_(self) -> str:
        return self.sources.cite(self.text)

    def __repr__(self) -> str:
        return self.text
