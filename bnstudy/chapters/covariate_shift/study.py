"""Internal covariate shift: its parameters, and the runs that they ask for."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from bnstudy.records.spec import DatasetName, Norm, Positive, Precision, Rate, read_list
from bnstudy.study.plan import Axis, Study, once_each

_ARMS: dict[str, str] = {"none": "none", "batch": "batch", "noisy": "noisy batch"}

Rates = Annotated[tuple[Rate, ...], BeforeValidator(read_list), Field(min_length=1)]


class CovariateShiftStudy(Study):
    """Shift, drift and predictiveness without, with and with noisy batch normalization (claims C1 to C3)."""

    name: ClassVar[str] = "covariate_shift"

    dataset: DatasetName = "cifar10"
    train_size: int | None = Field(default=None, ge=2, description="an integer of at least 2, or None")
    norms: Annotated[tuple[Norm, ...], BeforeValidator(read_list), Field(min_length=1)] = (
        "none",
        "batch",
        "noisy",
    )
    optimizers: Annotated[
        tuple[Literal["sgd", "adam"], ...], BeforeValidator(read_list), Field(min_length=1)
    ] = ("sgd", "adam")
    sgd_rates: Rates = (0.01, 0.1)
    adam_rates: Rates = (0.001, 0.01)
    epochs: Positive = 1
    batch_size: int = Field(default=128, ge=2)
    probed_steps: int = Field(default=10, ge=1, le=1000)
    # Half precision would add its rounding to the shift.
    precision: Precision = "float32"

    @model_validator(mode="after")
    def _once_each(self) -> CovariateShiftStudy:
        once_each(self, "norms", "optimizers", "sgd_rates", "adam_rates")
        return self

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        return {
            **{name: getattr(self, name) for name in ("dataset", "train_size", "epochs", "batch_size")},
            **{name: getattr(self, name) for name in ("probed_steps", "precision")},
            "evaluations": 1,
            "statistics": ("batch",),
            "probes": (
                "activation_drift",
                "gaussianity",
                "gradient_health",
                "gradient_predictiveness",
                "internal_covariate_shift",
            ),
        }

    def axes(self) -> dict[str, Axis]:
        """Return the normalisation (``arm``), and the optimiser with its learning rate (``training``)."""
        rates = {"sgd": self.sgd_rates, "adam": self.adam_rates}
        return {
            "arm": {_ARMS[norm]: {"norm": norm} for norm in self.norms},
            "training": {
                f"{optimizer} {rate:g}": {"optimizer": optimizer, "learning_rate": rate}
                for optimizer in self.optimizers
                for rate in rates[optimizer]
            },
        }
