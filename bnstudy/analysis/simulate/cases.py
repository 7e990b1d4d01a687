"""Studies that are hard to judge: ties, no spread, times that are cut off, seeds added for precision."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np

from bnstudy.analysis.judged.design import Block
from bnstudy.analysis.judged.parts import Quantity
from bnstudy.analysis.judged.times import StepsToTargets, sample_of
from bnstudy.analysis.judged.topping_up import enough
from bnstudy.analysis.judged.training import NotTestedError
from bnstudy.analysis.judged.verdicts import answer
from bnstudy.analysis.procedure import (
    Component,
    FloatArray,
    Moments,
    Sample,
    few_values,
    half_widths,
    interval,
)
from bnstudy.analysis.simulate.book import Book, Ends, Random, bounds, false_answers, of_seeds, skewed
from bnstudy.analysis.statistics import Interval


def no_spread_at_a_bound(book: Book) -> float:
    """Return the share of quantities with a false answer where every seed gives exactly a bound."""
    wrong = [
        false_answers(book.parts(q), _ends(np.full((1, _seeds(q)), bound), bound, book), bound)[0]
        for q in _not_shares(book)
        for bound in bounds(book, q)
    ]
    return float(np.mean(wrong))


def two_values(book: Book, random: Random, studies: int) -> float:
    """Return how often the book errs if every seed lies a step above or below a bound, by a coin.

    Equal seeds, and nearly equal ones, come of it by chance. True is the bound: the mean and the median.
    """

    def coins(shape: tuple[int, int]) -> FloatArray:
        return np.where(random.random(shape) < 0.5, -1.0, 1.0)

    return _book_errs(book, studies, coins)


def rounded(book: Book, random: Random, studies: int, step: float) -> float:
    """Return how often the book errs if seeds are normal, but rounded to so many standard deviations.

    The true value, a bound, lies on the grid, so that seeds agree with it and with one another.
    """

    def draws(shape: tuple[int, int]) -> FloatArray:
        return np.asarray(np.round(random.standard_normal(shape) / step) * step)

    return _book_errs(book, studies, draws)


def equal_epsilons(quantities: list[Quantity], book: Book, random: Random, studies: int) -> dict[str, float]:
    """Return how often C9's parts hold, and don't, if epsilon makes no difference whatever: the C9 tie.

    The default and five others have the same distribution of accuracies, read off 10,000 images, so that
    equal counts happen. ``best``: how often "the default minus the best of the six", the first round's
    contrast, is without any spread, because the default happens to be the best: it then was called
    supported.
    """
    [seeds] = {_seeds(q) for q in quantities}
    holds = fails = best = 0
    for _ in range(studies):
        common = 0.7 + 0.005 * random.standard_normal((seeds, 1))
        accuracy = np.round((common + 0.004 * random.standard_normal((seeds, 6))) * 10_000) / 10_000
        winner = int(accuracy.mean(axis=0).argmax())
        best += int(few_values(accuracy[:, 0] - accuracy[:, winner]))
        answers = []
        for i, quantity in enumerate(quantities, 1):
            found = interval(Sample((Component(accuracy[:, 0] - accuracy[:, i]),)), len(book.quantities))
            answers += [answer(found, p.side, p.bound) for p in book.parts(quantity) if p.votes]
        holds += all(a == "holds" for a in answers)
        fails += any(a == "doesn't hold" for a in answers)
    return {"holds": holds / studies, "fails": fails / studies, "best": best / studies}


def cut_off(quantity: Quantity, book: Book, random: Random, studies: int, horizon: float) -> dict[str, float]:
    """Return how often times that are cut off at a horizon are judged falsely, the true ratio being a bound.

    Steps to each target are log-normal, and those of the slow arm a bound's factor more; the last target
    comes late. ``judged``: by the procedure. ``first round``: if every target counted, and times that were
    cut off as if they were reached. ``cut off``: the share of studies in which a time that counts was.
    """
    rule = quantity.estimate
    assert isinstance(rule, StepsToTargets)
    [(block, _)] = quantity.reads
    found = {"judged": 0, "first round": 0, "cut off": 0}
    for bound in bounds(book, quantity):
        base = np.log2(horizon) - bound + np.linspace(-2.0, 0.6, len(rule.targets))
        for _ in range(studies):
            fast = base + 0.15 * random.standard_normal((block.seeds, 1))
            slow = fast + bound + 0.2 * random.standard_normal((block.seeds, 1))
            steps = 2 ** np.stack([slow, fast])
            steps[steps > horizon] = np.nan
            as_reached = sample_of(steps, horizon, arriving=0.0).components[0].values
            samples = {"first round": Component(as_reached)}
            with suppress(NotTestedError):
                [samples["judged"]] = sample_of(steps, horizon, rule.arriving).components
                found["cut off"] += samples["judged"].at_least or samples["judged"].at_most
            for name, component in samples.items():
                seen = interval(Sample((component,)), len(book.quantities))
                ends = Ends(np.array([seen.low - bound]), np.array([seen.high - bound]))
                found[name] += int(false_answers(book.parts(quantity), ends, bound)[0])
    total = studies * len(bounds(book, quantity))
    return {name: count / total for name, count in found.items()}


def topped_up(book: Book, random: Random, studies: int, spread: float, skewness: float) -> float:
    """Return how often the book errs, every quantity at its first bound, if seeds are added for precision.

    Each quantity's number is chosen from its own spread alone, up to the block's most: as much dependence of
    the number on the spread as there can be.
    """
    wrong = np.zeros(studies, dtype=bool)
    for quantity in book.quantities:
        if quantity.scale == "share" or len(quantity.reads) > 1:
            continue
        [(block, _)] = quantity.reads
        ends = _topped_up(quantity, block, book.level, random, (studies, block.at_most), spread, skewness)
        bound = bounds(book, quantity)[0]
        wrong |= false_answers(book.parts(quantity), ends, bound)
    return float(wrong.mean())


def _topped_up(
    quantity: Quantity,
    block: Block,
    level: float,
    random: Random,
    shape: tuple[int, int],
    spread: float,
    skewness: float,
) -> Ends:
    studies, most = shape
    draws = spread * quantity.pilot.seeds * skewed(random, shape, skewness)
    images = np.full(studies, quantity.pilot.images**2)
    variance = draws[:, : block.seeds].var(axis=1, ddof=1)
    count = enough(variance, images, block.seeds, quantity.target, level, block)
    used = np.arange(most) < count[:, None]
    mean = (draws * used).sum(axis=1) / count
    seeds = (((draws - mean[:, None]) ** 2) * used).sum(axis=1) / (count - 1) / count
    mean = mean + quantity.pilot.images * random.standard_normal(studies)
    half = half_widths(Moments(mean, seeds + images, seeds**2 / (count - 1)), level)
    return Ends(mean - half, mean + half)


def _book_errs(book: Book, studies: int, draw: Callable[[tuple[int, int]], FloatArray]) -> float:
    """Return the share of studies with a false answer, seeds being drawn around each first bound."""
    wrong = np.zeros(studies, dtype=bool)
    for quantity in _not_shares(book):
        bound = bounds(book, quantity)[0]
        # Small steps, since a bound is not to be lost beside them.
        ends = _ends(bound + 1e-3 * draw((studies, _seeds(quantity))), bound, book)
        wrong |= false_answers(book.parts(quantity), ends, bound)
    return float(wrong.mean())


def _ends(values: FloatArray, truth: float, book: Book) -> Ends:
    """Return the intervals of studies [studies, seeds], less the truth."""
    total = of_seeds(values)
    half = half_widths(total, book.level)
    low, high = total.mean - half, total.mean + half
    # Student's interval is vectorised; what else the procedure does is left to it, once for equal seeds.
    ordered = np.sort(values, axis=1)
    known: dict[bytes, Interval] = {}
    for i in np.flatnonzero(few_values(values)):
        key = ordered[i].tobytes()
        if key not in known:
            known[key] = interval(Sample((Component(ordered[i]),)), len(book.quantities))
        low[i], high[i] = known[key].low, known[key].high
    return Ends(low - truth, high - truth)


def _not_shares(book: Book) -> list[Quantity]:
    return [q for q in book.quantities if q.scale != "share"]


def _seeds(quantity: Quantity) -> int:
    return min(block.seeds for block, _ in quantity.reads)
