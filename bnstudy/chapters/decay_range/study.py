"""The decay ablation at other learning rates and batch sizes: its parameters, and its runs."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from bnstudy.records.spec import Decays, Positive, Rate, read_list
from bnstudy.study.plan import Listed, Training

Rates = Annotated[
    tuple[Rate, ...],
    BeforeValidator(read_list),
    Field(description="a list of finite numbers above 0, each once"),
]
BatchSizes = Annotated[
    tuple[Annotated[int, Field(ge=2)], ...],
    BeforeValidator(read_list),
    Field(description="a list of integers of at least 2, each once"),
]

CENTRE = "centre"


class DecayRangeStudy(Listed, Training):
    """Moving averages of many decays, with another learning rate or another batch size.

    ``learning_rate`` and ``batch_size`` are the centre; each of ``learning_rates`` and of ``batch_sizes`` is
    a departure from it in that one thing. A list may be empty.
    """

    name: ClassVar[str] = "decay_range"

    decays: Decays = (0.0, 0.9, 0.99, 0.999, 0.9999)
    epochs: Positive = 2
    learning_rate: Rate = 1e-3
    learning_rates: Rates = (1e-4, 1e-2)
    batch_sizes: BatchSizes = (32, 512)
    # One evaluation of sixteen choices of statistics takes as long as much of an epoch.
    evaluations: int = Field(default=1, ge=1, le=1000)

    @model_validator(mode="after")
    def _each_setting_once(self) -> DecayRangeStudy:
        for name, centre in (("learning_rates", "learning_rate"), ("batch_sizes", "batch_size")):
            values, value = getattr(self, name), getattr(self, centre)
            if value in values:
                raise ValueError(
                    f"{name} is {list(values)}; allowed: values other than {centre}, which is {value}"
                )
        return self

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common, and what the centre is."""
        return {
            **self.given("decays", "evaluations", "learning_rate"),
            "zero_debias": ("none", "both"),
        }

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return what each setting changes in the spec of a run at the centre, by its label."""
        return {
            CENTRE: {},
            **{f"learning rate {rate}": {"learning_rate": rate} for rate in self.learning_rates},
            **{f"batch size {size}": {"batch_size": size} for size in self.batch_sizes},
        }

    def variants(self) -> list[tuple[dict[str, str], dict[str, Any]]]:
        """Return the settings."""
        return [({"setting": label}, changes) for label, changes in self.settings().items()]
