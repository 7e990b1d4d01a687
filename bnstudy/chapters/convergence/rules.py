"""How fast training gets somewhere, in steps and in seconds, at each learning rate and the best: C4 and C13.

Before any training of the study was recorded, the seconds of C13 became steps times a timed step (they were
the run's own, with its evaluations in them), and a rate at which a seed diverged no candidate for the best.
"""

from __future__ import annotations

import math
from typing import Literal

import pandas as pd

from bnstudy.analysis.rules import Claim, Label, Rule
from bnstudy.analysis.tables import NotMeasuredError, Tables, at_its_best, last_step, paired, per_seed, rows

TARGET = 0.6  # the test accuracy to be reached


Clock = Literal["step", "seconds"]

# What was timed for each arm. "in place" is `updates_collections=None`, as the article has it.
TIMED = {"none": "none", "batch": "in place"}


def tested(tables: Tables) -> pd.DataFrame:
    """Return the evaluations on the test set: arm, learning_rate (its label), seed, step, accuracy."""
    return rows(tables, "evaluation", split="test")


def seconds_per_step(tables: Tables, arm: str) -> pd.Series[float]:
    """Return the mean duration of a training step by seed, timed by itself and without evaluation."""
    return per_seed(rows(tables, "cost", arm=TIMED[arm]), "seconds_per_step")


def best_rate(tables: Tables, arm: str) -> str:
    """Return the label of the learning rate at which an arm's mean accuracy at the last step is largest.

    A rate at which any seed diverged is no candidate: the mean of the others would be a choice among results.

    Raises:
        NotMeasuredError: there is no rate at which every seed reached the last step.
    """
    every = tested(tables)
    last = last_step(every)
    last = last[last["arm"] == arm]
    whole = last.groupby("learning_rate")["seed"].transform("nunique") == every["seed"].nunique()
    if not whole.any():
        raise NotMeasuredError(f"arm {arm!r} reached the last step with every seed at no learning rate")
    return str(at_its_best(last[whole], by="learning_rate")["learning_rate"].iloc[0])


def last_accuracy(tables: Tables, arm: str, rate: str) -> pd.Series[float]:
    """Return the test accuracy at the study's last step by seed; seeds that diverged before are not in it."""
    last = last_step(tested(tables))
    return per_seed(last[(last["arm"] == arm) & (last["learning_rate"] == rate)], "accuracy")


def first_step_at(tables: Tables, arm: str, rate: str, target: float) -> pd.Series[float]:
    """Return the first evaluated step with an accuracy of ``target`` or more by seed; NaN: never."""
    every = tested(tables)
    there = every[every["accuracy"] >= target]
    there = there[(there["arm"] == arm) & (there["learning_rate"] == rate)]
    seeds = sorted(every["seed"].unique())
    return there.groupby("seed")["step"].min().astype("float64").reindex(seeds)


def time_to(tables: Tables, arm: str, rate: str, target: float, clock: Clock) -> pd.Series[float]:
    """Return how long each seed takes to an accuracy of ``target``, in steps or in seconds.

    One that never gets there counts as if it did at the study's last evaluation. Seconds are steps times
    what a step of that arm takes by the timing of the same seed; a training run's own duration has its
    evaluations in it, and whatever else the machine did.
    """
    steps = first_step_at(tables, arm, rate, target).fillna(tested(tables)["step"].max())
    return steps if clock == "step" else steps * seconds_per_step(tables, arm)


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


C4 = Claim(
    "C4",
    "批量归一化的收敛非常快",
    "It converges very fast.",
    "convergence",
    (
        Rule(
            part="steps",
            label=Label(
                f"steps to {100 * TARGET:g} % test accuracy, without over with batch norm",
                f"测试准确率达到 {100 * TARGET:g} % 的步数，无 BN 与有 BN 之比",
            ),
            study="convergence",
            quantity=f"training steps to a test accuracy of {TARGET:g}, each arm at its best learning rate",
            contrast="without batch normalization over with it",
            threshold=1.0,
            measure=lambda tables: _to_target(tables, "step"),
            unit="factor",
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
            label=Label("test accuracy, with minus without batch norm", "测试准确率，有 BN 减无 BN"),
            study="convergence",
            quantity="test accuracy at the last step, each arm at its best learning rate",
            contrast="with batch normalization minus without",
            threshold=0.02,
            measure=_gain_in_accuracy,
        ),
        Rule(
            part="computation flies",
            label=Label(
                f"seconds to {100 * TARGET:g} % test accuracy, without over with batch norm",
                f"测试准确率达到 {100 * TARGET:g} % 的秒数，无 BN 与有 BN 之比",
            ),
            study="convergence",
            quantity=f"seconds to a test accuracy of {TARGET:g}, each arm at its best learning rate",
            contrast="without batch normalization over with it",
            threshold=math.log2(1.5),
            measure=lambda tables: _to_target(tables, "seconds"),
            unit="factor",
        ),
    ),
)


CLAIMS = (C4, C13)
