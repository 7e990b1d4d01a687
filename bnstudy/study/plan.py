"""From a study's parameters to its runs: products of named arms, with seeds paired across them."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from bnstudy.records.kinds import StepCostSpec
from bnstudy.records.spec import Checked, DatasetName, Positive, Precision, Rate, RunSpec, Spec, read_list

# The default of a parameter that `by_default` fills in.
UNSET: Any = None

# Training images of each data set.
IMAGES = {"cifar10": 50_000, "digits": 1_438}

Rates = Annotated[tuple[Rate, ...], BeforeValidator(read_list), Field(min_length=1)]
Axis = Mapping[str, Mapping[str, Any]]  # arm -> what it changes in a run's spec


class PlannedRun(NamedTuple):
    """A run that a study needs: its arm on each axis, by the axis' name, and its spec."""

    arms: dict[str, str]
    spec: Spec


class Study(Checked):
    """The parameters of a study, and the runs that they ask for.

    A study's runs are the product of its axes with its seeds, counted from ``first_seed``. Runs of one seed
    start from the same weights and see the data in the same order in every arm, so that differences
    between arms are paired.
    """

    name: ClassVar[str]
    first_seed: ClassVar[int] = 0

    # Whether each run has a process of its own, and no other beside it: then processes are the sample.
    apart: ClassVar[bool] = False

    # Parameters that count the training images of some runs, or of all.
    training_sets: ClassVar[tuple[str, ...]] = ("train_size",)

    seeds: int = Field(default=5, ge=2, le=1000)

    @model_validator(mode="after")
    def _each_value_once(self) -> Study:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple) and any(value.count(one) > 1 for one in value):
                raise ValueError(f"{name} is {list(value)}; allowed: each value once")
        return self

    @model_validator(mode="after")
    def _has_the_images(self) -> Study:
        """A number of images is refused by the parameter's own name, before anything runs."""
        there = IMAGES.get(getattr(self, "dataset", ""))
        for name in self.training_sets:
            value = getattr(self, name, None)
            if there and value is not None and value > there:
                raise ValueError(f"{name} is {value}; allowed: at most {there}, the training images")
        precise = getattr(self, "precise_images", None)
        fewest = min([v for name in self.training_sets if (v := getattr(self, name, None))], default=there)
        if precise and fewest and precise > fewest:
            raise ValueError(
                f"precise_images is {precise}; allowed: at most {fewest}, the images of the smallest training"
            )
        return self

    @abstractmethod
    def base(self) -> dict[str, Any]:
        """Return what all runs have in common: fields of ``RunSpec``."""

    @abstractmethod
    def axes(self) -> dict[str, Axis]:
        """Return the axes by name, each with its arms by label; axes become columns of the frames."""

    def seed_range(self) -> range:
        """Return its seeds."""
        return range(self.first_seed, self.first_seed + self.seeds)

    def runs(self) -> list[PlannedRun]:
        """Return every run, paired runs of one seed beside each other."""
        axes = self.axes()
        return [
            PlannedRun(
                dict(zip(axes, labels, strict=True)),
                RunSpec(**{**self.base(), **_merged(axes, labels), "seed": seed}),
            )
            for seed in self.seed_range()
            for labels in itertools.product(*axes.values())
        ]


class Training(Study):
    """A study whose runs train the article's network: what every such study can be told."""

    dataset: DatasetName = "cifar10"
    train_size: int | None = Field(default=None, ge=2, description="an integer of at least 2, or None")
    epochs: Positive = 1
    batch_size: int = Field(default=128, ge=2)
    precision: Precision = "bfloat16"

    def given(self, *more: str) -> dict[str, Any]:
        """Return these parameters, and ``more`` of the study's, as every run gets them."""
        names = ("dataset", "train_size", "epochs", "batch_size", "precision", *more)
        return {name: getattr(self, name) for name in names}


class Listed(Study):
    """A study whose runs are no product of axes: one of each of its variants for each seed."""

    @abstractmethod
    def variants(self) -> list[tuple[dict[str, str], dict[str, Any]]]:
        """Return each variant's arms, by axis, and what it changes in a run's spec."""

    def axes(self) -> dict[str, Axis]:
        """Return none: the variants say it all."""
        return {}

    def runs(self) -> list[PlannedRun]:
        """Return every run, paired runs of one seed beside each other."""
        return [
            PlannedRun(arms, RunSpec(**{**self.base(), **changes, "seed": seed}))
            for seed in self.seed_range()
            for arms, changes in self.variants()
        ]


def by_default(default: Callable[[int, Mapping[str, Any]], Any]) -> BeforeValidator:
    """Return a validator that fills a parameter left at None with what ``default`` makes of the others.

    ``default`` gets the number of training images that there are, or the study's ``train_size``, and the
    parameters before this one.
    """

    def fill(value: Any, info: ValidationInfo) -> Any:
        if value is not None:
            return value
        images = info.data.get("train_size") or IMAGES.get(info.data.get("dataset", ""), max(IMAGES.values()))
        return default(images, info.data)

    return BeforeValidator(fill)


def step_costs(study: Study, **settings: Any) -> list[PlannedRun]:
    """Return the timings of a training step, one for each seed; ``settings`` are fields of their spec."""
    return [
        PlannedRun({"arm": "step cost"}, StepCostSpec(**settings, seed=seed)) for seed in study.seed_range()
    ]


def _merged(axes: Mapping[str, Axis], labels: tuple[str, ...]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for axis, label in zip(axes.values(), labels, strict=True):
        changes |= axis[label]
    return changes
