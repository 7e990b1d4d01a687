"""The regularisation block: few images, so that networks overfit and something can be regularised."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from bnstudy.blocks.chosen import DROPOUT, L2, RATES
from bnstudy.records.spec import DatasetName, Positive, Precision
from bnstudy.study.plan import UNSET, Listed, by_default

NORMS = ("none", "batch")


def small_training(
    norm: str, *, epochs: int, annealed_epochs: int, train_size: int, held_out: int
) -> dict[str, Any]:
    """Return what trainings on few images have in common, and their network: fields of ``RunSpec``."""
    return {
        "norm": norm,
        "learning_rate": RATES[norm],
        "train_size": train_size,
        "held_out": held_out,
        "epochs": epochs,
        "annealed_epochs": annealed_epochs,
        "schedule": "constant_then_annealed",
        "decays": (0.9,),
        "zero_debias": ("none",),
        "evaluations": 0,
        "logged_every": 10,
    }


class SmallDataStudy(Listed):
    """Networks without batch norm and with it, alone, with L2 and with dropout, on few images (C5).

    Each seed draws its own training images, the same ones in all arms. The images held out choose where a
    training stops; the strengths of L2 and dropout were chosen on them before, with other seeds.
    """

    name: ClassVar[str] = "small_data"
    first_seed: ClassVar[int] = 100

    seeds: int = Field(default=21, ge=2, le=32)
    dataset: DatasetName = "cifar10"
    train_size: Annotated[int, by_default(lambda images, _: min(5000, images // 2))] = Field(
        default=UNSET, ge=2
    )
    held_out: Annotated[int, by_default(lambda images, _: images)] = Field(default=UNSET, ge=1)
    epochs: Positive = 60
    annealed_epochs: Positive = 15
    batch_size: int = Field(default=128, ge=2)
    precision: Precision = "bfloat16"

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        return {name: getattr(self, name) for name in ("dataset", "batch_size", "precision")}

    def variants(self) -> list[tuple[dict[str, str], dict[str, Any]]]:
        """Return each network alone, with L2, and with dropout."""
        names = ("epochs", "annealed_epochs", "train_size", "held_out")
        each = {name: getattr(self, name) for name in names}
        return [
            (
                {"arm": f"{norm} {extra}"},
                {**small_training(norm, **each), **fields, "looks": self._looks(extra)},
            )
            for norm in NORMS
            for extra, fields in {
                "plain": {},
                "L2": {"weight_decay": L2[norm]},
                "dropout": {"dropout": DROPOUT[norm]},
            }.items()
        ]

    def _looks(self, extra: str) -> tuple[dict[str, Any], ...]:
        # Training accuracy nears 100 % while the rate falls: a look an epoch there, and a few on the way.
        constant = self.epochs - self.annealed_epochs
        epochs = (*range(6, constant, 6), *range(constant, self.epochs))
        images = ("validation", "train") if extra == "plain" else ("validation",)
        return (
            {"epochs": epochs, "splits": ("test",), "hits": True},
            {"epochs": epochs, "splits": images},
            {
                "epochs": (self.epochs,),
                "splits": ("test", "train", "validation"),
                "hits": True,
                "calibrate": True,
            },
        )
