"""The shift block: noise that is drawn anew at each pass against noise that stays, and no noise at all."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from bnstudy.records.spec import DatasetName, Precision, Rate, read_list
from bnstudy.study.plan import UNSET, Axis, PlannedRun, Study, by_default

Doses = Annotated[tuple[Rate, ...], BeforeValidator(read_list), Field(min_length=1)]

PROBES = ("gradient_health", "internal_covariate_shift")

HALF_RATE = "half the rate"


class ShiftStudy(Study):
    """What internal covariate shift does, and what batch norm keeps in place (C1, C2, C3).

    Each optimiser trains at a published rate. Half an epoch, in whole batches: noise that stays is the same
    for batches of one size. The network without batch norm trains at half of each rate, too: what that does
    to a probe's quantity is a yardstick for what batch norm does to it, and is judged by nothing.
    """

    name: ClassVar[str] = "shift"
    first_seed: ClassVar[int] = 100

    seeds: int = Field(default=30, ge=2, le=32)
    dataset: DatasetName = "cifar10"
    train_size: Annotated[int, by_default(lambda images, _: min(195 * 128, images))] = Field(
        default=UNSET, ge=2
    )
    doses: Doses = (1.0, 4.0, 16.0)
    rate_sgd: Rate = 0.1
    rate_adam: Rate = 1e-3
    batch_size: int = Field(default=128, ge=2)
    probed_steps: int = Field(default=12, ge=1, le=1000)
    probed_images: Annotated[int, by_default(lambda images, _: min(2000, images))] = Field(
        default=UNSET, ge=1
    )
    precision: Precision = "float32"

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        names = ("dataset", "train_size", "batch_size", "probed_steps", "precision")
        return {
            **{name: getattr(self, name) for name in names},
            "epochs": 1,
            "evaluations": 1,
            "statistics": ("batch",),
            "decays": (0.9,),
            "zero_debias": ("none",),
            "probes": PROBES,
        }

    def axes(self) -> dict[str, Axis]:
        """Return the network with its noise (``arm``), and the optimiser (``training``)."""
        quiet = {"probes": (*PROBES, "activation_drift", "gaussianity"), "probed_images": self.probed_images}
        noisy = {
            f"{kind} {dose:g}": {
                "norm": "noisy",
                "noise_frozen": kind == "frozen",
                "noise_dose": dose,
                "redrawn": True,
            }
            for kind in ("fresh", "frozen")
            for dose in self.doses
        }
        return {
            "arm": {**{norm: {"norm": norm, **quiet} for norm in ("none", "batch")}, **noisy},
            "training": {
                "sgd": {"optimizer": "sgd", "learning_rate": self.rate_sgd},
                "adam": {"optimizer": "adam", "learning_rate": self.rate_adam},
            },
        }

    def runs(self) -> list[PlannedRun]:
        """Return every run, those of the yardstick last."""
        halved = self.model_copy(update={"rate_sgd": self.rate_sgd / 2, "rate_adam": self.rate_adam / 2})
        yardstick = [run for run in Study.runs(halved) if run.arms["arm"] == "none"]
        return super().runs() + [PlannedRun({**r.arms, "arm": HALF_RATE}, r.spec) for r in yardstick]
