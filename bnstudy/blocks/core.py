"""The core block: two networks trained to the end, whose trajectories five claims read."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from bnstudy.blocks.chosen import RATES
from bnstudy.records.spec import DatasetName, Precision, Rate, Sizes
from bnstudy.study.plan import UNSET, Axis, Study, by_default

# Constant-phase checkpoints, a quarter of an epoch apart, up to the annealing; see the rules of C6 and C7.
BEFORE = tuple(14.25 + k / 4 for k in range(15))
LAGGING = (3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
ANNEALING, END = 18.0, 22.0


class CoreStudy(Study):
    """The tutorial's network without batch norm and with it, each at its best rate (C4, C6, C7, C10, C13).

    One training of a seed answers all of it: the rate is constant up to epoch 18 and falls to zero by epoch
    22, a bank keeps the averages of all decays, and what is evaluated at which step is fixed beforehand.
    """

    name: ClassVar[str] = "core"
    first_seed: ClassVar[int] = 100

    seeds: int = Field(default=32, ge=2, le=32)
    dataset: DatasetName = "cifar10"
    rate_none: Rate = RATES["none"]
    rate_batch: Rate = RATES["batch"]
    batch_size: int = Field(default=128, ge=2)
    precision: Precision = "bfloat16"
    test_batches: Sizes = (1, 4, 16, 128)
    precise_images: Annotated[int, by_default(lambda images, _: min(10_000, images))] = Field(
        default=UNSET, ge=2
    )

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        return {
            **{name: getattr(self, name) for name in ("dataset", "batch_size", "precision")},
            "epochs": int(END),
            "annealed_epochs": int(END - ANNEALING),
            "schedule": "constant_then_annealed",
            "decays": (0.9,),
            "zero_debias": ("none",),
            "evaluations": 0,
            "logged_every": 10,
        }

    def axes(self) -> dict[str, Axis]:
        """Return the one axis: the network."""
        return {
            "arm": {
                "none": {"norm": "none", "learning_rate": self.rate_none, "looks": self._looks_of_none()},
                "batch": {"norm": "batch", "learning_rate": self.rate_batch, "looks": self._looks_of_batch()},
            }
        }

    def _looks_of_none(self) -> tuple[dict[str, Any], ...]:
        return (
            {"ratio": 1.1, "images": 2000},
            {"epochs": (*range(1, 19), END), "splits": ("test", "train"), "hits": True},
        )

    def _looks_of_batch(self) -> tuple[dict[str, Any], ...]:
        precise = {"precise_images": self.precise_images, "hits": True}
        # Shares of an epoch of 391 steps: the last sixteen but one, whose weights hardly move any more.
        last = tuple(END - k / 391 for k in range(1, 16))
        return (
            {"ratio": 1.1, "images": 2000},
            {"epochs": LAGGING, "statistics": ("moving", "precise"), "decays": (0.9, 0.999), **precise},
            {"epochs": LAGGING, "splits": ("train",), "decays": (0.9, 0.999), "hits": True},
            {"epochs": BEFORE, "statistics": ("batch", "moving"), "decays": (0.0, 0.9), "hits": True},
            {"epochs": last, "decays": (0.0, 0.9), "hits": True},
            {
                "epochs": (ANNEALING, END),
                "statistics": ("batch", "frozen", "moving", "precise"),
                "decays": (0.0, 0.9, 0.99, 0.999),
                "zero_debias": ("none", "both"),
                "test_batches": self.test_batches,
                "snapshot": True,
                **precise,
            },
            {
                "epochs": (END,),
                "splits": ("train",),
                "statistics": ("moving", "precise"),
                "decays": (0.9, 0.999),
                **precise,
            },
        )
