"""From records to answers and verdicts: one interval a quantity, and a table of verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from bnstudy.analysis.judged.parts import Claim, Part, Quantity, Side, quantities_of
from bnstudy.analysis.judged.training import Blocks, NotTestedError
from bnstudy.analysis.procedure import FloatArray, Outcomes, interval, level_of
from bnstudy.analysis.statistics import Interval
from bnstudy.analysis.tables import NotMeasuredError

Truths = npt.NDArray[np.bool_]
Answer = Literal["holds", "doesn't hold", "can't tell"]
Verdict = Literal["supported", "refuted", "partly", "open", "not measured yet"]
ANSWERS: tuple[Answer, ...] = ("holds", "doesn't hold", "can't tell")


@dataclass(frozen=True)
class Estimate:
    """A quantity's one interval, the values behind it, and why there is none, if there is none.

    ``values``: a number a seed, for the dots of a figure; None where components of different units are
    added, or outcomes counted. ``missing``: what isn't recorded. ``untested``: what didn't come about, so
    that nothing follows. ``measured``: whether the half-width reached its target.
    """

    quantity: Quantity
    interval: Interval
    values: Sequence[float] | None = None
    counted: Mapping[str, int] = field(default_factory=dict)
    missing: str = ""
    untested: str = ""

    @property
    def half_width(self) -> float:
        """Half the interval's width: of an exact binomial, its wider side."""
        return max(self.interval.high - self.interval.mean, self.interval.mean - self.interval.low)

    @property
    def measured(self) -> bool:
        """Say whether the frozen target half-width is reached."""
        return self.half_width <= self.quantity.target


@dataclass(frozen=True)
class Finding:
    """The answer to one part, and to its grades by name."""

    part: Part
    estimate: Estimate
    answer: Answer
    grades: Mapping[str, Answer]


@dataclass(frozen=True)
class Judgement:
    """A claim's verdict, and the findings behind it."""

    claim: Claim
    verdict: Verdict
    findings: tuple[Finding, ...]


def answer(found: Interval, side: Side, bound: float) -> Answer:
    """Return what an interval says of a bound (``decide``)."""
    holds, fails = decide(np.array(found.low), np.array(found.high), side, bound)
    return "holds" if holds else "doesn't hold" if fails else "can't tell"


def decide(low: FloatArray, high: FloatArray, side: Side, bound: float) -> tuple[Truths, Truths]:
    """Return of which intervals a statement holds, and of which it doesn't.

    *Holds*: the interval lies wholly beyond the bound (within: inside both). *Doesn't hold*: wholly on the
    other side (within: outside both). An end that touches the bound is on neither side, and an undefined end
    decides nothing.
    """
    if side == "within":
        return (low > -bound) & (high < bound), (low > bound) | (high < -bound)
    return (low > bound, high < bound) if side == "above" else (high < bound, low > bound)


def combine(answers: Iterable[Answer]) -> Verdict:
    """Return the verdict over the parts that vote.

    *Supported* if all hold; *refuted* if none holds and none is open; *partly* if at least one holds, but
    not all; else *open*.
    """
    answers = list(answers)
    if answers and all(a == "holds" for a in answers):
        return "supported"
    if answers and all(a == "doesn't hold" for a in answers):
        return "refuted"
    return "partly" if "holds" in answers else "open"


def estimate(quantity: Quantity, blocks: Blocks, family: int) -> Estimate:
    """Return a quantity's interval among those of ``family`` quantities.

    Where the records lack what it reads, or other seeds are there than the block's, it is missing; where
    what it takes for granted didn't come about, it is untested. The interval is the whole line then.
    """
    nothing = Interval(math.nan, -math.inf, math.inf, 0, level_of(family))
    try:
        check_seeds(quantity, blocks)
        sample = quantity.estimate(blocks)
    except NotMeasuredError as error:
        return Estimate(quantity, nothing, missing=str(error))
    except NotTestedError as error:
        return Estimate(quantity, nothing, untested=str(error))
    found = interval(sample, family)
    if isinstance(sample, Outcomes):
        return Estimate(quantity, found)
    alone = sample.components[0].values.tolist() if len(sample.components) == 1 else None
    return Estimate(quantity, found, alone, sample.counted)


def judge(claims: Iterable[Claim], blocks: Blocks, family: int) -> dict[str, Judgement]:
    """Return the judgement on each claim by its id. A quantity that several claims ask about is estimated
    once.

    ``family``: the number of judged quantities of the whole book (``bnstudy.chapters.judged``),
    which the claims here may be a part of.
    """
    claims = list(claims)
    estimates = {name: estimate(q, blocks, family) for name, q in quantities_of(claims).items()}
    return decided(claims, estimates)


def decided(claims: Iterable[Claim], estimates: Mapping[str, Estimate]) -> dict[str, Judgement]:
    """Return the judgement on each claim by its id, from the estimates of its quantities by name."""
    return {claim.id: _judge(claim, estimates) for claim in claims}


def _judge(claim: Claim, estimates: Mapping[str, Estimate]) -> Judgement:
    findings = tuple(find(part, estimates[part.quantity.name]) for part in claim.parts)
    voting = [f for f in findings if f.part.votes]
    settled: list[Answer] = ["holds" if v.holds else "doesn't hold" for v in claim.verified if v.votes]
    if any(f.estimate.missing for f in voting):
        return Judgement(claim, "not measured yet", findings)
    return Judgement(claim, combine([*(f.answer for f in voting), *settled]), findings)


def find(part: Part, found: Estimate) -> Finding:
    """Return what an estimate says of a part and of its grades."""
    grades = {name: answer(found.interval, part.side, bound) for name, bound in part.grades.items()}
    return Finding(part, found, answer(found.interval, part.side, part.bound), grades)


def check_seeds(quantity: Quantity, blocks: Blocks) -> None:
    """Refuse other seeds than those of the blocks that a quantity reads.

    Raises:
        NotMeasuredError: seeds are missing, or there are more.
    """
    for block, arms in quantity.reads:
        wanted = set(block.judged_seeds())
        for name in arms:
            found = set(blocks.get(block.name, {}).get(name, {}))
            if found != wanted:
                lacking, more = sorted(wanted - found), sorted(found - wanted)
                raise NotMeasuredError(
                    f"block {block.name!r}, arm {name!r}: "
                    + "; ".join(
                        f"{what} {', '.join(map(str, seeds))}"
                        for what, seeds in (("no seeds", lacking), ("seeds that aren't judged:", more))
                        if seeds
                    )
                )
