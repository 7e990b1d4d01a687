"""The global step, and learning rates that follow it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.dtypes import float32, int64
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.initializers import zeros_initializer
from bnstudy.tf1.keys import GraphKeys
from bnstudy.tf1.scopes import get_variable
from bnstudy.tf1.shapes import TensorShape
from bnstudy.tf1.variables import Variable


def get_global_step() -> Variable | None:
    """Return the step that the graph counts, or None."""
    found = get_default_graph().get_collection(GraphKeys.GLOBAL_STEP)
    return found[0] if found else None


def get_or_create_global_step() -> Variable:
    """Return the step that the graph counts; it starts at 0."""
    found = get_global_step()
    if found is not None:
        return found
    keys = [GraphKeys.GLOBAL_VARIABLES, GraphKeys.GLOBAL_STEP]
    return get_variable("global_step", [], int64, zeros_initializer(int64), trainable=False, collections=keys)


def exponential_decay(
    learning_rate: Any,
    global_step: Any,
    decay_steps: Any,
    decay_rate: Any,
    staircase: bool = False,
    name: str | None = None,
) -> Tensor:
    """Return ``learning_rate * decay_rate^(global_step / decay_steps)``, the power rounded down for a
    staircase.

    Source: ``tf.train.exponential_decay``.
    """
    graph = get_default_graph()
    with graph.name_scope(name or "ExponentialDecay") as scope:
        parts = [convert_to_tensor(t) for t in (learning_rate, global_step, decay_steps, decay_rate)]

    def compute(
        run: Any, rate: torch.Tensor, step: torch.Tensor, per: torch.Tensor, base: torch.Tensor
    ) -> torch.Tensor:
        power = step.to(rate.dtype) / per.to(rate.dtype)
        return rate * torch.pow(base.to(rate.dtype), torch.floor(power) if staircase else power)

    return graph.add(scope, parts, compute, [(parts[0].dtype, TensorShape([]))]).outputs[0]


def piecewise_constant(
    x: Any, boundaries: Sequence[Any], values: Sequence[float], name: str | None = None
) -> Tensor:
    """Return the first of ``values`` up to ``x == boundaries[0]``, then the second, and so on.

    Raises ``ValueError`` unless there is one value more than boundaries.
    """
    if len(boundaries) != len(values) - 1:
        raise ValueError("The length of boundaries should be 1 less than the length of values")
    source = convert_to_tensor(x)

    def compute(run: Any, step: torch.Tensor) -> torch.Tensor:
        passed = sum(bool(step > b) for b in boundaries)
        return torch.tensor(values[passed], dtype=torch.float32)

    kind = [(float32, TensorShape([]))]
    return (
        get_default_graph()
        .add(f"{name or 'PiecewiseConstant'}/case/cond/Merge", [source], compute, kind)
        .outputs[0]
    )
