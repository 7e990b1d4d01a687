"""How fast training gets somewhere, in steps and in seconds, at each learning rate and at the best one."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from bnstudy.analysis.tables import NotMeasuredError, Tables, at_its_best, last_step, per_seed, rows

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
