"""The decay ablation: its parameters, and the runs that they ask for."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from bnstudy.records.spec import Decays, Positive, Schedule, read_list
from bnstudy.study.plan import Axis, Training


class DecayStudy(Training):
    """Moving averages of many decays along the same trajectories (claims C6 and C7)."""

    name: ClassVar[str] = "decay"
    # The block whose snapshots answer a decay that is not recorded.
    answered_by: ClassVar[str] = "core"

    decays: Decays = (0.0, 0.5, 0.6, 0.9, 0.99, 0.999, 0.9999)
    epochs: Positive = 5
    learning_rate: float = Field(
        default=1e-3, gt=0.0, allow_inf_nan=False, description="a finite number above 0"
    )
    schedules: Annotated[tuple[Schedule, ...], BeforeValidator(read_list), Field(min_length=1)] = (
        "constant",
        "annealed",
    )

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        return {
            **self.given("decays", "learning_rate"),
            "zero_debias": ("none", "both"),
        }

    def axes(self) -> dict[str, Axis]:
        """Return the one axis: the learning rate's schedule."""
        return {"schedule": {schedule: {"schedule": schedule} for schedule in self.schedules}}
