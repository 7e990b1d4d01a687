"""C11, second round: what `updates_collections` changes, and what it costs.

Reads the cost block (``cost``: arm, round, seconds_per_step): 12 processes on an idle machine, seeds 100 to
111, that time the arms "in place" (`updates_collections=None`) and "with the step" (the default) in turn. A
process is the unit: rounds of one share its memory and its luck.
"""

from __future__ import annotations

import math

from bnstudy.analysis.judged.design import COST
from bnstudy.analysis.judged.parts import Claim, Part, Pilot, Quantity, Reads, Verified, Words
from bnstudy.analysis.judged.times import StepCost

SLOWER = Quantity(
    "seconds a step, in place over with the step",
    StepCost("cost", "in place", "with the step"),
    (Reads(COST, ("all",)),),
    "factor",
    math.log2(1.05),
    Pilot(0.0, 0.04),
)

C11 = Claim(
    "C11",
    (Part("None is slower", SLOWER, "above", 0.0, {"by a tenth": math.log2(1.1)}),),
    (
        Verified(
            "a batch uses the previous statistics",
            False,
            "tests/test_settled.py::test_both_ways_of_updating_train_alike",
        ),
    ),
)

CLAIMS = (C11,)

WORDS = {
    "C11": Words(
        "导致当前数据总是使用前一次的均值和方差 … 一般设置为None … 但在性能上稍慢",
        "`UPDATE_OPS` makes a batch use the previous batch's statistics; `None` updates at once and is a "
        "little slower.",
        {
            "None is slower": (
                "A training step takes longer with None than with the default collection.",
                "设为 None 时，一个训练步比用默认集合更慢。",
            ),
            "by a tenth": ("By at least a tenth.", "至少慢十分之一。"),
            "a batch uses the previous statistics": (
                "With the default collection a training batch is normalised by the statistics of the one "
                "before.",
                "用默认集合时，训练批用前一批的统计量做归一化。",
            ),
        },
        {"None is slower": '"A little slower" is any cost at all; a tenth would be one to mind.'},
    )
}
