"""How fast training gets somewhere: its parameters, and the runs that they ask for."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from bnstudy.records.spec import Positive
from bnstudy.study.plan import Axis, PlannedRun, Rates, Training, step_costs


class ConvergenceStudy(Training):
    """Accuracy over training with and without batch normalization, and a step's cost (claims C4, C13)."""

    name: ClassVar[str] = "convergence"

    rates: Rates = (0.001, 0.003, 0.01)
    epochs: Positive = 2
    evaluations: int = Field(default=16, ge=1, le=1000)

    def base(self) -> dict[str, Any]:
        """Return what all training runs have in common."""
        return {
            **self.given("evaluations"),
            "spacing": "linear",
            "zero_debias": ("none",),
            "statistics": ("moving",),
        }

    def axes(self) -> dict[str, Axis]:
        """Return the normalisation (``arm``) and Adam's learning rate."""
        return {
            "arm": {norm: {"norm": norm} for norm in ("none", "batch")},
            "learning_rate": {f"{rate:g}": {"learning_rate": rate} for rate in self.rates},
        }

    def runs(self) -> list[PlannedRun]:
        """Return the training runs, and the timings of a step."""
        return [
            *super().runs(),
            *step_costs(self, dataset=self.dataset, batch_size=self.batch_size, precision=self.precision),
        ]
