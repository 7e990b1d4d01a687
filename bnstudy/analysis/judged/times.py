"""How long training takes: steps to a target, seconds a step, and both, as binary logarithms of ratios."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bnstudy.analysis.judged.training import Blocks, NotTestedError, Training, arm, paired_seeds, table
from bnstudy.analysis.procedure import Component, FloatArray, Sample

MEDIAN_OF = 3


@dataclass(frozen=True)
class StepsToTargets:
    """log2(steps of ``slow`` / steps of ``fast``) to each target, averaged over the targets that count.

    An arrival is where the running median of three evaluations first reaches the target, interpolated in
    the logarithm of the step. One that never comes counts as the horizon, the last evaluated step of all. A
    target counts if at least ``arriving`` of the seeds arrive in each arm; no other choice depends on the
    results.

    Where ``slow`` is cut off at the horizon the ratio is at least what it is taken for, where ``fast`` is,
    at most: the mean then bounds the true one from one side, and the interval is open on the other. So a
    training that is too short can leave "faster" undecided, but can't refute it.

    Reads ``arrivals`` (test images, statistics ``statistics[arm]``).
    """

    block: str
    slow: tuple[str, str]
    fast: tuple[str, str]
    targets: tuple[float, ...]
    arriving: float

    def __call__(self, blocks: Blocks) -> Sample:
        """Return the sample: one component without images."""
        arms = (self.slow, self.fast)
        seeds = paired_seeds(blocks, self.block, (self.slow[0], self.fast[0]))
        courses = [
            [_course(arm(blocks, self.block, name)[seed], statistics) for seed in seeds]
            for name, statistics in arms
        ]
        horizon = max(
            (int(c["step"].iloc[-1]) for arms_courses in courses for c in arms_courses if c is not None),
            default=None,
        )
        if horizon is None:
            raise NotTestedError("every training diverged")
        steps = np.array([[[_arrival(c, t) for t in self.targets] for c in arm_c] for arm_c in courses])
        return sample_of(steps, horizon, self.arriving)


def sample_of(steps: FloatArray, horizon: float, arriving: float) -> Sample:
    """Return the sample of ``StepsToTargets`` from steps [slow and fast, seeds, targets]; NaN: never arrived.

    Raises:
        NotTestedError: no target counts.
    """
    arrived = np.isfinite(steps)
    counting = (arrived.mean(axis=1) >= arriving).all(axis=0)
    if not counting.any():
        raise NotTestedError("no target is reached by enough seeds of both arms")
    logs = np.log2(np.where(arrived, steps, horizon))[:, :, counting]
    slow_late, fast_late = (~arrived[:, :, counting]).sum(axis=(1, 2))
    component = Component(
        np.asarray((logs[0] - logs[1]).mean(axis=1)), at_least=bool(slow_late), at_most=bool(fast_late)
    )
    counted = {"targets": int(counting.sum()), "slow late": int(slow_late), "fast late": int(fast_late)}
    return Sample((component,), counted)


@dataclass(frozen=True)
class StepCost:
    """log2(seconds a step of ``first`` / of ``second``); the units are processes.

    Each process times the arms in turn, round by round; its value is the median over the rounds, so that a
    round that something else disturbed doesn't count for more. Reads ``cost``.
    """

    block: str
    first: str
    second: str

    def __call__(self, blocks: Blocks) -> Sample:
        """Return the sample: one component without images."""
        seeds = paired_seeds(blocks, self.block, ("all",))
        return Sample((Component(np.array([self._of(arm(blocks, self.block, "all")[s]) for s in seeds])),))

    def _of(self, process: Training) -> float:
        first, second = (
            table(process, "cost", arm=name).set_index("round")["seconds_per_step"].sort_index()
            for name in (self.first, self.second)
        )
        return float(np.median(np.log2(first.to_numpy()) - np.log2(second.to_numpy())))


@dataclass(frozen=True)
class TimeToTargets:
    """log2 of the ratio of seconds to a result: that of the steps, and that of a step's cost, added.

    The two are measured apart, in other runs, so that they are independent components of one sum.
    """

    steps: StepsToTargets
    cost: StepCost

    def __call__(self, blocks: Blocks) -> Sample:
        """Return the sample: two components."""
        steps, cost = self.steps(blocks), self.cost(blocks)
        return Sample((*steps.components, *cost.components), steps.counted)


def _course(training: Training, statistics: str) -> pd.DataFrame | None:
    """Return a training's evaluations on the way, in order; None if it diverged."""
    if training.diverged:
        return None
    return table(training, "arrivals", split="test", statistics=statistics).sort_values("step")


def _arrival(course: pd.DataFrame | None, target: float) -> float:
    """Return the step, interpolated in its logarithm, at which the running median of three first is
    there."""
    if course is None:
        return math.nan
    steps = course["step"].to_numpy(dtype=np.float64)
    # At either end there is no median of three, and one lucky evaluation is no arrival.
    smooth = course["accuracy"].rolling(MEDIAN_OF, center=True).median().to_numpy(dtype=np.float64)
    there = np.flatnonzero(smooth >= target)
    if not len(there):
        return math.nan
    i = int(there[0])
    if i == MEDIAN_OF // 2:
        return float(steps[i])
    share = (target - smooth[i - 1]) / (smooth[i] - smooth[i - 1])
    low, high = np.log(steps[i - 1 : i + 1])
    return float(np.exp(low + share * (high - low)))


def arrival(course: pd.DataFrame, target: float) -> float:
    """Return at which step a training arrives at a target accuracy, as ``StepsToTargets`` counts; nan: never.

    Args:
        course: its evaluations on the way, in order of their ``step``, with their ``accuracy``.
        target: a share from 0 to 1.
    """
    return _arrival(course, target)
