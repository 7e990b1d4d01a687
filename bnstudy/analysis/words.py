"""How an answer, an effect and an amount of data are written, and what numbers on a page lead to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape

import pandas as pd

from bnstudy.analysis.behind import Behind, behind_amount, behind_count
from bnstudy.analysis.rules import ALPHA, Answer, Claim, Finding, Rule, Unit
from bnstudy.analysis.statistics import Amount, Interval

# So many records a link's title names; more of them are on the page that it leads to.
NAMED = 12


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
    times: str
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
        times="×",
        asked="asked: ",
        premise_fails="; its premise fails",
        corrected="; p = {} after Holm's correction",
        sides={"above": "above", "below": "below"},
        answers={a: a for a in ("supported", "refuted", "open", "not measured yet")},
    ),
    "zh": Language(
        claim="论断",
        verdict="判定",
        effect="效应 [95% 置信区间]",
        points="个百分点",
        times="倍",
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


def write_effect(effect: Interval, unit: Unit, points: str = "percentage points", times: str = "×") -> Amount:
    """Return an effect with its bounds: ``"-2.1 percentage points [-2.6, -1.6]"``, ``"1.5 × [1.4, 1.6]"``."""
    if unit == "points":
        text = effect.percent(signed=True).replace("percentage points", points)
    elif unit == "factor":
        mean, low, high = (f"{2**v:.2f}" for v in (effect.mean, effect.low, effect.high))
        text = f"{mean} {times} [{low}, {high}]"
    else:
        # Adding zero turns a rounded -0.0 into 0.0.
        mean, low, high = (f"{round(v, 3) + 0.0:.3f}" for v in (effect.mean, effect.low, effect.high))
        text = f"{mean} [{low}, {high}]"
    return Amount.of(text, effect, unit)


def write_bound(finding: Finding) -> str:
    """Return what the effect had to be for the claim: ``"above +0.5 percentage points"``."""
    return f"{finding.rule.side} {_bound(finding)}"


def write_asked(finding: Finding, words: Language) -> str:
    """Return the same in a language of the front pages, and what besides the interval made the rule open."""
    failed = finding.premise is not None and finding.premise.answer != "supported"
    asked = f"{words.asked}{words.sides[finding.rule.side]} {_bound(finding, words.points, words.times)}"
    return asked + (words.premise_fails if failed else "") + write_corrected(finding, words)


def write_corrected(finding: Finding, words: Language = LANGUAGES["en"]) -> str:
    """Return the corrected p-value where the interval alone would decide and the correction doesn't let it.

    Without it an interval that doesn't reach its bound stands beside *open*, and the verdict looks wrong.
    """
    outside = not finding.effect.low <= finding.rule.threshold <= finding.effect.high
    if finding.answer != "open" or not outside or finding.p <= ALPHA:
        return ""
    return words.corrected.format(write_p(finding.p))


def _bound(finding: Finding, points: str = "percentage points", times: str = "×") -> str:
    alone = Interval(finding.rule.threshold, math.nan, math.nan, 1)
    return write_effect(alone, finding.rule.unit, points, times).split(" [")[0]


# What the article's sentence is about, where the sentence alone doesn't say.
_SUBJECTS = {
    "C2": "批归一化",
    "C3": "批归一化",
    "C5": "批归一化",
    "C7": "decay",
    "C9": "epsilon",
    "C10": "is_training",
    "C11": "updates_collections",
    "C12": "reuse",
    "C13": "批归一化",
}


def write_claim(claim: Claim, language: str) -> str:
    """Return a claim in a language: in Chinese the article's own words as a quotation."""
    if language == "en":
        return claim.english
    subject = _SUBJECTS.get(claim.id)
    quoted = f"“{claim.original}”"
    return f"{subject}：{quoted}" if subject else quoted


def write_label(rule: Rule, language: str) -> str:
    """Return what a claim's rule measures, in ``language``: ``"en"`` or ``"zh"``.

    Raises:
        KeyError: the rule decides no claim of the article, or has no label yet.
    """
    if rule.label is None:
        raise KeyError(f"rule {rule.part!r} has no label")
    return str(getattr(rule.label, language))


def behind_finding(finding: Finding) -> Behind:
    """Return what is behind a finding's effect."""
    rule = finding.rule
    english = f"{rule.quantity}, {rule.contrast}"
    return Behind(
        finding.effect,
        rule.unit,
        (english, rule.label.zh if rule.label else english),
        rule.contrast,
        (rule.side, rule.threshold),
        finding.trail,
    )


def write_finding(finding: Finding, cite: Callable[[Amount], str]) -> str:
    """Return what a rule's records say, to follow the rule's name: answer, effect, and what was asked for.

    ``cite`` makes a link of an effect, the rule's own or its premise's.
    """
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

    def cite(self, text: str, behind: Behind | None = None) -> str:
        """Return ``text`` as an HTML link to the list of its records; its title names them if they are few.

        ``behind`` is what it opens to; a number that remembers its interval opens to that.
        """
        behind = behind or behind_amount(text)
        several = "s" if len(self.runs) != 1 else ""
        title = f"From {len(self.runs)} record{several}"
        if len(self.runs) <= NAMED:
            title += f": {', '.join(self.runs)}"
        href = f"{self.page}.html#records"
        opens = f" {behind.attribute()}" if behind else ""
        return f'<a class="number" href="{href}" title="{escape(title)}"{opens}>{escape(text)}</a>'

    def count(self, runs: pd.DataFrame) -> str:
        """Return how many runs a table has as a link that opens to them; its columns: ``run``, ``seed``.

        None are a link to all records: those among which none was found.
        """
        if runs.empty:
            return self.cite("0")
        behind = behind_count(zip(runs["seed"], runs["run"], strict=True))
        return replace(self, runs=behind.trail.every_run()).cite(str(len(runs)), behind)


def sources_of(finding: Finding, runs: Sequence[str]) -> Sources:
    """Return which of ``runs``, a study's records, a finding was read from; all, where that isn't known."""
    read = finding.trail.every_run()
    return Sources(finding.rule.study, read if read and set(read) <= set(runs) else runs)


@dataclass(frozen=True)
class Cited:
    """A value to glue: HTML on a page, plain text elsewhere; ``behind`` is what it opens to."""

    text: str
    sources: Sources
    behind: Behind | None = None

    def html(self) -> str:
        """Return it as a link, to stand in a sentence in Markdown."""
        return self.sources.cite(self.text, self.behind)

    def _repr_html_(self) -> str:
        return self.html()

    def __repr__(self) -> str:
        return str(self.text)
