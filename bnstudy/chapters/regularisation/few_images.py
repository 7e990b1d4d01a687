"""Where networks trained on few images stand: at each look, stopped early, at the end, equally trained."""

from __future__ import annotations

from typing import Final, cast

import pandas as pd

from bnstudy.analysis.judged.contrasts import AtEqualTraining
from bnstudy.analysis.tables import paired
from bnstudy.blocks.small_data import NORMS
from bnstudy.chapters.regularisation.judged import EQUAL_TRAINING
from bnstudy.chapters.shown import Shown

# The networks without L2 and dropout; "alone" is what they are called.
PLAIN = {norm: f"{norm} plain" for norm in NORMS}

# Where the verdict holds them against each other.
RULE: Final = cast(AtEqualTraining, EQUAL_TRAINING.estimate)

# Training accuracies at which the two are held against each other, beside the judged one.
LEVELS = (0.7, 0.8, 0.9, 0.95)


def looks(shown: Shown) -> pd.DataFrame:
    """Return accuracies by arm, seed and step, in this order: a column a split, and the epochs made.

    What wasn't looked at is missing.
    """
    rows = shown.frames["checkpoints"]
    wide = rows.pivot_table(index=["arm", "seed", "step"], columns="split", values="accuracy").reset_index()
    return wide.assign(epoch=wide["step"] / shown.steps_an_epoch)


def stopped(wide: pd.DataFrame) -> pd.DataFrame:
    """Return each training where its validation accuracy is largest, at the earliest of equal ones."""
    return wide.loc[wide.groupby(["arm", "seed"])["validation"].idxmax()]


def at_epoch(wide: pd.DataFrame, epoch: float) -> pd.DataFrame:
    """Return each training at the last look after so many epochs or fewer, or at the first look."""
    made = wide["epoch"]
    there = made[made <= epoch + 1e-6]
    found: pd.DataFrame = wide[made == (there.max() if len(there) else made.min())]
    return found


def ends(wide: pd.DataFrame) -> pd.DataFrame:
    """Return each training at its end."""
    found: pd.DataFrame = wide[wide["step"] == wide["step"].max()]
    return found


def of(rows: pd.DataFrame, arm: str, column: str = "test") -> pd.Series[float]:
    """Return an arm's column by seed."""
    found: pd.Series[float] = rows[rows["arm"] == arm].set_index("seed")[column]
    return found


def apart(rows: pd.DataFrame, first: str, second: str) -> pd.Series[float]:
    """Return one arm's test accuracy less another's, by seed."""
    return paired(of(rows, first), of(rows, second))


def at_levels(wide: pd.DataFrame) -> pd.DataFrame:
    """Return the plain networks' test accuracy where each first has a training accuracy: level, arm, seed.

    A network that never gets to a level has no row there.
    """
    lines = []
    plain = wide[wide["arm"].isin(PLAIN.values())].dropna(subset=["train", "test"])
    for (arm, seed), course in plain.groupby(["arm", "seed"]):
        for level in LEVELS:
            there = course[course["train"] >= level]
            if len(there):
                lines.append({"level": level, "arm": arm, "seed": seed, "accuracy": there["test"].iloc[0]})
    return pd.DataFrame(lines, columns=["level", "arm", "seed", "accuracy"])


def ahead(rungs: pd.DataFrame, level: float) -> pd.Series[float]:
    """Return test accuracy with less that without batch norm at a level, by seed, where both got there."""
    none, batch = (of(rungs[rungs["level"] == level], PLAIN[norm], "accuracy") for norm in ("none", "batch"))
    both = none.index.intersection(batch.index)
    return paired(batch[both], none[both])


def compared(wide: pd.DataFrame) -> pd.DataFrame:
    """Return where the plain networks of each seed are judged against each other, by seed.

    ``held``: both had the judged training accuracy at as many looks in a row as are asked for; ``level``: the
    training accuracy that both have where they are compared; ``ahead``: test accuracy with batch norm less
    that without.
    """
    both = {norm: wide[wide["arm"] == arm].dropna(subset=["train"]) for norm, arm in PLAIN.items()}
    lines = []
    for seed in sorted(set(both["none"]["seed"]) & set(both["batch"]["seed"])):
        none, batch = (
            both[norm][both[norm]["seed"] == seed].set_index("step")[["train", "test"]] for norm in NORMS
        )
        least = pd.concat([none["train"], batch["train"]], axis=1).min(axis=1, skipna=False)
        row = (least >= RULE.level).rolling(RULE.held).sum() == RULE.held
        held = bool(row.any())
        level = float(least[row.idxmax()]) if held else min(none["train"].max(), batch["train"].max())
        at = [row.idxmax()] * 2 if held else [(each["train"] >= level).idxmax() for each in (batch, none)]
        lines.append(
            {
                "seed": seed,
                "held": held,
                "level": level,
                "ahead": float(batch["test"][at[0]] - none["test"][at[1]]),
            }
        )
    return pd.DataFrame(lines, columns=["seed", "held", "level", "ahead"]).set_index("seed")
