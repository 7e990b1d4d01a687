"""C6, C7, C10 and C11: moving averages, and the arguments that govern them.

Contrasts and bounds are the first ones. Where two rules look was settled before their records were read:
C10 reads the table "flag", which its study measures once, at the last step; C11's cost reads the runs that
time all ways of updating in turn, and none of TensorFlow's, which the study has besides.
"""

from __future__ import annotations

import math

import pandas as pd

from bnstudy.analysis.rules import SMALLEST_EFFECT, Claim, Rule
from bnstudy.analysis.tables import Tables, last_step, paired, rows
from bnstudy.chapters.decay.rules import accuracy
from bnstudy.chapters.train_flag.rules import flag_accuracy
from bnstudy.chapters.updates_collections.rules import relative_cost


def smoothing(decay: float = 0.9, schedule: str = "constant") -> Rule:
    """C6: test accuracy with moving averages (started at 0 and 1) against each batch's own statistics."""

    def measure(tables: Tables) -> pd.Series[float]:
        last = last_step(rows(tables, "evaluation", schedule=schedule))
        moving = accuracy(last, statistics="moving", zero_debias="none", decay=decay)
        return paired(moving, accuracy(last, statistics="batch"))

    return Rule(
        part="smoothing helps",
        study="decay",
        quantity="test accuracy at the last step",
        contrast=f"moving averages of decay {decay:g} minus each test batch's own statistics",
        threshold=SMALLEST_EFFECT,
        measure=measure,
    )


def overfitting(large: float = 0.999, usual: float = 0.9, schedule: str = "constant") -> Rule:
    """C7: overfitting is a train-test gap that grows; by how much from the usual decay to a large one?"""

    def measure(tables: Tables) -> pd.Series[float]:
        last = last_step(rows(tables, "evaluation", schedule=schedule))
        return paired(generalisation_gap(last, large), generalisation_gap(last, usual))

    return Rule(
        part="a large decay overfits",
        study="decay",
        quantity="training minus test accuracy at the last step",
        contrast=f"decay {large:g} minus decay {usual:g}",
        threshold=SMALLEST_EFFECT,
        measure=measure,
    )


def generalisation_gap(evaluation: pd.DataFrame, decay: float) -> pd.Series[float]:
    """Return training minus test accuracy with plain moving averages of ``decay``, per run and step."""
    arm = {"statistics": "moving", "zero_debias": "none", "decay": decay}
    return (accuracy(evaluation, split="train", **arm) - accuracy(evaluation, split="test", **arm)).dropna()


# The regimes in which a network is most often left in training mode by mistake: one image at a time, and
# files in the order of their folders. Shuffled batches of the training size are C6's contrast.
FLAG_SETTINGS = ((1, "shuffled"), (100, "sorted by class"))


def _flag_off_against_on(size: int, order: str) -> Rule:
    def measure(tables: Tables) -> pd.Series[float]:
        off, on = (flag_accuracy(tables, statistics, order, size) for statistics in ("moving", "batch"))
        return paired(off, on)

    return Rule(
        part=f"test batches of {size}, {order}",
        study="train_flag",
        quantity="test accuracy at the last step",
        contrast=f"is_training=False minus True, in test batches of {size}, {order}",
        threshold=SMALLEST_EFFECT,
        measure=measure,
    )


def _share_of_losses_that_differ(tables: Tables) -> pd.Series[float]:
    in_place, with_step = (
        rows(tables, "training", arm=arm).set_index(["seed", "step"])["loss"]
        for arm in ("in place", "with the step")
    )
    return (paired(in_place, with_step) != 0).astype(float).groupby("seed").mean()


C6 = Claim(
    "C6",
    "为了更好的效果,我们使用平滑指数衰减的方法来优化每次的均值和方差",
    "An exponential moving average of the per-batch mean and variance gives better results.",
    "decay",
    (smoothing(),),
)

C7 = Claim(
    "C7",
    "值太小会导致更新太快,值太大会导致几乎没有衰减,容易出现过拟合",
    "With too small a `decay` the averages update too fast; with too large a one there is hardly any decay, "
    "and overfitting comes easily (the second half is judged).",
    "decay",
    (overfitting(),),
)

C10 = Claim(
    "C10",
    "当测试时,要设置为False",
    "At test time `is_training` must be False, so that the statistics of training are used.",
    "train_flag",
    tuple(_flag_off_against_on(size, order) for size, order in FLAG_SETTINGS),
)

# Training that used the previous batch's statistics would go another way from the second step on.
C11 = Claim(
    "C11",
    "导致当前数据总是使用前一次的均值和方差 … 一般设置为None … 但在性能上稍慢",
    "`UPDATE_OPS` makes a batch use the previous batch's statistics; `None` updates at once and is a "
    "little slower.",
    "updates_collections",
    (
        Rule(
            part="training differs",
            study="updates_collections",
            quantity="share of training steps whose loss differs in any bit",
            contrast="updates in place against updates run with the step",
            threshold=0.5,
            measure=_share_of_losses_that_differ,
        ),
        Rule(
            part="None is slower",
            study="updates_collections",
            quantity="seconds a training step",
            contrast="updates in place over updates run with the step",
            threshold=math.log2(1.01),
            measure=lambda tables: relative_cost(tables, "in place", "with the step"),
            unit="factor",
        ),
    ),
)
