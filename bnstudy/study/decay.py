"""The decay ablation: its parameters, and the runs that they ask for."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from bnstudy.spec import (
    Checked,
    DatasetName,
    Decays,
    Positive,
    Precision,
    RunSpec,
    Schedule,
    ZeroDebias,
    read_list,
)


class DecayStudy(Checked):
    """Moving averages of many decays along the same trajectories (claims C6 and C7).

    ``seeds`` counts the paired repetitions: seeds 0 to ``seeds - 1``.
    """

    name: ClassVar[str] = "decay"

    dataset: DatasetName = "cifar10"
    decays: Decays = (0.0, 0.5, 0.6, 0.9, 0.99, 0.999, 0.9999)
    epochs: Positive = 5
    seeds: int = Field(default=5, ge=2, le=1000)
    learning_rate: float = Field(
        default=1e-3, gt=0.0, allow_inf_nan=False, description="a finite number above 0"
    )
    schedules: Annotated[tuple[Schedule, ...], BeforeValidator(read_list), Field(min_length=1)] = (
        "constant",
        "annealed",
    )
    batch_size: int = Field(default=128, ge=2)
    precision: Precision = "bfloat16"

    @model_validator(mode="after")
    def _once_each(self) -> DecayStudy:
        for name in ("decays", "schedules"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name} is {list(values)}; allowed: each value once")
        return self

    def specs(self) -> list[RunSpec]:
        """Return the runs that the study needs, paired runs of one seed beside each other."""
        zero_debias: tuple[ZeroDebias, ...] = ("none", "both")
        return [
            RunSpec(
                dataset=self.dataset,
                learning_rate=self.learning_rate,
                schedule=schedule,
                batch_size=self.batch_size,
                epochs=self.epochs,
                seed=seed,
                precision=self.precision,
                decays=self.decays,
                zero_debias=zero_debias,
            )
            for seed in range(self.seeds)
            for schedule in self.schedules
        ]
