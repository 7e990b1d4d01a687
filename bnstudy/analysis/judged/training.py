"""What a judged quantity is given: recorded trainings, by block, arm and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bnstudy.analysis.procedure import FloatArray
from bnstudy.analysis.tables import NotMeasuredError

Bytes = npt.NDArray[np.uint8]

# What a network that gives no numbers gets right of ten equally frequent classes.
CHANCE = 0.1


class NotTestedError(LookupError):
    """The records are there, but what they were to show didn't come about, so that nothing follows."""


@dataclass(frozen=True)
class Training:
    """One recorded training.

    * ``diverged``: it stopped giving finite numbers. It stays in, as the worst that can be.
    * ``steps_per_epoch``: of the optimiser.
    * ``tables``: its tables by name.
    * ``hits``: uint8 [rows, ceil(images / 8)], a bit an image, high bit first: whether it was classified
      right in the evaluation that the row of the same place in ``tables["hits_index"]`` describes.
    """

    diverged: bool
    steps_per_epoch: float
    tables: Mapping[str, pd.DataFrame]
    hits: Bytes | None = None

    def step(self, epoch: float) -> int:
        """Return the step after so many epochs, a fraction of one rounded to a step; 0 if it diverged."""
        return 0 if self.diverged else max(1, round(epoch * self.steps_per_epoch))


Arm = Mapping[int, Training]
Blocks = Mapping[str, Mapping[str, Arm]]


@dataclass(frozen=True)
class Evaluation:
    """Which evaluation of a network is read.

    * ``statistics``: none, batch, moving, precise or frozen. Of "batch" the test batches have the size of
      training batches; with ``test_batch_size`` they are shuffled and of that size.
    * ``split``: test, train or validation.
    * ``decay``: of a moving average, which is not debiased.
    """

    statistics: str
    split: str = "test"
    decay: float | None = None
    test_batch_size: int | None = None

    def rows(self, table: pd.DataFrame, steps: Sequence[int]) -> list[int]:
        """Return the places of the rows of a table of evaluations that it means, after each of ``steps``.

        Raises:
            NotMeasuredError: there is none after one of them, or more than one.
        """
        chosen = (table["split"] == self.split).to_numpy() & (
            table["statistics"] == self.statistics
        ).to_numpy()
        if self.decay is not None:
            chosen &= np.abs(table["decay"].to_numpy(dtype=np.float64) - self.decay) < 1e-12
            chosen &= (table["zero_debias"] == "none").to_numpy()
        if "test_batch_size" in table:
            size = table["test_batch_size"].to_numpy(dtype=np.float64)
            chosen &= np.isnan(size) if self.test_batch_size is None else size == self.test_batch_size
        if self.test_batch_size is not None:
            chosen &= (table["order"] == "shuffled").to_numpy()
        places: dict[int, list[int]] = {}
        for place in np.flatnonzero(chosen):
            places.setdefault(int(table["step"].iloc[place]), []).append(int(place))
        for step in steps:
            if len(places.get(step, [])) != 1:
                count = len(places.get(step, []))
                raise NotMeasuredError(f"{count} rows for {self} after step {step}; needed: 1")
        return [places[step][0] for step in steps]


def hits(training: Training, evaluation: Evaluation, steps: Sequence[int]) -> FloatArray:
    """Return 1 for each image that was classified right, and else 0: [steps, images].

    Raises:
        NotMeasuredError: the training has no hits, or not those.
    """
    if training.hits is None or "hits_index" not in training.tables:
        raise NotMeasuredError(f"no hits of single images, for {evaluation}")
    index = training.tables["hits_index"]
    rows = evaluation.rows(index, steps)
    counts = set(index["images"].iloc[rows])
    if len(counts) != 1:
        raise NotMeasuredError(f"hits of {sorted(counts)} images for {evaluation}; needed: always as many")
    return np.unpackbits(training.hits[rows], axis=1)[:, : int(counts.pop())].astype(np.float64)


def accuracies(training: Training, evaluation: Evaluation, steps: Sequence[int]) -> list[float]:
    """Return the accuracies in the table ``checkpoints``; training must not have diverged."""
    checkpoints = table(training, "checkpoints")
    return [float(checkpoints["accuracy"].iloc[row]) for row in evaluation.rows(checkpoints, steps)]


def arm(blocks: Blocks, block: str, name: str) -> Arm:
    """Return the trainings of one arm by seed.

    Raises:
        NotMeasuredError: the block or the arm isn't recorded.
    """
    if block not in blocks or name not in blocks[block]:
        raise NotMeasuredError(f"block {block!r} has no arm {name!r}")
    return blocks[block][name]


def paired_seeds(blocks: Blocks, block: str, names: tuple[str, ...]) -> list[int]:
    """Return the seeds of the arms, in order; it is an error if they differ.

    Raises:
        NotMeasuredError: a seed has one arm alone; leaving it out would choose among the results.
    """
    found = {name: set(arm(blocks, block, name)) for name in names}
    every = set().union(*found.values())
    for name, seeds in found.items():
        if every - seeds:
            alone = ", ".join(map(str, sorted(every - seeds)))
            raise NotMeasuredError(f"block {block!r}, arm {name!r}: seeds {alone} are missing")
    return sorted(every)


def table(training: Training, name: str, **where: Any) -> pd.DataFrame:
    """Return the rows of a training's table at which each column of ``where`` has its value.

    Raises:
        NotMeasuredError: the table or the rows aren't there.
    """
    if name not in training.tables:
        raise NotMeasuredError(f"no table {name!r}; there are: {', '.join(map(repr, training.tables))}")
    chosen = training.tables[name]
    for column, value in where.items():
        chosen = chosen[chosen[column] == value]
    if chosen.empty:
        raise NotMeasuredError(f"no rows in table {name!r} with {where}")
    return chosen
