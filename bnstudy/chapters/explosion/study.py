"""Learning rates until training diverges: its parameters, and the runs that they ask for."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from bnstudy.records.spec import DatasetName, Positive, Precision, Rate, read_list
from bnstudy.study.plan import Axis, Study, once_each

Rates = Annotated[tuple[Rate, ...], BeforeValidator(read_list), Field(min_length=1)]


class ExplosionStudy(Study):
    """Which learning rates a network survives, without batch normalization and with it (claim C1)."""

    name: ClassVar[str] = "explosion"

    dataset: DatasetName = "cifar10"
    train_size: int | None = Field(default=None, ge=2, description="an integer of at least 2, or None")
    sgd_rates: Rates = (0.1, 0.3, 1.0, 3.0, 10.0)
    adam_rates: Rates = (0.001, 0.01, 0.1, 1.0, 10.0)
    epochs: Positive = 1
    batch_size: int = Field(default=128, ge=2)
    probed_steps: int = Field(default=10, ge=1, le=1000)
    precision: Precision = "bfloat16"

    @model_validator(mode="after")
    def _once_each(self) -> ExplosionStudy:
        once_each(self, "sgd_rates", "adam_rates")
        return self

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        names = ("dataset", "train_size", "epochs", "batch_size", "probed_steps", "precision")
        return {
            **{name: getattr(self, name) for name in names},
            "evaluations": 1,
            "statistics": ("batch",),
            "probes": ("gradient_health",),
        }

    def axes(self) -> dict[str, Axis]:
        """Return the normalisation (``arm``), and the optimiser with its learning rate (``training``)."""
        rates = {"sgd": self.sgd_rates, "adam": self.adam_rates}
        return {
            "arm": {norm: {"norm": norm} for norm in ("none", "batch")},
            "training": {
                f"{optimizer} {rate:g}": {"optimizer": optimizer, "learning_rate": rate}
                for optimizer in rates
                for rate in rates[optimizer]
            },
        }
