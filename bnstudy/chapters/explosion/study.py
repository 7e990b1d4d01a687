"""Learning rates until training diverges: its parameters, and the runs that they ask for."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from bnstudy.study.plan import Axis, Rates, Training


class ExplosionStudy(Training):
    """Which learning rates a network survives, without batch normalization and with it (claim C1)."""

    name: ClassVar[str] = "explosion"

    sgd_rates: Rates = (0.1, 0.3, 1.0, 3.0, 10.0)
    adam_rates: Rates = (0.001, 0.01, 0.1, 1.0, 10.0)
    probed_steps: int = Field(default=10, ge=1, le=1000)

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        return {
            **self.given("probed_steps"),
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
