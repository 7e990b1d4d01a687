"""The knobs block: gamma where a layer can absorb it and where none can, and epsilon over ten decades."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from bnstudy.blocks.chosen import RATES
from bnstudy.records.spec import DatasetName, Positive, Precision, Rate
from bnstudy.study.plan import Axis, Study

ARMS: dict[str, dict[str, Any]] = {
    "base": {},
    "gamma hidden": {"scale": True, "scale_last": False},
    "gamma everywhere": {"scale": True},
    "epsilon 1e-5": {"epsilon": 1e-5},
    "epsilon 1e-1": {"epsilon": 1e-1},
    "epsilon 1e-11": {"epsilon": 1e-11},
}


class GammaAndEpsilonStudy(Study):
    """Gamma and epsilon, each against one arm named beforehand, with precise statistics (C8, C9)."""

    name: ClassVar[str] = "gamma_and_epsilon"
    first_seed: ClassVar[int] = 100

    seeds: int = Field(default=32, ge=2, le=32)
    dataset: DatasetName = "cifar10"
    learning_rate: Rate = RATES["batch"]
    epochs: Positive = 5
    batch_size: int = Field(default=128, ge=2)
    precision: Precision = "bfloat16"

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        names = ("dataset", "learning_rate", "epochs", "batch_size", "precision")
        return {
            **{name: getattr(self, name) for name in names},
            "schedule": "annealed",
            "decays": (0.9,),
            "zero_debias": ("none",),
            "evaluations": 0,
            "logged_every": 10,
            "looks": ({"epochs": (self.epochs,), "statistics": ("moving", "precise"), "hits": True},),
        }

    def axes(self) -> dict[str, Axis]:
        """Return the one axis: the knob that is turned."""
        return {"arm": ARMS}
