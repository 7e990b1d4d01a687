"""The choice of L2's and dropout's strengths on few images: its parameters, and what runs they ask for."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from bnstudy.blocks.small_data import NORMS, small_training
from bnstudy.records.spec import DatasetName, Penalty, Positive, Precision, Share, read_list
from bnstudy.study.plan import UNSET, Listed, by_default


class SmallDataStrengthsStudy(Listed):
    """Strengths of L2 and of dropout for each network, on held-out images and with seeds of their own.

    Zero is among both: the training without either.
    """

    name: ClassVar[str] = "small_data_strengths"
    first_seed: ClassVar[int] = 200

    seeds: int = Field(default=2, ge=2, le=100)
    dataset: DatasetName = "cifar10"
    train_size: Annotated[int, by_default(lambda images, _: min(5000, images // 2))] = Field(
        default=UNSET, ge=2
    )
    held_out: Annotated[int, by_default(lambda images, _: images)] = Field(default=UNSET, ge=1)
    epochs: Positive = 60
    annealed_epochs: Positive = 15
    weight_decays: Annotated[tuple[Penalty, ...], BeforeValidator(read_list)] = (1e-4, 1e-3, 1e-2, 1e-1)
    dropouts: Annotated[tuple[Share, ...], BeforeValidator(read_list)] = (0.1, 0.25, 0.5)
    batch_size: int = Field(default=128, ge=2)
    precision: Precision = "bfloat16"

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        constant = self.epochs - self.annealed_epochs
        epochs = (*range(6, constant, 6), *range(constant, self.epochs + 1, 3))
        return {
            **{name: getattr(self, name) for name in ("dataset", "batch_size", "precision")},
            "looks": ({"epochs": epochs, "splits": ("validation",)},),
        }

    def variants(self) -> list[tuple[dict[str, str], dict[str, Any]]]:
        """Return each network with each strength of L2, of dropout, and without either."""
        names = ("epochs", "annealed_epochs", "train_size", "held_out")
        each = {name: getattr(self, name) for name in names}
        strengths: list[tuple[str, dict[str, Any]]] = [
            ("none", {}),
            *((f"L2 {strength:g}", {"weight_decay": strength}) for strength in self.weight_decays),
            *((f"dropout {share:g}", {"dropout": share}) for share in self.dropouts),
        ]
        return [
            ({"arm": norm, "strength": label}, {**small_training(norm, **each), **fields})
            for norm in NORMS
            for label, fields in strengths
        ]
