"""How fast training gets somewhere: its parameters, and the runs that they ask for."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from bnstudy.records.spec import DatasetName, Positive, Precision, Rate, read_list
from bnstudy.study.plan import Axis, PlannedRun, Study, once_each, step_costs

Rates = Annotated[tuple[Rate, ...], BeforeValidator(read_list), Field(min_length=1)]


class ConvergenceStudy(Study):
    """Accuracy over training with and without batch normalization, and a step's cost (claims C4, C13)."""

    name: ClassVar[str] = "convergence"

    dataset: DatasetName = "cifar10"
    train_size: int | None = Field(default=None, ge=2, description="an integer of at least 2, or None")
    rates: Rates = (0.001, 0.003, 0.01)
    epochs: Positive = 2
    batch_size: int = Field(default=128, ge=2)
    precision: Precision = "bfloat16"
    evaluations: int = Field(default=16, ge=1, le=1000)

    @model_validator(mode="after")
    def _once_each(self) -> ConvergenceStudy:
        once_each(self, "rates")
        return self

    def base(self) -> dict[str, Any]:
        """Return what all training runs have in common."""
        names = ("dataset", "train_size", "epochs", "batch_size", "precision", "evaluations")
        return {
            **{name: getattr(self, name) for name in names},
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
