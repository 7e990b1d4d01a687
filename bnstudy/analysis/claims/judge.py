"""From rules and records to verdicts: two guards, one against skew and one against many questions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bnstudy.analysis.bootstrap import bootstrap_interval
from bnstudy.analysis.rules import Answer, Claim, Rule
from bnstudy.analysis.statistics import Interval, hedges_g, holm, mean_interval, p_value
from bnstudy.analysis.tables import Tables

ALPHA = 0.05


@dataclass(frozen=True)
class Finding:
    """What the records say of one rule.

    ``effect`` has the studentised bootstrap's interval and ``student`` Student's, both at 95 %. ``p`` tests
    whether the effect equals the rule's threshold, adjusted for the number of rules (Holm). ``size`` is
    the effect over the standard deviation of its differences (Hedges' g; ``nan`` for levels). ``premise`` is
    what the records say of the rule's premise, without Holm's correction: it can only take a verdict away.
    """

    rule: Rule
    answer: Answer
    effect: Interval
    student: Interval
    p: float
    size: float
    premise: Finding | None = None


@dataclass(frozen=True)
class Verdict:
    """A claim's answer, and the findings behind it (none where it isn't measured yet)."""

    claim: Claim
    answer: Answer
    findings: tuple[Finding, ...]

    def decisive(self) -> Finding | None:
        """Return the finding to show for the claim: the first that has the claim's own answer."""
        return next((f for f in self.findings if f.answer == self.answer), None)


def judge(claims: Iterable[Claim], studies: Mapping[str, Tables]) -> dict[str, Verdict]:
    """Return the verdict on each claim, by its id, from the recorded ``studies``.

    A rule decides only if both hold: its threshold lies outside the 95 % studentised bootstrap interval,
    and Student's test of the threshold rejects at 5 % after Holm's correction over every rule of every claim.
    Rules that aren't measured yet count in that correction as if they had p = 1, so that a verdict gets no
    stricter as studies arrive.

    A rule whose premise the same tests don't support, Holm's correction left out, is *open*.

    A claim is *refuted* if any of its rules is, *supported* if all are, *open* otherwise, and *not
    measured yet* unless the study of each of its rules is recorded.

    Raises:
        NotMeasuredError: a recorded study lacks rows that a rule reads.
    """
    claims = list(claims)
    values: dict[int, list[float]] = {}
    p_values = []
    for rule in (rule for claim in claims for rule in claim.rules):
        if rule.study in studies:
            values[id(rule)] = [float(v) for v in rule.measure(studies[rule.study])]
            p_values.append(p_value(values[id(rule)], rule.threshold))
        else:
            p_values.append(1.0)
    adjusted = iter(holm(p_values))
    verdicts = {}
    for claim in claims:
        findings = []
        for rule in claim.rules:
            p = next(adjusted)
            if id(rule) in values:
                findings.append(_find(rule, values[id(rule)], p, _premise(rule, studies)))
        answer = _combine([f.answer for f in findings], len(claim.rules))
        verdicts[claim.id] = Verdict(claim, answer, tuple(findings))
    return verdicts


def _premise(rule: Rule, studies: Mapping[str, Tables]) -> Finding | None:
    if rule.premise is None:
        return None
    values = [float(v) for v in rule.premise.measure(studies[rule.premise.study])]
    return _find(rule.premise, values, p_value(values, rule.premise.threshold))


def _find(rule: Rule, values: list[float], p: float, premise: Finding | None = None) -> Finding:
    effect = bootstrap_interval(values)
    answer = decide(rule, effect, p) if premise is None or premise.answer == "supported" else "open"
    size = math.nan if rule.level else hedges_g(values)
    return Finding(rule, answer, effect, mean_interval(values), p, size, premise)


def decide(rule: Rule, effect: Interval, p: float) -> Answer:
    """Return what a rule says of an effect whose adjusted p-value is ``p``."""
    if math.isnan(effect.low) or p > ALPHA:
        return "open"
    if effect.low > rule.threshold:
        return "supported" if rule.side == "above" else "refuted"
    if effect.high < rule.threshold:
        return "refuted" if rule.side == "above" else "supported"
    return "open"


def _combine(answers: list[Answer], rules: int) -> Answer:
    if len(answers) < rules:
        return "not measured yet"
    if "refuted" in answers:
        return "refuted"
    return "supported" if set(answers) == {"supported"} else "open"
