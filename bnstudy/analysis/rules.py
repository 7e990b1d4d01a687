"""What a claim is, what a rule has to say before its runs are made, and how records turn into verdicts.

Two guards stand before a verdict: one against skew, one against many questions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import pandas as pd

from bnstudy.analysis.statistics import Interval, bootstrap_interval, hedges_g, holm, mean_interval, p_value
from bnstudy.analysis.tables import NotMeasuredError, Tables
from bnstudy.analysis.trail import NO_TRAIL, Trail, follow

Answer = Literal["supported", "refuted", "open", "not measured yet"]
Unit = Literal["points", "factor", "number"]
Measure = Callable[[Tables], "pd.Series[float]"]

# An accuracy difference below this is of no practical use, whatever its sign.
SMALLEST_EFFECT = 0.005
ALPHA = 0.05


class Label(NamedTuple):
    """What a rule's number is, in as few words as the tables of the front pages have room for.

    The quantity comes first, and behind it the two arms that are compared, where there are two: one minus or
    over the other.
    """

    en: str
    zh: str


@dataclass(frozen=True)
class Rule:
    """One contrast that decides a claim, or a part of one.

    ``measure`` turns the tables of ``study`` into one value a seed. The rule says *supported* if the effect,
    their mean, lies on ``side`` of ``threshold``, *refuted* if it lies on the other, *open* if the records
    can't tell. ``threshold`` is the smallest effect of interest, in the unit of the values: a share for
    "points", a binary logarithm for "factor".

    A rule that takes something for granted, as that a manipulation took hold, has it as its ``premise``:
    unless that is supported, the rule is open whatever its own effect. ``level`` says that the values are
    levels, not differences, so that an effect over their spread means nothing. ``label`` is for the rules
    of the article's claims, which the front pages show.
    """

    part: str
    study: str
    quantity: str
    contrast: str
    threshold: float
    measure: Measure
    side: Literal["above", "below"] = "above"
    unit: Unit = "points"
    premise: Rule | None = None
    level: bool = False
    label: Label | None = None


@dataclass(frozen=True)
class Claim:
    """A claim, in the article's words and in English, and the rules that it has to pass, all of them."""

    id: str
    original: str
    english: str
    chapter: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Measured:
    """What a study's records say to each rule that reads them: one value a seed, by the rule's part.

    ``lacking`` has the reason for each rule that found no values; ``runs`` are the names of the records.
    ``trails`` has where each rule's values came from, as far as that is known.
    """

    runs: Sequence[str]
    values: Mapping[str, Sequence[float]]
    lacking: Mapping[str, str]
    trails: Mapping[str, Trail] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """What the records say of one rule.

    ``effect`` has the studentised bootstrap's interval and ``student`` Student's, both at 95 %. ``p`` tests
    whether the effect equals the rule's threshold, adjusted for the number of rules (Holm). ``size`` is
    the effect over the standard deviation of its differences (Hedges' g; ``nan`` for levels). ``premise`` is
    what the records say of the rule's premise, without Holm's correction: it can only take a verdict away.
    ``values`` are what the effect is the mean of, one a seed, and ``trail`` is where they came from.
    """

    rule: Rule
    answer: Answer
    effect: Interval
    student: Interval
    p: float
    size: float
    premise: Finding | None = None
    values: Sequence[float] = ()
    trail: Trail = field(default=NO_TRAIL, compare=False)


@dataclass(frozen=True)
class Verdict:
    """A claim's answer, and the findings behind it (none where it isn't measured yet)."""

    claim: Claim
    answer: Answer
    findings: tuple[Finding, ...]

    def decisive(self) -> Finding | None:
        """Return the finding to show for the claim: the first that has the claim's own answer."""
        return next((f for f in self.findings if f.answer == self.answer), None)


def judge(claims: Iterable[Claim], studies: Mapping[str, Tables | Measured]) -> dict[str, Verdict]:
    """Return the verdict on each claim, by its id, from each study's tables or what they measured.

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
    taken: dict[int, Taken] = {}
    p_values = []
    for rule in (rule for claim in claims for rule in claim.rules):
        if rule.study in studies:
            taken[id(rule)] = take(rule, studies[rule.study])
            p_values.append(p_value(taken[id(rule)].values, rule.threshold))
        else:
            p_values.append(1.0)
    adjusted = iter(holm(p_values))
    verdicts = {}
    for claim in claims:
        findings = []
        for rule in claim.rules:
            p = next(adjusted)
            if id(rule) in taken:
                findings.append(_find(rule, taken[id(rule)], p, _premise(rule, studies)))
        answer = _combine([f.answer for f in findings], len(claim.rules))
        verdicts[claim.id] = Verdict(claim, answer, tuple(findings))
    return verdicts


def measure(rule: Rule, study: Tables | Measured) -> Sequence[float]:
    """Return what a rule reads in its study: one value a seed.

    Raises:
        NotMeasuredError: the study lacks rows that the rule reads.
    """
    return take(rule, study).values


class Taken(NamedTuple):
    """What a rule reads in its study: one value a seed, and where they came from."""

    values: Sequence[float]
    trail: Trail


def take(rule: Rule, study: Tables | Measured) -> Taken:
    """Return what ``measure`` does, and where it came from; raises as ``measure`` does."""
    if not isinstance(study, Measured):
        return Taken(*follow(rule.measure, study))
    if rule.part in study.lacking:
        raise NotMeasuredError(study.lacking[rule.part])
    return Taken(study.values[rule.part], study.trails.get(rule.part, NO_TRAIL))


def measure_all(rules: Iterable[Rule], tables: Tables, runs: Sequence[str]) -> Measured:
    """Return what all rules of a study read, to judge it again without its tables."""
    values, lacking, trails = {}, {}, {}
    for rule in rules:
        try:
            values[rule.part], trails[rule.part] = take(rule, tables)
        except NotMeasuredError as error:
            lacking[rule.part] = str(error)
    return Measured(runs, values, lacking, trails)


def _premise(rule: Rule, studies: Mapping[str, Tables | Measured]) -> Finding | None:
    if rule.premise is None:
        return None
    taken = take(rule.premise, studies[rule.premise.study])
    return _find(rule.premise, taken, p_value(taken.values, rule.premise.threshold))


def _find(rule: Rule, taken: Taken, p: float, premise: Finding | None = None) -> Finding:
    values = taken.values
    effect = replace(bootstrap_interval(values), seeds=tuple(taken.trail.seeds))
    answer = decide(rule, effect, p) if premise is None or premise.answer == "supported" else "open"
    size = math.nan if rule.level else hedges_g(values)
    return Finding(rule, answer, effect, mean_interval(values), p, size, premise, tuple(values), taken.trail)


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
