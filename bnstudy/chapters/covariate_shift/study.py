"""Internal covariate shift: its parameters, and the runs that they ask for."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from bnstudy.records.spec import Norm, Precision, read_list
from bnstudy.study.plan import UNSET, Axis, Rates, Training, by_default

_ARMS: dict[str, str] = {"none": "none", "batch": "batch", "noisy": "noisy batch"}


class CovariateShiftStudy(Training):
    """Shift, drift and predictiveness without, with and with noisy batch normalization (claims C1 to C3)."""

    name: ClassVar[str] = "covariate_shift"

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
    # A probed step costs as much as many others, and digits are there to be run in minutes.
    probed_steps: Annotated[int, by_default(lambda _, of: 10 if of.get("dataset") != "digits" else 3)] = (
        Field(default=UNSET, ge=1, le=1000)
    )
    # Half precision would add its rounding to the shift.
    precision: Precision = "float32"

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        return {
            **self.given("probed_steps"),
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
