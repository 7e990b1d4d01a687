"""C4, C5 and C13: convergence, generalisation, accuracy and speed.

Before any training of its study was recorded, the seconds of C13 became steps times a timed step (they were
the run's own, with its evaluations in them), and a rate at which a seed diverged no candidate for the best.
"""

from __future__ import annotations

import math

import pandas as pd

from bnstudy.analysis.rules import SMALLEST_EFFECT, Claim, Rule
from bnstudy.analysis.tables import Tables, at_its_best, last_step, paired, per_seed, rows
from bnstudy.chapters.convergence.rules import Clock, best_rate, last_accuracy, time_to

TARGET = 0.6  # the test accuracy to be reached

ALTERNATIVES = ("l2", "dropout")


def _to_target(tables: Tables, clock: Clock) -> pd.Series[float]:
    """Return the binary logarithm of how much longer the network without normalisation takes to TARGET.

    Each arm is given its best rate, so that the contrast isn't decided by one that suits one of the two.
    """
    without, with_norm = (
        time_to(tables, arm, best_rate(tables, arm), TARGET, clock).map(math.log2)
        for arm in ("none", "batch")
    )
    return paired(without, with_norm)


def _gain_in_accuracy(tables: Tables) -> pd.Series[float]:
    with_norm, without = (last_accuracy(tables, arm, best_rate(tables, arm)) for arm in ("batch", "none"))
    return paired(with_norm, without)


def _accuracy(tables: Tables, arms: tuple[str, ...], split: str = "test") -> pd.Series[float]:
    """Return the last accuracy by seed of the best of ``arms``, on the full training set."""
    return per_seed(
        at_its_best(pd.concat(_at_the_end(tables, arm, split) for arm in arms), by="arm"), "accuracy"
    )


def _at_the_end(tables: Tables, arm: str, split: str) -> pd.DataFrame:
    """Return an arm's last evaluations: with moving averages, where there are any."""
    statistics = "moving" if arm.startswith("batch") else "none"
    where = {"arm": arm, "split": split, "fraction": "all", "statistics": statistics}
    return last_step(rows(tables, "evaluation", **where))


def _gap_closed(tables: Tables) -> pd.Series[float]:
    gaps = [
        paired(_accuracy(tables, (arm,), "train"), _accuracy(tables, (arm,))) for arm in ("none", "batch")
    ]
    return paired(*gaps)


def _over_alternatives(tables: Tables) -> pd.Series[float]:
    return paired(_accuracy(tables, ("batch",)), _accuracy(tables, ALTERNATIVES))


def _left_to_gain(tables: Tables) -> pd.Series[float]:
    return paired(
        _accuracy(tables, tuple(f"batch + {a}" for a in ALTERNATIVES)), _accuracy(tables, ("batch",))
    )


C4 = Claim(
    "C4",
    "批量归一化的收敛非常快",
    "It converges very fast.",
    "convergence",
    (
        Rule(
            part="steps",
            study="convergence",
            quantity=f"training steps to a test accuracy of {TARGET:g}, each arm at its best learning rate",
            contrast="without batch normalization over with it",
            threshold=1.0,
            measure=lambda tables: _to_target(tables, "step"),
            unit="factor",
        ),
    ),
)

C5 = Claim(
    "C5",
    "有很强的泛化能力,在一些情况下,完全可以代替前面的正则化,dropout",
    "It generalises strongly and can, in some cases, replace regularisation and dropout entirely.",
    "regularisation",
    (
        Rule(
            part="it generalises",
            study="regularisation",
            quantity="training minus test accuracy at the last step",
            contrast="without batch normalization minus with it",
            threshold=0.01,
            measure=_gap_closed,
        ),
        Rule(
            part="no worse than what it replaces",
            study="regularisation",
            quantity="test accuracy at the last step",
            contrast="batch normalization alone minus the better of L2 and dropout without it",
            threshold=-SMALLEST_EFFECT,
            measure=_over_alternatives,
        ),
        Rule(
            part="nothing left to gain from them",
            study="regularisation",
            quantity="test accuracy at the last step",
            contrast="the better of L2 and dropout on top of batch normalization minus it alone",
            threshold=SMALLEST_EFFECT,
            measure=_left_to_gain,
            side="below",
        ),
    ),
)

# "Computation flies" can mean less time a step or less time to a result. The verdict takes the second,
# which favours the claim; the chapter reports the first beside it.
C13 = Claim(
    "C13",
    "识别的准确率显著的得到了提升,并且计算速度也是飞起",
    'Recognition accuracy rises markedly, and computation "flies".',
    "convergence",
    (
        Rule(
            part="accuracy rises",
            study="convergence",
            quantity="test accuracy at the last step, each arm at its best learning rate",
            contrast="with batch normalization minus without",
            threshold=0.02,
            measure=_gain_in_accuracy,
        ),
        Rule(
            part="computation flies",
            study="convergence",
            quantity=f"seconds to a test accuracy of {TARGET:g}, each arm at its best learning rate",
            contrast="without batch normalization over with it",
            threshold=math.log2(1.5),
            measure=lambda tables: _to_target(tables, "seconds"),
            unit="factor",
        ),
    ),
)
