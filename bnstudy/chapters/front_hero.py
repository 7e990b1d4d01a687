"""The front page's figure: every part of every claim, its interval against its bound."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Final

from bnstudy.analysis import rules
from bnstudy.analysis.cards import Bar, Look
from bnstudy.analysis.judged.parts import Scale, Side, Verified
from bnstudy.analysis.judged.verdicts import Answer, Estimate, Finding, Judgement
from bnstudy.analysis.judged.wording import (
    ANSWERS,
    Language,
    in_language,
    write_asked,
    write_estimate,
    write_value,
)
from bnstudy.analysis.statistics import Interval
from bnstudy.analysis.words import LANGUAGES, write_effect, write_label
from bnstudy.analysis.words import write_asked as write_rule_asked
from bnstudy.chapters.claims import CLAIMS
from bnstudy.chapters.front_rows import row_name
from bnstudy.chapters.judged import words
from bnstudy.chapters.second_round import doubted

# A distance from a bound that one would call small: a point, a quarter, a twentieth, a tenth of the seeds.
_SMALL: Final[dict[Scale, float]] = {
    "points": 0.01,
    "factor": math.log2(1.25),
    "number": 0.05,
    "share": 0.1,
}
OF_ANSWER: Final[dict[Answer, Look]] = {"holds": "holds", "doesn't hold": "fails", "can't tell": "open"}
# Behind a part whose answer is another once what is doubted is left out.
DOUBTED: Final = "*"
BASIS: Final = {
    "second": ("second round", "第二轮"),
    "test": ("by test", "由代码测试判定"),
    "first": ("exploratory", "探索性"),
}


class Bars:
    """The parts' bars in one language: what the second round measured, else what the first explored."""

    def __init__(
        self,
        judged: Mapping[str, Judgement],
        first: Mapping[str, rules.Verdict],
        language: Language,
        data_dir: str | os.PathLike[str] = "",
    ) -> None:
        self.judged = judged
        self.first = first
        self.language = language
        self.doubted = {claim: doubted(claim, data_dir) for claim in judged}

    def all(self) -> list[Bar]:
        """Return the bars, claim by claim."""
        return [bar for claim in CLAIMS for bar in self._of(claim.id)]

    def _of(self, claim: str) -> list[Bar]:
        explored = [self._explored(claim, f) for f in self.first[claim].findings]
        judgement = self.judged.get(claim)
        if judgement is None:  # a claim without rules of the second round
            return explored
        bars = [self._measured(claim, f) for f in judgement.findings if not f.estimate.missing]
        if judgement.claim.parts and not bars:
            bars = explored
        return bars + [self._verified(claim, each) for each in judgement.claim.verified]

    def _measured(self, claim: str, finding: Finding) -> Bar:
        part, found = finding.part, finding.estimate
        scale = part.quantity.scale
        asked = write_asked(part.side, part.bound, scale, self.language)
        shaken = any(
            doubt.part == part.name and again.answer != finding.answer for doubt, again in self.doubted[claim]
        )
        return Bar(
            claim,
            row_name(part.name, self.language) + (f" {DOUBTED}" if shaken else ""),
            _card(claim),
            OF_ANSWER[finding.answer],
            in_language(ANSWERS[finding.answer], self.language),
            *_beyond(found.interval, part.side, part.bound, scale),
            _told_apart(found, part.bound, self.language),
            in_language((f"asked: {asked}", f"要求：{asked}"), self.language),
        )

    def _explored(self, claim: str, finding: rules.Finding) -> Bar:
        rule, said = finding.rule, LANGUAGES[self.language]
        return Bar(
            claim,
            rule.part if self.language == "en" else write_label(rule, "zh"),
            _card(claim),
            "missing",
            in_language(BASIS["first"], self.language),
            *_beyond(finding.effect, rule.side, rule.threshold, rule.unit),
            write_effect(finding.effect, rule.unit, said.points, said.times),
            write_rule_asked(finding, said),
            explored=True,
        )

    def _verified(self, claim: str, verified: Verified) -> Bar:
        answer: Answer = "holds" if verified.holds else "doesn't hold"
        return Bar(
            claim,
            part_name(claim, verified.name, self.language),
            _card(claim),
            OF_ANSWER[answer],
            in_language(ANSWERS[answer], self.language),
            *(-math.inf, math.nan, math.inf),
            in_language(BASIS["test"], self.language),
        )


def part_name(claim: str, name: str, language: Language) -> str:
    """Return a part's name, or in Chinese its sentence."""
    return name if language == "en" else in_language(words()[claim].parts[name], "zh").rstrip("。")


def _told_apart(found: Estimate, bound: float, language: Language) -> str:
    """Return an estimate, with a digit more where an end of its interval is written as its bound is."""
    scale = found.quantity.scale
    for digits in (0, 1, 2):
        ends = {
            write_value(end, scale, language, digits) for end in (found.interval.low, found.interval.high)
        }
        if write_value(bound, scale, language, digits) not in ends:
            break
    return str(write_estimate(found, language, digits))


def _card(claim: str) -> str:
    return f"#card-{claim.lower()}"


def _beyond(found: Interval, side: Side, bound: float, scale: Scale) -> tuple[float, float, float]:
    """Return low, mean and high as distances beyond the bound, in ``_SMALL``: positive where it holds."""
    small = _SMALL[scale]
    if side == "within":
        inner = 0.0 if found.low < 0 < found.high else min(abs(found.low), abs(found.high))
        ends = (bound - max(abs(found.low), abs(found.high)), bound - abs(found.mean), bound - inner)
    elif side == "above":
        ends = (found.low - bound, found.mean - bound, found.high - bound)
    else:
        ends = (bound - found.high, bound - found.mean, bound - found.low)
    return ends[0] / small, ends[1] / small, ends[2] / small
