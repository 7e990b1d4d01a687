"""From a study's parameters to its runs: products of named arms, with seeds paired across them."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from pydantic import Field

from bnstudy.other_specs import StepCostSpec
from bnstudy.records.spec import Checked, RunSpec, Spec

Axis = Mapping[str, Mapping[str, Any]]  # arm -> what it changes in a run's spec


class PlannedRun(NamedTuple):
    """A run that a study needs: its arm on each axis, by the axis' name, and its spec."""

    arms: dict[str, str]
    spec: Spec


class Study(Checked):
    """The parameters of a study, and the runs that they ask for.

    A study's runs are the product of its axes with its seeds, 0 to ``seeds - 1``. Runs of one seed
    start from the same weights and see the data in the same order in every arm, so that differences
    between arms are paired.
    """

    name: ClassVar[str]

    seeds: int = Field(default=5, ge=2, le=1000)

    @abstractmethod
    def base(self) -> dict[str, Any]:
        """Return what all runs have in common: fields of ``RunSpec``."""

    @abstractmethod
    def axes(self) -> dict[str, Axis]:
        """Return the axes by name, each with its arms by label; axes become columns of the frames."""

    def runs(self) -> list[PlannedRun]:
        """Return every run, paired runs of one seed beside each other."""
        axes = self.axes()
        return [
            PlannedRun(
                dict(zip(axes, labels, strict=True)),
                RunSpec(**{**self.base(), **_merged(axes, labels), "seed": seed}),
            )
            for seed in range(self.seeds)
            for labels in itertools.product(*axes.values())
        ]


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
            for seed in range(self.seeds)
            for arms, changes in self.variants()
        ]


def step_costs(study: Study, **settings: Any) -> list[PlannedRun]:
    """Return the timings of a training step, one for each seed; ``settings`` are fields of their spec."""
    return [
        PlannedRun({"arm": "step cost"}, StepCostSpec(**settings, seed=seed)) for seed in range(study.seeds)
    ]


def once_each(study: Study, *names: str) -> None:
    """Raise a ``ValueError`` that names the parameter, if a list among ``names`` has a value twice."""
    for name in names:
        values = getattr(study, name)
        if len(set(values)) != len(values):
            raise ValueError(f"{name} is {list(values)}; allowed: each value once")


def _merged(axes: Mapping[str, Axis], labels: tuple[str, ...]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for axis, label in zip(axes.values(), labels, strict=True):
        changes |= axis[label]
    return changes
