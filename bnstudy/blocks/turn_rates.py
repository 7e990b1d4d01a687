"""The turn-rates block: up to which rate training survives, all layers at once and one layer a step."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from bnstudy.records.spec import DatasetName, Positive, Precision
from bnstudy.study.plan import UNSET, Axis, Rates, Study, by_default

# Blocks of the tutorial's network: in turn, a step updates one of them.
LAYERS = 5


class TurnRatesStudy(Study):
    """Learning rates without normalization, by what a step updates and how weights begin. It decides nothing.

    In turn, training lasts as many times longer as there are layers, so that each layer is updated as often.
    It was planned after C1 had been judged at one rate: whether shift has a part in explosions also shows in
    whether training without it survives higher ones.
    """

    name: ClassVar[str] = "turn_rates"

    dataset: DatasetName = "cifar10"
    train_size: Annotated[int, by_default(lambda images, _: min(100 * 128, images))] = Field(
        default=UNSET, ge=2
    )
    rates: Rates = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
    epochs: Positive = 1
    batch_size: int = Field(default=128, ge=2)
    precision: Precision = "float32"

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        names = ("dataset", "train_size", "batch_size", "precision")
        return {
            **{name: getattr(self, name) for name in names},
            "norm": "none",
            "optimizer": "sgd",
            "evaluations": 1,
            "statistics": ("batch",),
            "decays": (0.9,),
            "zero_debias": ("none",),
        }

    def axes(self) -> dict[str, Axis]:
        """Return what is updated when and how weights begin (``arm``), and the learning rate."""
        turn = {"in_turn": True, "epochs": LAYERS * self.epochs}
        return {
            "arm": {
                "at once": {"epochs": self.epochs},
                "in turn": turn,
                "He, at once": {"initialisation": "he", "epochs": self.epochs},
                "He, in turn": {"initialisation": "he", **turn},
            },
            "learning_rate": {f"{rate:g}": {"learning_rate": rate} for rate in self.rates},
        }
