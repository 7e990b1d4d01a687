"""Batch normalization against, and with, what it is said to replace: parameters and runs."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from bnstudy.records.spec import Positive, Rate, Share
from bnstudy.study.plan import UNSET, Axis, Training, by_default


class RegularisationStudy(Training):
    """None, L2, dropout, batch normalization, and it with each of them, on much and little data (C5).

    ``small_size`` images make up the little data, a tenth by default; ``small_epochs`` passes over them.
    """

    name: ClassVar[str] = "regularisation"
    training_sets: ClassVar[tuple[str, ...]] = ("train_size", "small_size")

    small_size: Annotated[int, by_default(lambda images, _: images // 10)] = Field(default=UNSET, ge=2)
    epochs: Positive = 2
    small_epochs: Positive = 12
    learning_rate: Rate = 1e-3
    # At 0 an arm would be another arm.
    weight_decay: Rate = 1e-3
    dropout: Annotated[Share, Field(gt=0.0, description="a number above 0 and below 1")] = 0.3
    precise_images: Annotated[
        int, by_default(lambda images, of: min(5_000, images, of.get("small_size", 2)))
    ] = Field(default=UNSET, ge=2)

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        return {
            **self.given("learning_rate", "precise_images"),
            "evaluations": 1,
            "zero_debias": ("none",),
            "statistics": ("moving", "precise"),
        }

    def axes(self) -> dict[str, Axis]:
        """Return what regularises (``arm``), and how much data there is (``fraction``)."""
        none, l2, dropout = {"norm": "none"}, {"weight_decay": self.weight_decay}, {"dropout": self.dropout}
        return {
            "arm": {
                "none": none,
                "l2": {**none, **l2},
                "dropout": {**none, **dropout},
                "batch": {},
                "batch + l2": l2,
                "batch + dropout": dropout,
                "dropout + batch": {**dropout, "dropout_place": "before_norm"},
            },
            "fraction": {
                "all": {"train_size": self.train_size, "epochs": self.epochs},
                "a tenth": {"train_size": self.small_size, "epochs": self.small_epochs},
            },
        }
