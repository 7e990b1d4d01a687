"""A made-up study of a few seeds, in the form of recorded trainings: what a quantity's rule does, by
example.

Its numbers come from integers alone, so that they are the same everywhere and with every version of a
library.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bnstudy.analysis.judged.contrasts import AtEpochs, AtEqualTraining, EarlyStopped
from bnstudy.analysis.judged.parts import Estimate, Places
from bnstudy.analysis.judged.probed import Diverges, LargestGradient, Probe, Probed
from bnstudy.analysis.judged.times import StepCost, StepsToTargets, TimeToTargets
from bnstudy.analysis.judged.training import Evaluation, Training

SEEDS = range(100, 108)
IMAGES = 40
STEPS_PER_EPOCH = 391
# Where the example of a training with choices among its own evaluations is evaluated.
EVALUATED = (3.0, 6.0, 9.0, 12.0, 15.0, 18.0)

Study = dict[str, dict[str, dict[int, Training]]]


def example(estimate: Estimate, places: Places, diverged: bool = False) -> Study:
    """Return trainings of every arm in ``places``, by block, with the tables that a quantity's rule reads.

    ``diverged``: the first arm's last seed did.
    """
    study: Study = {}
    for place, (block, arms) in enumerate(places):
        for number, name in enumerate(arms):
            study.setdefault(block, {})[name] = {
                seed: _training(
                    estimate,
                    name,
                    _Source(hash_of=(place, number, seed)),
                    diverged and (place, number) == (0, 0) and seed == SEEDS[-1],
                )
                for seed in SEEDS
            }
    return study


def _training(estimate: Any, arm: str, source: _Source, diverged: bool) -> Training:
    tables: dict[str, pd.DataFrame] = {}
    hits = None
    match estimate:
        case AtEpochs():
            wanted = [t.evaluation for t in (*estimate.terms, *estimate.telling) if t.arm == arm]
            hits, tables["hits_index"] = _hits(wanted, estimate.epochs, source)
        case EarlyStopped() | AtEqualTraining():
            [own] = [e for name, e in (estimate.first, estimate.second) if name == arm]
            hits, tables["hits_index"] = _hits([own], EVALUATED, source)
            tables["checkpoints"] = _checkpoints(own, source)
        case StepsToTargets() | TimeToTargets() | StepCost():
            steps = estimate.steps if isinstance(estimate, TimeToTargets) else estimate
            if isinstance(steps, StepsToTargets):
                statistics = dict((steps.slow, steps.fast)).get(arm, "")
                tables["arrivals"] = _arrivals(statistics, source)
            tables["cost"] = _cost(source)
        case Probed() | LargestGradient():
            probe = estimate.probe if isinstance(estimate, Probed) else estimate.shift
            for quantity in ("total_norm", probe.quantity, probe.over, "ics"):
                _add_probed(tables, probe, quantity, arm, source)
        case Diverges():
            diverged = diverged or arm == estimate.premise or source.uniform() < 0.6
        case _:
            raise TypeError(
                f"no example of a {type(estimate).__name__}; allowed: a kind of quantity that has one"
            )
    if diverged:
        tables = {name: rows for name, rows in tables.items() if name in ("gradient_health", "cost")}
    return Training(diverged, STEPS_PER_EPOCH, tables, None if diverged else hits)


class _Source:
    """Uniform numbers by SplitMix64 (Steele, Lea & Flood 2014), from integers alone."""

    def __init__(self, hash_of: Sequence[int]) -> None:
        self._state = 0
        for part in hash_of:
            self._state = (self._state * 1_000_003 + part + 1) % 2**64

    def uniform(self) -> float:
        self._state = (self._state + 0x9E3779B97F4A7C15) % 2**64
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        return ((z ^ (z >> 31)) >> 11) / 2**53

    def many(self, count: int) -> npt.NDArray[np.float64]:
        return np.array([self.uniform() for _ in range(count)])


def _hits(
    evaluations: Sequence[Evaluation], epochs: Sequence[float], source: _Source
) -> tuple[npt.NDArray[np.uint8], pd.DataFrame]:
    rows, bits = [], []
    # Large decays are worse, so that what they lose is there to be explained.
    for e in dict.fromkeys(evaluations):
        share = 0.75 - 0.3 * ((e.decay or 0.0) > 0.99) - 0.2 * (e.test_batch_size is not None)
        for epoch in epochs:
            rows.append(
                {
                    "step": max(1, round(epoch * STEPS_PER_EPOCH)),
                    "split": e.split,
                    "statistics": e.statistics,
                    "decay": math.nan if e.decay is None else e.decay,
                    "zero_debias": "" if e.decay is None else "none",
                    "order": "" if e.test_batch_size is None else "shuffled",
                    "test_batch_size": math.nan if e.test_batch_size is None else e.test_batch_size,
                    "images": IMAGES,
                }
            )
            bits.append(np.packbits(source.many(IMAGES) < share + 0.05 * (source.uniform() - 0.5)))
    return np.array(bits), pd.DataFrame(rows)


def _checkpoints(own: Evaluation, source: _Source) -> pd.DataFrame:
    rows = []
    for i, epoch in enumerate(EVALUATED):
        for split in ("train", "validation"):
            rows.append(
                {
                    "step": round(epoch * STEPS_PER_EPOCH),
                    "split": split,
                    "statistics": own.statistics,
                    "decay": math.nan if own.decay is None else own.decay,
                    "zero_debias": "" if own.decay is None else "none",
                    "accuracy": 1.0 if split == "train" and i > 2 else 0.5 + 0.4 * source.uniform(),
                }
            )
    return pd.DataFrame(rows)


def _arrivals(statistics: str, source: _Source) -> pd.DataFrame:
    steps = sorted({round(1.1**k) for k in range(90)})
    # With batch norm a quarter of the steps are enough.
    scale = (2000.0 if statistics == "none" else 500.0) * (0.8 + 0.4 * source.uniform())
    accuracy = [0.1 + 0.68 * s / (s + scale) + 0.02 * source.uniform() for s in steps]
    return pd.DataFrame({"step": steps, "split": "test", "statistics": statistics, "accuracy": accuracy})


def _cost(source: _Source) -> pd.DataFrame:
    rows = [
        {"arm": arm, "round": r, "seconds_per_step": base * (1 + 0.1 * source.uniform())}
        for arm, base in (("none", 0.04), ("in place", 0.05), ("with the step", 0.049))
        for r in range(1, 6)
    ]
    return pd.DataFrame(rows)


def _add_probed(
    tables: dict[str, pd.DataFrame], probe: Probe, quantity: str, arm: str, source: _Source
) -> None:
    if not quantity:
        return
    name = "gradient_health" if quantity == "total_norm" else probe.table
    layers = ("",) if quantity == "total_norm" else probe.layers
    # Fresh noise shifts what it is there to shift.
    larger = 3.0 if arm.startswith("fresh") else 1.0
    rows = pd.DataFrame(
        [
            {
                "step": step,
                "layer": layer,
                "quantity": quantity,
                "value": larger * (0.5 + 0.5 * source.uniform()),
            }
            for step in (1, 10, 100)
            for layer in layers
        ]
    )
    tables[name] = (
        pd.concat([tables[name], rows]).drop_duplicates(["step", "layer", "quantity"])
        if name in tables
        else rows
    )
