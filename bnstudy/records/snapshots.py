"""Snapshots that a training run recorded: its weights at a step, and moving averages of any decay there.

Read without torch, and without running anything that a record says. ``bnstudy.train.look_again`` evaluates
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bnstudy.records.nodes import LEAST, NODES, interpolate
from bnstudy.records.spec import RunSpec
from bnstudy.records.store import Record, RecordError, Store, file_of
from bnstudy.records.tables import to_frame

WEIGHTS, AVERAGES, STEPS = "snapshot_parameters", "snapshot_averages", "snapshots"
LARGEST_DECAY = 1.0 - LEAST  # beyond it nothing follows from the recorded nodes


@dataclass(frozen=True)
class Snapshot:
    """A network in training, as it was after ``step`` steps.

    * ``spec``: of the run.
    * ``parameters``: float32 [P], parameter after parameter in the network's order.
    * ``averages``: float32 [nodes, 2, C_total], the moving means and variances of the decays of
      ``bnstudy.records.nodes``, started at 0 and 1; None of a network without batch norm.
    """

    spec: RunSpec
    step: int
    parameters: npt.NDArray[np.float32]
    averages: npt.NDArray[np.float32] | None

    def statistics(
        self, decay: float, zero_debias: Literal["none", "mean", "both"] = "none"
    ) -> npt.NDArray[np.float64]:
        """Return the moving means and variances [2, C_total] that a run with this decay would hold here.

        They differ from those of an arm that was kept in training by less than 1e-5 of the spread of the
        batch moments, rounding to float32 included. ``zero_debias``: see ``bnstudy.norm.Arm``.

        Raises:
            ValueError: ``decay`` is not from 0 to 0.9999, or the network has no batch norm.
        """
        if self.averages is None:
            raise ValueError(f"run {self.spec.name} has no batch norm, and no moving averages of any decay")
        plain = interpolate(self.averages, decay, self.step)
        if zero_debias == "none":
            return plain
        debiased = interpolate(self.averages, decay, self.step, debiased=True)
        return debiased if zero_debias == "both" else np.stack([debiased[0], plain[1]])


def has_snapshots(record: Record) -> bool:
    """Say whether a record has a snapshot, by its header alone."""
    return isinstance(record.spec, RunSpec) and {STEPS, WEIGHTS} <= set(record.tables)


def read_snapshots(record: Record, store: Store) -> list[Snapshot]:
    """Return a record's snapshots, first step first; none if the run was asked for none, or diverged before.

    Raises:
        RecordError: a file of them is missing, damaged or doesn't fit the others; the message names it.
    """
    spec = record.spec
    if not isinstance(spec, RunSpec) or not has_snapshots(record):
        return []
    steps = [int(step) for step in to_frame(STEPS, [store.table(record, STEPS)])["step"]]
    weights = store.array(record, WEIGHTS)
    averages = store.array(record, AVERAGES) if AVERAGES in record.tables else None

    def refuse(what: str) -> RecordError:
        return RecordError(f"the record {store.path(spec)} is damaged: {what}")

    files = {name: file_of(name, record.format) for name in (STEPS, WEIGHTS, AVERAGES)}
    if len(weights) != len(steps) or (averages is not None and len(averages) != len(steps)):
        raise refuse(
            f"{files[STEPS]} has {len(steps)} rows, {files[WEIGHTS]} {len(weights)}"
            + ("" if averages is None else f", {files[AVERAGES]} {len(averages)}")
        )
    if steps != sorted(set(steps)):
        raise refuse(f"{files[STEPS]} has the steps {steps}, not each once and in order")
    if averages is not None and averages.shape[1:3] != (NODES, 2):
        raise refuse(
            f"{files[AVERAGES]} has the shape {averages.shape}; needed: [snapshots, {NODES}, 2, channels]"
        )
    if averages is None and spec.norm in ("batch", "noisy"):
        raise refuse(f"{files[AVERAGES]} is missing")
    return [
        Snapshot(spec, step, weights[i], None if averages is None else averages[i])
        for i, step in enumerate(steps)
    ]
