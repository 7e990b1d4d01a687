"""The remaining arguments of ``batch_norm``: parameters of their study, and its runs."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from bnstudy.records.kinds import SharingSpec
from bnstudy.records.spec import Rate, read_list
from bnstudy.study.plan import UNSET, Listed, PlannedRun, Training, by_default

Epsilons = Annotated[tuple[Rate, ...], BeforeValidator(read_list), Field(min_length=2)]

# Ioffe 2017 lets the bounds grow to these.
RMAX, DMAX = 3.0, 5.0


class KnobsStudy(Listed, Training):
    """Epsilon, scale, bias, the last layer, tiny batches, and reuse (claims C8, C9 and C12)."""

    name: ClassVar[str] = "knobs"
    training_sets: ClassVar[tuple[str, ...]] = ("train_size", "tiny_train_size")

    epsilons: Epsilons = (1e-11, 1e-9, 1e-7, 1e-5, 1e-3, 1e-1)
    learning_rate: Rate = 1e-3
    tiny_batch: int = Field(default=4, ge=2)
    tiny_train_size: Annotated[int, by_default(lambda images, _: min(6_400, images))] = Field(
        default=UNSET, ge=2
    )
    precise_images: Annotated[
        int, by_default(lambda images, of: min(5_000, images, of.get("tiny_train_size", 2)))
    ] = Field(default=UNSET, ge=2)

    def base(self) -> dict[str, Any]:
        """Return what all training runs have in common."""
        return {
            **self.given("learning_rate", "precise_images"),
            "evaluations": 1,
            "zero_debias": ("none",),
            "statistics": ("batch", "moving", "precise"),
        }

    def variants(self) -> list[tuple[dict[str, str], dict[str, Any]]]:
        """Return the arms, and for the arm ``epsilon`` its values."""
        linear: dict[str, Any] = {"relu_on_logits": False}
        tiny = {"batch_size": self.tiny_batch, "train_size": self.tiny_train_size}
        padded = {**tiny, "padding": self.tiny_batch}
        arms: dict[str, dict[str, Any]] = {
            "no gamma": {},
            "gamma": {"scale": True},
            "no gamma, linear logits": linear,
            "gamma, linear logits": {**linear, "scale": True},
            "no bias": {"conv_bias": False},
            "last layer not normalised": {"norm_last": False},
            "last layer not normalised, linear logits": {**linear, "norm_last": False},
            "tiny batch": tiny,
            "tiny batch, renorm": {**tiny, "renorm": True, "renorm_rmax": RMAX, "renorm_dmax": DMAX},
            "tiny batch, padded": padded,
            "tiny batch, padded, weighted": {**padded, "batch_weights": True},
        }
        return [
            *(({"arm": "epsilon", "epsilon": f"{e:g}"}, {"epsilon": e}) for e in self.epsilons),
            *(({"arm": arm, "epsilon": ""}, changes) for arm, changes in arms.items()),
        ]

    def runs(self) -> list[PlannedRun]:
        """Return the training runs, and the counts of shared variables."""
        shared = [
            PlannedRun({"arm": arm, "epsilon": ""}, SharingSpec(reuse=reuse, seed=seed))
            for seed in range(self.seeds)
            for arm, reuse in (("reuse", True), ("no reuse", False))
        ]
        return [*super().runs(), *shared]
