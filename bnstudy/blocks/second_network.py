"""The second network: what carries over to a ResNet of eight layers. It decides nothing."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from bnstudy.records.spec import DatasetName, Positive, Precision, Rate
from bnstudy.study.plan import UNSET, Axis, Study, by_default


class SecondNetworkStudy(Study):
    """ResNet-8 without batch norm and with it, constant rate and then annealed, beside each claim."""

    name: ClassVar[str] = "second_network"
    first_seed: ClassVar[int] = 100

    seeds: int = Field(default=6, ge=2, le=32)
    dataset: DatasetName = "cifar10"
    rate_none: Rate = 1e-3
    rate_batch: Rate = 3e-3
    epochs: Positive = 16
    annealed_epochs: Positive = 4
    batch_size: int = Field(default=128, ge=2)
    precision: Precision = "bfloat16"
    precise_images: Annotated[int, by_default(lambda images, _: min(10_000, images))] = Field(
        default=UNSET, ge=2
    )

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        names = ("dataset", "epochs", "annealed_epochs", "batch_size", "precision")
        constant = self.epochs - self.annealed_epochs
        looked: dict[str, Any] = {
            "statistics": ("batch", "moving", "precise"),
            "decays": (0.0, 0.9, 0.99, 0.999),
        }
        looked["precise_images"] = self.precise_images
        return {
            **{name: getattr(self, name) for name in names},
            "network": "resnet8",
            "schedule": "constant_then_annealed",
            "decays": (0.9,),
            "zero_debias": ("none",),
            "evaluations": 0,
            "logged_every": 10,
            "looks": (
                {"ratio": 1.1, "images": 2000},
                {"epochs": (constant, self.epochs), **looked, "hits": True},
            ),
        }

    def axes(self) -> dict[str, Axis]:
        """Return the one axis: the network's normalisation."""
        return {
            "arm": {
                "none": {"norm": "none", "learning_rate": self.rate_none},
                "batch": {"norm": "batch", "learning_rate": self.rate_batch},
            }
        }
