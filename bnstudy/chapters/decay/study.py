"""The decay ablation: its parameters, and the runs that they ask for."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from bnstudy.records.spec import DatasetName, Decays, Positive, Precision, Schedule, read_list
from bnstudy.study.plan import Axis, Study, once_each


class DecayStudy(Study):
    """Moving averages of many decays along the same trajectories (claims C6 and C7)."""

    name: ClassVar[str] = "decay"

    dataset: DatasetName = "cifar10"
    train_size: int | None = Field(default=None, ge=2, description="an integer of at least 2, or None")
    decays: Decays = (0.0, 0.5, 0.6, 0.9, 0.99, 0.999, 0.9999)
    epochs: Positive = 5
    learning_rate: float = Field(
        default=1e-3, gt=0.0, allow_inf_nan=False, description="a finite number above 0"
    )
    schedules: Annotated[tuple[Schedule, ...], BeforeValidator(read_list), Field(min_length=1)] = (
        "constant",
        "annealed",
    )
    batch_size: int = Field(default=128, ge=2)
    precision: Precision = "bfloat16"

    @model_validator(mode="after")
    def _once_each(self) -> DecayStudy:
        once_each(self, "decays", "schedules")
        return self

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        return {
            **{name: getattr(self, name) for name in ("dataset", "train_size", "decays", "epochs")},
            **{name: getattr(self, name) for name in ("learning_rate", "batch_size", "precision")},
            "zero_debias": ("none", "both"),
        }

    def axes(self) -> dict[str, Axis]:
        """Return the one axis: the learning rate's schedule."""
        return {"schedule": {schedule: {"schedule": schedule} for schedule in self.schedules}}
