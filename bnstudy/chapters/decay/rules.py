"""What the decay ablation measures, and C6 and C7: contrasts of accuracies, paired by seed.

The claims' contrasts and bounds are the first ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bnstudy.analysis.rules import SMALLEST_EFFECT, Claim, Label, Rule
from bnstudy.analysis.tables import Tables, last_step, paired, rows

# The parts of a moving average's evaluation error: each is what its remedy wins back.
PARTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "initialisation bias": (
        {"statistics": "moving", "zero_debias": "both"},
        {"statistics": "moving", "zero_debias": "none"},
    ),
    "staleness": ({"statistics": "frozen"}, {"statistics": "moving", "zero_debias": "both"}),
    "sampling noise": ({"statistics": "precise"}, {"statistics": "frozen"}),
}


def accuracy(evaluation: pd.DataFrame, **where: Any) -> pd.Series[float]:
    """Return accuracies indexed by (schedule, seed, step) of the rows that ``where`` selects.

    ``statistics="batch"`` and ``"precise"`` have no decay; a decay given with them is ignored.
    """
    where.setdefault("split", "test")
    if where.get("statistics") in ("batch", "precise", "none"):
        where.pop("decay", None)
        where.pop("zero_debias", None)
    chosen = evaluation
    for column, value in where.items():
        chosen = chosen[chosen[column] == value]
    series = chosen.set_index(["schedule", "seed", "step"])["accuracy"]
    if series.index.has_duplicates:
        raise ValueError(f"the selection {where} is ambiguous: give statistics, and zero_debias for 'moving'")
    return series


def difference(
    evaluation: pd.DataFrame, first: Mapping[str, Any], second: Mapping[str, Any]
) -> pd.Series[float]:
    """Return accuracy under ``first`` minus accuracy under ``second``, paired by schedule, seed and step."""
    return (accuracy(evaluation, **first) - accuracy(evaluation, **second)).dropna()


def error_split(evaluation: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """Split what each moving average loses against precise statistics into its three parts.

    Returns tidy rows: schedule, seed, step, decay, part, loss_of_accuracy. The parts of a row's
    decay, seed and step add up to the accuracy with precise statistics minus that with the
    plain moving average.
    """
    frames = []
    for decay in sorted(evaluation["decay"].dropna().unique()):
        for part, (better, worse) in PARTS.items():
            gain = difference(
                evaluation,
                {**better, "decay": decay, "split": split},
                {**worse, "decay": decay, "split": split},
            )
            frames.append(gain.rename("loss_of_accuracy").reset_index().assign(decay=decay, part=part))
    return pd.concat(frames, ignore_index=True)


def statistics_name(row: pd.Series[Any]) -> str:
    """Return what the pages call the statistics of an evaluation's row, without the decay."""
    if row["statistics"] == "moving":
        return "moving average" if row["zero_debias"] == "none" else "moving average, debiased"
    if row["statistics"] == "frozen":
        return "moving average, weights frozen"
    return f"{row['statistics']} statistics"


def smoothing(decay: float = 0.9, schedule: str = "constant") -> Rule:
    """C6: test accuracy with moving averages (started at 0 and 1) against each batch's own statistics."""

    def measure(tables: Tables) -> pd.Series[float]:
        last = last_step(rows(tables, "evaluation", schedule=schedule))
        moving = accuracy(last, statistics="moving", zero_debias="none", decay=decay)
        return paired(moving, accuracy(last, statistics="batch"))

    return Rule(
        part="smoothing helps",
        label=Label(
            "test accuracy, moving averages minus batch statistics", "测试准确率，滑动平均减批统计量"
        ),
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
        label=Label(
            f"training minus test accuracy, decay {large:g} minus decay {usual:g}",
            f"训练与测试准确率之差，decay {large:g} 减 decay {usual:g}",
        ),
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
    "and overfitting comes easily.",
    "decay",
    (overfitting(),),
)


CLAIMS = (C6, C7)
