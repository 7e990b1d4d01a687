"""What depends on when moving averages are updated, and C11: which bits differ, and what a step costs.

Contrasts and bounds are the first ones. Where a rule looks was settled before its records were read: its cost
is that of the runs that time all ways of updating in turn, and none of TensorFlow's, which the study has
besides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from bnstudy.analysis.rules import Claim, Label, Rule
from bnstudy.analysis.tables import Tables, paired, rows

# Order of the arms on the page. The first is the article's, and what the others are held against.
ARMS = ("in place", "with the step", "after the step", "never")
FIRST = ARMS[0]

IN_TENSORFLOW = "TensorFlow, "


def planned_as(tables: Tables, name: str, plan: str, **where: object) -> pd.DataFrame:
    """Return the rows of the runs that were planned as the arm ``plan``, and have the values of ``where``.

    A table with a column ``arm`` of its own says there what was timed, and not how its run was planned.

    The runs that time the steps of all arms in turn were planned as ``"step cost"``.

    Raises:
        NotMeasuredError: there are no such runs, or none of their rows is in the table.
    """
    runs = set(rows(tables, "runs", arm=plan)["run"])
    table = rows(tables, name)
    return rows({name: table[table["run"].isin(runs)]}, name, **where)


def agreement(frame: pd.DataFrame, arms: Sequence[str], value: str) -> pd.DataFrame:
    """Compare a column of each arm with the first arm's, bit for bit, at the same seed and place.

    ``frame`` has columns arm, seed, step, ``value`` and, for parameters, parameter. Returns one row an arm
    but the first: arm, compared, equal. What one of the two arms lacks counts as compared and not equal, and
    so does a value that is no number.
    """
    place = [c for c in ("seed", "step", "parameter") if c in frame]
    first, *others = (frame[frame["arm"] == arm].set_index(place)[value] for arm in arms)
    lines = []
    for arm, other in zip(arms[1:], others, strict=True):
        everywhere = first.index.union(other.index)
        equal = first.reindex(everywhere).eq(other.reindex(everywhere))
        lines.append({"arm": arm, "compared": len(everywhere), "equal": int(equal.sum())})
    return pd.DataFrame(lines)


def largest_difference(frame: pd.DataFrame, arms: Sequence[str], value: str) -> float:
    """Return by how much a column of any arm is off the first arm's, at most, at the same seed and step."""
    by_arm = frame[frame["arm"].isin(arms)].pivot(index=["seed", "step"], columns="arm", values=value)
    return float(by_arm.sub(by_arm[arms[0]], axis=0).abs().to_numpy().max())


def step_seconds(tables: Tables, arm: str, over_rounds: str = "mean") -> pd.Series[float]:
    """Return seconds a training step by seed, of the runs that time every arm in turn, round by round.

    ``over_rounds`` sums up the rounds of a seed: ``"mean"``, ``"median"`` or ``"min"``.
    """
    timed = planned_as(tables, "cost", "step cost", arm=arm)
    return timed.groupby("seed")["seconds_per_step"].agg(over_rounds)


def relative_cost(tables: Tables, arm: str, other: str, over_rounds: str = "mean") -> pd.Series[float]:
    """Return by seed the binary logarithm of an arm's seconds a step over those of another."""
    return paired(*(step_seconds(tables, a, over_rounds).map(math.log2) for a in (arm, other)))


def tensorflow_seconds(tables: Tables, arm: str) -> pd.Series[float]:
    """Return the median of seconds a training step by seed of TensorFlow's runs of ``arm``.

    Every step of these runs is timed, and nothing else in turn with it: a mean would follow the few steps in
    which the machine did other work.
    """
    timed = planned_as(tables, "cost", f"{IN_TENSORFLOW}{arm}")
    return timed.groupby("seed")["seconds_per_step"].median()


def tensorflow_cost(tables: Tables, arm: str, other: str) -> pd.Series[float]:
    """Return by seed the binary logarithm of an arm's seconds a step over another's, in TensorFlow."""
    return paired(*(tensorflow_seconds(tables, a).map(math.log2) for a in (arm, other)))


def accuracy_with(evaluation: pd.DataFrame, arm: str, statistics: str) -> pd.DataFrame:
    """Return an arm's test rows with the network's averages ("moving") or each batch's moments ("batch")."""
    return rows({"evaluation": evaluation}, "evaluation", arm=arm, split="test", statistics=statistics)


def _share_of_losses_that_differ(tables: Tables) -> pd.Series[float]:
    in_place, with_step = (
        rows(tables, "training", arm=arm).set_index(["seed", "step"])["loss"]
        for arm in ("in place", "with the step")
    )
    return (paired(in_place, with_step) != 0).astype(float).groupby("seed").mean()


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
            label=Label(
                "share of training steps whose loss differs in any bit",
                "损失并非逐比特相等的训练步所占比例",
            ),
            study="updates_collections",
            quantity="share of training steps whose loss differs in any bit",
            contrast="updates in place against updates run with the step",
            threshold=0.5,
            measure=_share_of_losses_that_differ,
        ),
        Rule(
            part="None is slower",
            label=Label(
                "seconds a training step, in place over run with the step",
                "每个训练步的秒数，就地更新与随训练步更新之比",
            ),
            study="updates_collections",
            quantity="seconds a training step",
            contrast="updates in place over updates run with the step",
            threshold=math.log2(1.01),
            measure=lambda tables: relative_cost(tables, "in place", "with the step"),
            unit="factor",
        ),
    ),
)


CLAIMS = (C11,)
