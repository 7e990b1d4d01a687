"""How an answer and an effect are written, in the languages of the front page."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from bnstudy.analysis.claims.judge import Finding
from bnstudy.analysis.rules import Answer, Unit
from bnstudy.analysis.statistics import Interval


@dataclass(frozen=True)
class Language:
    """The words of one language for a table of verdicts."""

    claim: str
    verdict: str
    effect: str
    points: str
    asked: str
    premise_fails: str
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
    """Return the same in a language of the front pages, and whether the rule's premise failed."""
    failed = finding.premise is not None and finding.premise.answer != "supported"
    asked = f"{words.asked}{words.sides[finding.rule.side]} {_bound(finding, words.points)}"
    return asked + (words.premise_fails if failed else "")


def _bound(finding: Finding, points: str = "percentage points") -> str:
    alone = Interval(finding.rule.threshold, math.nan, math.nan, 1)
    return write_effect(alone, finding.rule.unit, points).split(" [")[0]


def write_finding(finding: Finding, cite: Callable[[str], str]) -> str:
    """Return what a rule's records say, to follow the rule's name: answer, effect, and what was asked for."""
    rule = finding.rule
    effect = cite(write_effect(finding.effect, rule.unit))
    said = (
        f"is **{finding.answer}**: {rule.quantity}, {rule.contrast}, {effect} "
        f"(asked for: {write_bound(finding)})."
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
