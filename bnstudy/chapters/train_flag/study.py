"""The flag ``is_training`` at test time: its parameters, and the runs that they ask for."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from bnstudy.records.spec import Decay, Positive, Rate, Sizes
from bnstudy.study.plan import Axis, Training


class TrainFlagStudy(Training):
    """Evaluation with the flag on, off, and off after it was on by mistake (claim C10)."""

    name: ClassVar[str] = "train_flag"

    epochs: Positive = 2
    learning_rate: Rate = 1e-3
    decay: Decay = 0.9
    test_batches: Annotated[Sizes, Field(min_length=1)] = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        return {
            **self.given("learning_rate", "test_batches"),
            "decays": (self.decay,),
            "zero_debias": ("none",),
            "statistics": ("moving",),
            "evaluations": 1,
        }

    def axes(self) -> dict[str, Axis]:
        """Return none: every flag, order and size is evaluated on the same trained network."""
        return {}
