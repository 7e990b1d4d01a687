"""Runs of other kinds than training a network once: what a step costs, what is shared, real TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from bnstudy.records.spec import DatasetName, Positive, Precision, Rate, RunSpec, Spec, validate


class StepCostSpec(Spec):
    """What a training step costs, for the article's network with each way to keep the moving averages.

    All ways are timed in turn, round by round, so that the load of the machine takes them alike. The
    result is a time: doing it again gives another.
    """

    kind: Literal["step_cost"] = "step_cost"
    dataset: DatasetName = "cifar10"
    batch_size: int = Field(default=128, ge=2)
    precision: Precision = "bfloat16"
    rounds: int = Field(default=5, ge=1, le=1000)
    steps: int = Field(default=4, ge=1, le=1000)


class SharingSpec(Spec):
    """What two calls of the article's ``batch_norm`` under one scope have in common, by ``bnstudy.tf1``."""

    kind: Literal["sharing"] = "sharing"
    reuse: bool = True


class TensorFlowSpec(Spec):
    """The article's network trained by a real TensorFlow, in graph mode, in an environment of its own.

    ``updates``: ``"in_place"`` is ``updates_collections=None``, ``"with_step"`` the default collection run
    under control dependencies, ``"never"`` the default collection forgotten.
    """

    kind: Literal["tensorflow"] = "tensorflow"
    dataset: DatasetName = "cifar10"
    train_size: int | None = Field(default=None, ge=2, description="an integer of at least 2, or None")
    updates: Literal["in_place", "with_step", "never"] = "in_place"
    learning_rate: Rate = 1e-3
    batch_size: int = Field(default=128, ge=2)
    epochs: Positive = 1


KINDS: dict[str, type[Spec]] = {
    spec.model_fields["kind"].default: spec for spec in (RunSpec, StepCostSpec, SharingSpec, TensorFlowSpec)
}


def read_spec(body: Mapping[str, Any]) -> Spec:
    """Return the spec that a record's header holds.

    Raises:
        ValueError: its kind is unknown, or a field is.
    """
    kind = body.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"kind is {json.dumps(kind)}; allowed: {', '.join(map(repr, KINDS))}")
    return validate(KINDS[kind], body)
