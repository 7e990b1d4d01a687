"""When the moving averages are updated: its parameters, and the runs that they ask for."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from bnstudy.records.kinds import TensorFlowSpec
from bnstudy.records.spec import Rate
from bnstudy.study.plan import UNSET, Axis, PlannedRun, Training, by_default, step_costs

UPDATES = {
    "in place": "in_place",
    "with the step": "with_step",
    "after the step": "after_step",
    "never": "never",
}

# What a TensorFlow graph of 2017 can be told with one argument; the fourth takes a second session.run.
IN_TENSORFLOW = ("in place", "with the step", "never")


class UpdatesCollectionsStudy(Training):
    """In place, with the step, after the step, or never (claim C11); here, and in a real TensorFlow."""

    name: ClassVar[str] = "updates_collections"
    training_sets: ClassVar[tuple[str, ...]] = ("train_size", "tensorflow_train_size")

    learning_rate: Rate = 1e-3
    evaluations: int = Field(default=8, ge=1, le=1000)
    # Its environment is one of its own, which who has no CIFAR-10 need not have either.
    tensorflow: Annotated[bool, by_default(lambda _, of: of.get("dataset") == "cifar10")] = Field(
        default=UNSET
    )
    tensorflow_train_size: Annotated[int, by_default(lambda images, _: images)] = Field(
        default=UNSET, ge=2, description="an integer of at least 2"
    )

    def base(self) -> dict[str, Any]:
        """Return what all training runs have in common."""
        return {
            **self.given("learning_rate", "evaluations"),
            "zero_debias": ("none",),
            "statistics": ("batch", "moving"),
        }

    def axes(self) -> dict[str, Axis]:
        """Return the one axis: when the layers' averages absorb a batch."""
        return {"arm": {arm: {"updates": updates} for arm, updates in UPDATES.items()}}

    def runs(self) -> list[PlannedRun]:
        """Return the training runs, the timings of a step, and TensorFlow's runs."""
        others = step_costs(self, dataset=self.dataset, batch_size=self.batch_size, precision=self.precision)
        for seed in range(self.seeds):
            for arm in IN_TENSORFLOW if self.tensorflow else ():
                spec = TensorFlowSpec.model_validate(
                    {
                        "dataset": self.dataset,
                        "train_size": self.tensorflow_train_size,
                        "updates": UPDATES[arm],
                        "learning_rate": self.learning_rate,
                        "batch_size": self.batch_size,
                        "epochs": self.epochs,
                        "seed": seed,
                    }
                )
                others.append(PlannedRun({"arm": f"TensorFlow, {arm}"}, spec))
        return [*super().runs(), *others]
