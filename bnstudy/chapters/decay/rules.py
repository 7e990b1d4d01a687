"""What the decay ablation measures: contrasts of accuracies, paired by seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

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
