"""What probes saw along training: drift, cosine, shape and the largest gradient, layer by layer first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from bnstudy.analysis.judged.training import Blocks, NotTestedError, Training, arm, paired_seeds, table
from bnstudy.analysis.procedure import Component, FloatArray, Outcomes, Sample

Trainings = tuple[str, ...]


@dataclass(frozen=True)
class Probe:
    """A quantity of a probe's table, in some layers: ``quantity``, over ``over`` where that is given."""

    table: str
    quantity: str
    layers: tuple[str, ...]
    over: str = ""

    def by_layer(self, training: Training, logs: bool) -> FloatArray:
        """Return the mean over the probed steps of each layer: [layers]. ``logs``: of binary logarithms.

        NaN for all layers if the training diverged, or a value is not finite: there is nothing to compare.
        """
        if training.diverged:
            return np.full(len(self.layers), np.nan)
        found = _series(training, self.table, self.quantity, self.layers)
        if self.over:
            found = found / _series(training, self.table, self.over, self.layers)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = found.map(np.log2) if logs else found
        of = values.index.get_level_values("layer")
        result = np.array([values[of == layer].to_numpy(dtype=np.float64).mean() for layer in self.layers])
        return result if np.isfinite(result).all() else np.full(len(self.layers), np.nan)

    def mean_log(self, training: Training) -> float:
        """Return the mean binary logarithm over layers and the steps at which it is a positive number.

        Of a training that diverged, too: what it was before. NaN if there is no such step.
        """
        if training.diverged and self.table not in training.tables:
            return math.nan
        values = _series(training, self.table, self.quantity, self.layers).to_numpy(dtype=np.float64)
        values = values[np.isfinite(values) & (values > 0)]
        return float(np.log2(values).mean()) if len(values) else math.nan


@dataclass(frozen=True)
class Probed:
    """A probe's quantity, averaged over probed steps, then over layers, then over trainings.

    ``scale``: "number": arithmetic means; "factor": geometric ones, as binary logarithms. With ``second``,
    the quantity of arm ``first`` less that of arm ``second`` (of logarithms: their ratio). ``first`` and
    ``second`` are completed by each of ``trainings``: "batch" and "sgd" is the arm "batch, sgd".

    A network whose gradient is zero everywhere has no angle to compare, and one that diverged has nothing:
    such a seed is undefined, and the interval the whole line.
    """

    block: str
    probe: Probe
    first: str
    second: str
    trainings: Trainings
    scale: Literal["number", "factor"] = "number"

    def __call__(self, blocks: Blocks) -> Sample:
        """Return the sample: one component without images."""
        names = [name for name in (self.first, self.second) if name]
        arms = {name: [f"{name}, {training}" for training in self.trainings] for name in names}
        seeds = paired_seeds(blocks, self.block, tuple(a for each in arms.values() for a in each))
        values = [self._mean(blocks, arms[name], seeds) for name in names]
        difference = values[0] if len(values) == 1 else values[0] - values[1]
        counted = {"undefined": int((~np.isfinite(difference)).sum())}
        return Sample((Component(difference),), counted)

    def _mean(self, blocks: Blocks, names: Sequence[str], seeds: Sequence[int]) -> FloatArray:
        logs = self.scale == "factor"
        each = [
            [self.probe.by_layer(arm(blocks, self.block, name)[seed], logs).mean() for name in names]
            for seed in seeds
        ]
        return np.asarray(np.mean(each, axis=1), dtype=np.float64)


@dataclass(frozen=True)
class LargestGradient:
    """log2 of the largest gradient norm along training of arm ``first``, over that of ``second``.

    Averaged over ``trainings``. A training that diverged has a gradient larger than any that was seen: its
    largest finite one counts, and the interval is open on that side. What takes for granted that a
    manipulation took hold is not tested unless ``shift`` of ``first`` is, in the geometric mean over seeds,
    layers, steps and trainings, ``manipulated`` times that of ``second``. Reads ``gradient_health`` and the
    table of ``shift``.
    """

    block: str
    first: str
    second: str
    trainings: Trainings
    shift: Probe
    manipulated: float

    def __call__(self, blocks: Blocks) -> Sample:
        """Return the sample: one component without images."""
        arms = [[f"{name}, {training}" for training in self.trainings] for name in (self.first, self.second)]
        seeds = paired_seeds(blocks, self.block, tuple(a for each in arms for a in each))
        found = [[[arm(blocks, self.block, a)[s] for s in seeds] for a in each] for each in arms]
        shifts = [np.array([self.shift.mean_log(t) for each in half for t in each]) for half in found]
        seen = [shift[np.isfinite(shift)] for shift in shifts]
        raised = 2 ** float(seen[0].mean() - seen[1].mean()) if all(len(s) for s in seen) else math.nan
        if not raised >= self.manipulated:
            raise NotTestedError(
                f"the shift of {self.first!r} is {raised:.2f} times that of {self.second!r}; "
                f"needed: {self.manipulated:g}"
            )
        logs = [np.log2([[_largest(t) for t in each] for each in half]).mean(axis=0) for half in found]
        cut = [any(_cut_off(t) for each in half for t in each) for half in found]
        return Sample((Component(np.asarray(logs[0] - logs[1]), at_least=cut[0], at_most=cut[1]),))


@dataclass(frozen=True)
class Diverges:
    """How many seeds of an arm diverge, where those of another, ``premise``, do.

    Unless at least ``share`` of the seeds of ``premise`` diverge, there is nothing to be prevented, and
    nothing is tested. Reads how each training ended.
    """

    block: str
    arm: str
    premise: str
    share: float

    def __call__(self, blocks: Blocks) -> Outcomes:
        """Return the outcomes."""
        seeds = paired_seeds(blocks, self.block, (self.arm, self.premise))
        ended, premise = (
            [arm(blocks, self.block, name)[seed].diverged for seed in seeds]
            for name in (self.arm, self.premise)
        )
        if np.mean(premise) < self.share:
            raise NotTestedError(f"{sum(premise)} of {len(seeds)} seeds of {self.premise!r} diverge")
        return Outcomes(sum(ended), len(seeds))


def _series(training: Training, name: str, quantity: str, layers: tuple[str, ...]) -> pd.Series[float]:
    rows = table(training, name, quantity=quantity)
    rows = rows[rows["layer"].isin(layers)]
    found: pd.Series[float] = rows.set_index(["step", "layer"])["value"].astype(float)
    missing = set(layers) - set(rows["layer"])
    if missing:
        table(training, name, quantity=quantity, layer=min(missing))
    if name == "internal_covariate_shift" and quantity == "cosine":
        # Both gradients zero: the probe says 1 by definition, but there is no angle.
        still = _series(training, name, "ics", layers) == 0
        found = found.mask(still.reindex(found.index))
    return found


def _norms(training: Training) -> pd.Series[float]:
    """Return the norms of the whole gradient; none, if a training diverged before the first of them."""
    if training.diverged and "gradient_health" not in training.tables:
        return pd.Series(dtype=float)
    return table(training, "gradient_health", quantity="total_norm")["value"].astype(float)


def _cut_off(training: Training) -> bool:
    return training.diverged or not bool(np.isfinite(_norms(training)).all())


def _largest(training: Training) -> float:
    norms = _norms(training)
    finite = norms[np.isfinite(norms)]
    return float(finite.max()) if len(finite) else np.nan
