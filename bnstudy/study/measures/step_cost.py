"""What a training step costs with each way to keep the moving averages, timed in turn."""

from __future__ import annotations

import time

import torch

from bnstudy.records.kinds import StepCostSpec
from bnstudy.records.spec import RunSpec
from bnstudy.records.tables import Table
from bnstudy.train.data import Dataset
from bnstudy.train.device import deterministic
from bnstudy.train.fleet import Fleet

# The article's network without normalisation, then with each way to keep the averages.
ARMS: dict[str, dict[str, str]] = {
    "none": {"norm": "none"},
    "in place": {"updates": "in_place"},
    "with the step": {"updates": "with_step"},
    "after the step": {"updates": "after_step"},
    "never": {"updates": "never"},
}


def measure(spec: StepCostSpec, dataset: Dataset) -> tuple[dict[str, Table], dict[str, str]]:
    """Return the table ``cost``: arm, round, seconds_per_step.

    Each round times every arm once, in an order that turns by one arm a round, so that none always
    comes first. A round before them, which chooses kernels and compiles, is left out.

    Raises:
        ValueError: a batch is larger than the training set.
    """
    there = len(dataset.y_train)
    if spec.batch_size > there:
        raise ValueError(f"batch_size is {spec.batch_size}; allowed: at most {there}, the training images")
    with deterministic():
        runs = {arm: _fleet(spec, dataset, changes) for arm, changes in ARMS.items()}
        for run in runs.values():
            _seconds(run, spec.steps)
        table: Table = {"arm": [], "round": [], "seconds_per_step": []}
        for number in range(spec.rounds):
            first = number % len(ARMS)
            for arm in [*list(ARMS)[first:], *list(ARMS)[:first]]:
                took = _seconds(runs[arm], spec.steps) / spec.steps
                for column, value in zip(table, (arm, number + 1, took), strict=True):
                    table[column].append(value)
    return {"cost": table}, {}


def _fleet(spec: StepCostSpec, dataset: Dataset, changes: dict[str, str]) -> Fleet:
    run = RunSpec.model_validate(
        {
            "dataset": spec.dataset,
            "batch_size": spec.batch_size,
            "precision": spec.precision,
            "seed": spec.seed,
            "zero_debias": ("none",),
            "statistics": ("moving",),
            **changes,
        }
    )
    fleet = Fleet([run], dataset, torch.device("cpu"))
    # What is timed is the layers' own averaging.
    fleet.bank = None
    return fleet


def _seconds(run: Fleet, steps: int) -> float:
    start = time.perf_counter()
    for _ in range(steps):
        # The same batch again: what is in it costs nothing more or less.
        run.feed.rewind()
        run.done.zero_()
        run.step(run.spec.batch_size)
    return time.perf_counter() - start
