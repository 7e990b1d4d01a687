"""Studies of known truth, judged by the real procedure: how often the book errs, and what it can tell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bnstudy.analysis.judged.parts import Claim, Part, Quantity, quantities_of
from bnstudy.analysis.judged.verdicts import Truths, decide
from bnstudy.analysis.procedure import (
    FloatArray,
    Moments,
    Outcomes,
    half_widths,
    interval,
    level_of,
)

Random = np.random.Generator

# How much wider the seeds may spread than five exploratory ones let expect: the upper end of an 80 % interval
# for a standard deviation of five values is 1.94 times it, of ten 1.47; the protocol's factor lies between.
SPREADS = (1.0, 1.56)
SKEWNESSES = (0.0, 0.5, 1.0)

# The smallest effect of interest, by scale.
SMALLEST = {"points": 0.005, "factor": math.log2(1.25), "number": 0.03, "share": 0.1}


class Ends(NamedTuple):
    """Intervals of many studies around a true value of 0: [studies]; they move with the truth."""

    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class Book:
    """The claims that are judged together, and their quantities."""

    claims: tuple[Claim, ...]
    quantities: tuple[Quantity, ...]

    @classmethod
    def of(cls, claims: Iterable[Claim]) -> Book:
        """Return the book of some claims."""
        claims = tuple(claims)
        return cls(claims, tuple(quantities_of(claims).values()))

    @property
    def level(self) -> float:
        """The level of each interval."""
        return level_of(len(self.quantities))

    def parts(self, quantity: Quantity) -> list[Part]:
        """Return the parts, of any claim, that ask about a quantity."""
        return [p for c in self.claims for p in c.parts if p.quantity.name == quantity.name]


def statements(part: Part) -> list[tuple[str, float]]:
    """Return what an interval is asked for a part: side and bound, the grades' included."""
    return [(part.side, part.bound), *((part.side, bound) for bound in part.grades.values())]


def bounds(book: Book, quantity: Quantity) -> list[float]:
    """Return every value at which a statement about a quantity changes from true to false."""
    found: list[float] = []
    for part in book.parts(quantity):
        for side, bound in statements(part):
            found += [-bound, bound] if side == "within" else [bound]
    return sorted(set(found))


def skewed(random: Random, shape: tuple[int, ...], skewness: float) -> FloatArray:
    """Return draws of mean 0, variance 1 and this skewness (of a gamma distribution), of random sign."""
    if skewness == 0:
        return random.standard_normal(shape)
    k = 4 / skewness**2
    draws = (random.standard_gamma(k, shape) - k) / math.sqrt(k)
    # All seeds of a study lean to the same side.
    return np.asarray(draws * random.choice([-1.0, 1.0], size=(shape[0], 1)))


def around_zero(
    quantity: Quantity,
    level: float,
    random: Random,
    studies: int,
    spread: float,
    skewness: float,
    most: bool = False,
) -> Ends:
    """Return the intervals of studies with a quantity's seeds and expected spread, whose true value is 0.

    ``most``: with as many seeds as its blocks may have, not as many as are planned.

    The variance that the choice of the images adds is estimated from 10,000 of them, within a percent or
    two: it counts as known here. It is the same in every study of a spread.
    """
    pilot = quantity.pilot
    deviations = (pilot.seeds, pilot.second)
    parts = []
    for (block, _), deviation in zip(quantity.reads, deviations, strict=False):
        count = block.at_most if most else block.seeds
        values = spread * deviation * skewed(random, (studies, count), skewness)
        parts.append(of_seeds(values))
    images = pilot.images * random.standard_normal(studies)
    parts.append(Moments(images, np.full(studies, pilot.images**2), np.zeros(studies)))
    total = Moments(*(np.sum(column, axis=0) for column in zip(*parts, strict=True)))
    half = half_widths(total, level)
    return Ends(total.mean - half, total.mean + half)


def of_seeds(values: FloatArray) -> Moments:
    """Return the moments of many studies at once, [studies, seeds]: those of ``procedure.moments``."""
    n = values.shape[1]
    variance = values.var(axis=1, ddof=1) / n
    return Moments(values.mean(axis=1), variance, variance**2 / (n - 1))


def false_answers(parts: Sequence[Part], ends: Ends, truth: float) -> Truths:
    """Return in which studies any statement of the parts is answered falsely: [studies].

    At a bound neither "above" nor "below" is true, and neither "within" nor "outside".
    """
    wrong = np.zeros(len(ends.low), dtype=bool)
    for part in parts:
        for side, bound in statements(part):
            holds, fails = decide(ends.low + truth, ends.high + truth, side, bound)  # type: ignore[arg-type]
            true, false = _truth(side, bound, truth)
            wrong |= (holds & (not true)) | (fails & (not false))
    return wrong


def _truth(side: str, bound: float, truth: float) -> tuple[bool, bool]:
    """Return whether a statement is true of the true value, and whether its contrary is."""
    if side == "within":
        return abs(truth) < bound, abs(truth) > bound
    above, below = truth > bound, truth < bound
    return (above, below) if side == "above" else (below, above)


def outcomes_around(quantity: Quantity, count: int, truth: float, random: Random, studies: int) -> Ends:
    """Return the exact binomial intervals of studies in which a share ``truth`` says yes, less that share."""
    [(block, _)] = quantity.reads
    each = [interval(Outcomes(yes, block.seeds), count) for yes in range(block.seeds + 1)]
    yes = random.binomial(block.seeds, truth, size=studies)
    low, high = (np.array([getattr(i, end) for i in each])[yes] - truth for end in ("low", "high"))
    return Ends(low, high)


def truths(book: Book, quantity: Quantity) -> Iterator[tuple[str, float]]:
    """Yield the true values that are simulated: each of the bounds, no effect, the smallest effect."""
    for number, bound in enumerate(bounds(book, quantity), 1):
        yield f"bound {number}", bound
    yield "zero effect", 0.0
    yield "smallest effect", SMALLEST[quantity.scale]


def of_the_book(book: Book, random: Random, studies: int, spread: float, skewness: float) -> dict[str, float]:
    """Return, by truth, the share of studies in which any answer of the whole book is false.

    Under "bounds, 1" every quantity lies at its first bound, under "bounds, 2" at its second (or last), and
    so on; quantities are independent, which makes a false answer somewhere likelier than what they share
    would.
    """
    wrong: dict[str, Truths] = {}
    most = max(len(bounds(book, q)) for q in book.quantities)
    for quantity in book.quantities:
        own = dict(truths(book, quantity))
        last = len(bounds(book, quantity))
        ends = None
        if quantity.scale != "share":
            ends = around_zero(quantity, book.level, random, studies, spread, skewness)
        for name in [*(f"bound {i}" for i in range(1, most + 1)), "zero effect", "smallest effect"]:
            number = name.removeprefix("bound ")
            truth = own[f"bound {min(int(number), last)}" if number.isdigit() else name]
            found = ends or outcomes_around(quantity, len(book.quantities), truth, random, studies)
            answers = false_answers(book.parts(quantity), found, truth)
            wrong[name] = wrong[name] | answers if name in wrong else answers
    return {name: float(each.mean()) for name, each in wrong.items()}


def power(
    book: Book, random: Random, studies: int, spread: float, skewness: float = 0.5, most: bool = False
) -> list[dict[str, Any]]:
    """Return what each part can be expected to tell, a row a part and grade.

    ``holds``, ``fails``: shares of studies with that answer if the quantity is what exploratory records let
    expect. ``half_width``: of the interval, its median. ``decided_from``: how far from a bound the true
    value has to lie for four in five studies to decide on which side it is.
    """
    rows = []
    by_name: dict[str, Ends] = {}
    for claim in book.claims:
        for part in claim.parts:
            quantity = part.quantity
            if quantity.name not in by_name:
                by_name[quantity.name] = (
                    outcomes_around(quantity, len(book.quantities), quantity.pilot.mean, random, studies)
                    if quantity.scale == "share"
                    else around_zero(quantity, book.level, random, studies, spread, skewness, most)
                )
            ends = by_name[quantity.name]
            expected = quantity.pilot.mean
            names = ["", *part.grades]
            for grade, (side, bound) in zip(names, statements(part), strict=True):
                holds, fails = decide(ends.low + expected, ends.high + expected, side, bound)  # type: ignore[arg-type]
                rows.append(
                    {
                        "claim": claim.id,
                        "part": part.name,
                        "grade": grade,
                        "quantity": quantity.name,
                        "expected": expected,
                        "bound": bound,
                        "holds": float(holds.mean()),
                        "fails": float(fails.mean()),
                        "half_width": float(np.median(ends.high - ends.low)) / 2,
                        "target": quantity.target,
                        "decided_from": float(np.quantile(-ends.low, 0.8)),
                    }
                )
    return rows
