"""C4 and C13, second round: steps and seconds to a result, accuracy at the end, and what a step costs.

Reads the core block, arms "none" and "batch", each at its best learning rate by validation:

* ``arrivals``: step and accuracy on 2,000 fixed, class-balanced test images at steps in geometric ratio
  1.1, the same in both arms, with each arm's own statistics (moving of decay 0.9, or none), from the first
  step to the last;
* ``hits`` and ``hits_index`` of the test images at ``END``: moving of decay 0.9, and none.

And the cost block (``cost``: arm, round, seconds_per_step): 12 processes on an idle machine, seeds 100 to
111, that time the arms "none" and "in place" in turn.
"""

from __future__ import annotations

import math

from bnstudy.analysis.judged.contrasts import AtEpochs, minus
from bnstudy.analysis.judged.design import CORE, COST, END
from bnstudy.analysis.judged.parts import Claim, Part, Pilot, Quantity, Reads, Words
from bnstudy.analysis.judged.times import StepCost, StepsToTargets, TimeToTargets
from bnstudy.analysis.judged.training import Evaluation

TARGETS = (0.5, 0.6, 0.65, 0.7)
FASTER = math.log2(1.25)

_BOTH = Reads(CORE, ("batch", "none"))
_STEPS = StepsToTargets("core", ("none", "none"), ("batch", "moving"), TARGETS, arriving=0.875)
_COST = StepCost("cost", "none", "in place")

STEPS = Quantity(
    "steps to a result, none over batch norm", _STEPS, (_BOTH,), "factor", math.log2(1.25), Pilot(1.1, 0.2)
)

SECONDS_A_STEP = Quantity(
    "seconds a step, none over batch norm",
    _COST,
    (Reads(COST, ("all",)),),
    "factor",
    math.log2(1.25),
    Pilot(-0.32, 0.06),
)

SECONDS = Quantity(
    "seconds to a result, none over batch norm",
    TimeToTargets(_STEPS, _COST),
    (_BOTH, Reads(COST, ("all",))),
    "factor",
    math.log2(1.25),
    Pilot(0.8, 0.2, second=0.06),
)

ACCURACY = Quantity(
    "test accuracy at the end, batch norm minus none",
    AtEpochs("core", END, minus(("batch", Evaluation("moving", decay=0.9)), ("none", Evaluation("none")))),
    (_BOTH,),
    "points",
    0.015,
    Pilot(0.06, 0.006, 0.0021),
)

C4 = Claim("C4", (Part("fewer steps", STEPS, "above", FASTER, {"twice as fast": 1.0}),))

# "Computation flies" can mean a step or a result: both are asked, and both vote.
C13 = Claim(
    "C13",
    (
        Part("accuracy rises", ACCURACY, "above", 0.02, {"by 5 points": 0.05}),
        Part("a step flies", SECONDS_A_STEP, "above", FASTER),
        Part("a result flies", SECONDS, "above", FASTER, {"twice as fast": 1.0}),
    ),
)

CLAIMS = (C4, C13)

WORDS = {
    "C4": Words(
        "批量归一化的收敛非常快",
        "It converges very fast.",
        {
            "fewer steps": (
                "Without batch norm training takes at least 1.25 times the steps to the same test accuracy, "
                "each network at its best learning rate.",
                "各取最佳学习率，达到同样的测试准确率所需的步数，无 BN 至少是有 BN 的 1.25 倍。",
            ),
            "twice as fast": ('"Very fast": at least twice the steps.', "“非常快”：步数至少是两倍。"),
        },
        {
            "fewer steps": "A quarter is the least that one would call fast; twice, what one would call "
            "very fast."
        },
    ),
    "C13": Words(
        "识别的准确率显著的得到了提升,并且计算速度也是飞起",
        'Recognition accuracy rises markedly, and computation "flies".',
        {
            "accuracy rises": (
                "Test accuracy after annealing is at least 2 points higher with batch norm.",
                "退火后，有 BN 的测试准确率至少高 2 个百分点。",
            ),
            "by 5 points": ("At least 5 points higher.", "至少高 5 个百分点。"),
            "a step flies": (
                "Without batch norm a training step takes at least 1.25 times as long.",
                "一个训练步所需的时间，无 BN 至少是有 BN 的 1.25 倍。",
            ),
            "a result flies": (
                "Without batch norm the same test accuracy takes at least 1.25 times as long.",
                "达到同样的测试准确率所需的时间，无 BN 至少是有 BN 的 1.25 倍。",
            ),
            "twice as fast": ("At least twice as long.", "至少是两倍。"),
        },
        {
            "accuracy rises": "Two points are a rise that one would call marked.",
            "a step flies": "As for C4.",
            "a result flies": "As for C4.",
        },
    ),
}
