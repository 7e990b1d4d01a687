"""The in-turn block: training that has no internal covariate shift by definition, and what else prevents
explosions.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from bnstudy.records.spec import DatasetName, Positive, Precision, Rate
from bnstudy.study.plan import UNSET, Axis, Study, by_default


class InTurnStudy(Study):
    """One layer a step, in turn, at a rate at which updating all layers at once diverges (C1).

    Beside it: He's initialisation and group normalization, which change no update.
    """

    name: ClassVar[str] = "in_turn"
    first_seed: ClassVar[int] = 100

    seeds: int = Field(default=16, ge=2, le=32)
    dataset: DatasetName = "cifar10"
    train_size: Annotated[int, by_default(lambda images, _: min(100 * 128, images))] = Field(
        default=UNSET, ge=2
    )
    rate: Rate = 1.0
    batch_size: int = Field(default=128, ge=2)
    probed_steps: Positive = 12
    precision: Precision = "float32"

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        names = ("dataset", "train_size", "batch_size", "probed_steps", "precision")
        return {
            **{name: getattr(self, name) for name in names},
            "learning_rate": self.rate,
            "optimizer": "sgd",
            "epochs": 1,
            "evaluations": 1,
            "statistics": ("batch",),
            "decays": (0.9,),
            "zero_debias": ("none",),
            "probes": ("gradient_health",),
        }

    def axes(self) -> dict[str, Axis]:
        """Return the one axis: what is updated when, or what the network is like."""
        return {
            "arm": {
                "at once": {"norm": "none"},
                "in turn": {"norm": "none", "in_turn": True},
                "batch": {"norm": "batch"},
                "group": {"norm": "group"},
                "He": {"norm": "none", "initialisation": "he"},
            }
        }
