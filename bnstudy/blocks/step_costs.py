"""The cost block: what a training step costs, each seed a process of its own on an idle machine."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from bnstudy.records.spec import DatasetName, Positive, Precision
from bnstudy.study.plan import PlannedRun, Study, step_costs


class StepCostsStudy(Study):
    """Seconds a step without batch norm, and with each way to keep its moving averages (C11, C13)."""

    name: ClassVar[str] = "step_costs"
    first_seed: ClassVar[int] = 100
    apart: ClassVar[bool] = True

    seeds: int = Field(default=12, ge=2, le=32)
    dataset: DatasetName = "cifar10"
    batch_size: int = Field(default=128, ge=2)
    rounds: Positive = 15
    steps: Positive = 4
    precision: Precision = "bfloat16"

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        names = ("dataset", "batch_size", "rounds", "steps", "precision")
        return {name: getattr(self, name) for name in names}

    def axes(self) -> dict[str, Any]:
        """Return none: a process times all arms in turn."""
        return {}

    def runs(self) -> list[PlannedRun]:
        """Return the timings of each seed."""
        return step_costs(self, **self.base())
