"""Runs that are no training: each kind of spec with the function that measures it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bnstudy.other_specs import SharingSpec, StepCostSpec, TensorFlowSpec
from bnstudy.records.spec import Spec
from bnstudy.records.tables import Table
from bnstudy.study.measures import sharing, step_cost, tensorflow

if TYPE_CHECKING:
    from bnstudy.train.data import Dataset

# Tables by name, and versions of libraries besides those of every run.
Measured = tuple[dict[str, Table], dict[str, str]]

_MEASURES: dict[type[Spec], Callable[[Any, Any], Measured]] = {
    StepCostSpec: step_cost.measure,
    SharingSpec: sharing.measure,
    TensorFlowSpec: tensorflow.measure,
}


def measure(spec: Spec, dataset: Dataset | None) -> Measured:
    """Return a run's tables, and the versions of what it used besides; ``dataset`` is the one it names."""
    return _MEASURES[type(spec)](spec, dataset)
