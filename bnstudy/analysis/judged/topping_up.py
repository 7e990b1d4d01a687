"""How many seeds a block needs, from the spread of its seeds alone: no mean is looked at."""

from __future__ import annotations

import numpy as np

from bnstudy.analysis.judged.design import Block
from bnstudy.analysis.judged.parts import Quantity
from bnstudy.analysis.judged.training import Blocks
from bnstudy.analysis.judged.verdicts import check_seeds
from bnstudy.analysis.procedure import FloatArray, Moments, Outcomes, half_widths, level_of, moments


def seeds_for(block: Block, quantities: list[Quantity], blocks: Blocks, family: int) -> int:
    """Return the number of seeds at which each quantity of a block should reach its target half-width.

    At least the planned number and at most ``block.at_most``, which it is also where that isn't enough. Only
    spreads are looked at, so that the choice says nothing of an effect; it may be made once. A quantity that
    reads several blocks, or yes and no, is left out.

    Raises:
        NotMeasuredError: the records lack what a quantity reads.
    """
    wanted = block.seeds
    for quantity in quantities:
        if [b.name for b, _ in quantity.reads] != [block.name]:
            continue
        check_seeds(quantity, blocks)
        sample = quantity.estimate(blocks)
        if isinstance(sample, Outcomes):
            continue
        [component] = sample.components
        n = len(component.values)
        seeds = np.array([component.values.var(ddof=1)])
        images = moments(component).variance - seeds / n
        wanted = max(wanted, int(enough(seeds, images, n, quantity.target, level_of(family), block)[0]))
    return wanted


def enough(
    variance: FloatArray, images: FloatArray, have: int, target: float, level: float, block: Block
) -> FloatArray:
    """Return the fewest seeds, from ``have`` to ``block.at_most``, that reach a target; else the latter.

    ``variance``: between seeds; ``images``: of the mean, by the choice of the images. Both [studies].
    """
    needed = np.full(len(variance), block.at_most)
    for count in reversed(range(have, block.at_most)):
        seeds = variance / count
        total = Moments(np.zeros(len(variance)), seeds + images, seeds**2 / (count - 1))
        needed = np.where(half_widths(total, level) <= target, count, needed)
    return needed
