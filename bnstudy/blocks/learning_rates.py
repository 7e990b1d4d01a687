"""The choice of learning rates: its parameters, and the runs that they ask for."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from bnstudy.records.spec import DatasetName, Positive, Precision, Rate, read_list
from bnstudy.study.plan import UNSET, Listed, by_default

Rates = Annotated[
    tuple[Rate, ...], BeforeValidator(read_list), Field(min_length=1, description="a list of rates above 0")
]


class LearningRatesStudy(Listed):
    """Learning rates without batch normalization and with it, on held-out images and with seeds of their own.

    The schedule is a shortened one of the confirmatory trainings: constant, and at the end down to zero.
    """

    name: ClassVar[str] = "learning_rates"
    first_seed: ClassVar[int] = 200

    seeds: int = Field(default=3, ge=2, le=100)
    dataset: DatasetName = "cifar10"
    rates_none: Rates = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    rates_batch: Rates = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
    epochs: Positive = 10
    annealed_epochs: Positive = 2
    held_out: Annotated[int, by_default(lambda images, _: min(5000, images // 10))] = Field(
        default=UNSET, ge=1
    )
    batch_size: int = Field(default=128, ge=2)
    precision: Precision = "bfloat16"

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        names = ("dataset", "epochs", "annealed_epochs", "held_out", "batch_size", "precision")
        constant = self.epochs - self.annealed_epochs
        return {
            **{name: getattr(self, name) for name in names},
            "schedule": "constant_then_annealed",
            "decays": (0.9,),
            "zero_debias": ("none",),
            "evaluations": 0,
            "looks": (
                {"ratio": 1.1, "splits": ("validation",), "images": 2000},
                {"epochs": (*range(1, constant + 1), self.epochs), "splits": ("validation",)},
            ),
        }

    def variants(self) -> list[tuple[dict[str, str], dict[str, Any]]]:
        """Return each network with each of its rates."""
        rates = {"none": self.rates_none, "batch": self.rates_batch}
        return [
            ({"arm": norm, "learning_rate": f"{rate:g}"}, {"norm": norm, "learning_rate": rate})
            for norm in rates
            for rate in rates[norm]
        ]
