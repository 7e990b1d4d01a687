"""Rows of tidy tables: selecting, pairing by seed, summing up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bnstudy.analysis.statistics import Amount, mean_interval
from bnstudy.analysis.trail import Watched, note_pair

Tables = Mapping[str, pd.DataFrame]


class NotMeasuredError(LookupError):
    """A study was recorded without the rows that a rule reads."""


def rows(tables: Tables, name: str, **where: Any) -> pd.DataFrame:
    """Return the rows of a table at which each column of ``where`` has its value.

    Raises:
        NotMeasuredError: the table, a column or the combination of values is not there.
    """
    if name not in tables:
        raise NotMeasuredError(f"no table {name!r}; there are: {', '.join(map(repr, tables))}")
    chosen = tables[name]
    for column, value in where.items():
        if column not in chosen:
            raise NotMeasuredError(
                f"no column {column!r} in table {name!r}; there are: {', '.join(chosen.columns)}"
            )
        chosen = chosen[chosen[column] == value]
    if chosen.empty:
        raise NotMeasuredError(f"no rows in table {name!r} with {where}")
    if isinstance(tables, Watched):
        tables.narrow(chosen)
    return chosen


def last_step(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the last evaluated step."""
    last: pd.DataFrame = frame[frame["step"] == frame["step"].max()]
    return last


def per_seed(frame: pd.DataFrame, value: str) -> pd.Series[float]:
    """Return the mean of ``value`` over each seed's rows, indexed by seed."""
    return frame.groupby("seed")[value].mean()


def seed_means(values: pd.Series[float]) -> pd.Series[float]:
    """Return the mean over all that one seed has, by seed."""
    return values.groupby("seed").mean()


def probed(tables: Tables, probe: str, arm: str, quantity: str) -> pd.Series[float]:
    """Return what a probe measured, by training, seed, step and layer."""
    found = rows(tables, probe, arm=arm, quantity=quantity)
    return found.set_index(["training", "seed", "step", "layer"])["value"]


def paired(first: pd.Series[float], second: pd.Series[float]) -> pd.Series[float]:
    """Return ``first`` minus ``second``, seed by seed.

    Raises:
        NotMeasuredError: a seed has one of the two alone; leaving it out would choose among the results.
    """
    difference = first - second
    if difference.isna().any():
        alone = ", ".join(map(str, difference.index[difference.isna()]))
        raise NotMeasuredError(f"without a partner to compare with: {alone}")
    note_pair(first, second)
    return difference


def at_its_best(frame: pd.DataFrame, by: str, value: str = "accuracy") -> pd.DataFrame:
    """Return the rows at the setting ``by`` whose mean of ``value`` over the seeds is the largest."""
    best = frame.groupby(by)[value].mean().idxmax()
    chosen: pd.DataFrame = frame[frame[by] == best]
    return chosen


def summary(frame: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Return mean, low and high (95 %, over seeds) of ``value`` for each group of ``by``."""
    lines = []
    for key, group in frame.groupby(by, dropna=False, sort=True):
        interval = mean_interval(group[value])
        keys = key if isinstance(key, tuple) else (key,)
        lines.append(
            {**dict(zip(by, keys, strict=True)), "mean": interval.mean, "low": interval.low}
            | {"high": interval.high, "seeds": interval.count}
        )
    return pd.DataFrame(lines)


def in_percent(values: pd.Series[float]) -> str:
    """Return mean and 95 % interval of a share over seeds, in percent; a dash for no values."""
    if values.empty:
        return "–"
    interval = mean_interval(values)
    return Amount.of(f"{100 * interval.mean:.1f} {interval.bounds()}", interval, "percent")
