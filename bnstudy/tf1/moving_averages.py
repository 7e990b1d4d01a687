"""Assignments of moving averages, and ``tf.train.ExponentialMovingAverage``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from bnstudy.tf1 import math, versions
from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.control import group
from bnstudy.tf1.dtypes import float16, float32, float64
from bnstudy.tf1.graph import Operation, Tensor, get_default_graph
from bnstudy.tf1.initializers import zeros_initializer
from bnstudy.tf1.keys import GraphKeys
from bnstudy.tf1.run import Run
from bnstudy.tf1.scopes import get_variable, get_variable_scope, variable_scope
from bnstudy.tf1.slots import slot
from bnstudy.tf1.variables import Variable, moving_average_variables, trainable_variables


def assign_moving_average(
    variable: Variable, value: Any, decay: Any, zero_debias: bool = True, name: str | None = None
) -> Tensor:
    """Return a tensor whose evaluation does ``variable -= (variable - value) * (1 - decay)``.

    With ``zero_debias`` the variable becomes ``biased / (1 - decay^local_step)`` of two further
    variables, which ``get_variable`` makes under the variable's full name *within* the current scope
    (so that ``s/moving_mean`` gets ``s/s/moving_mean/biased``). Raises ``TypeError`` for a decay that
    is no number.

    Source: ``tensorflow.python.training.moving_averages.assign_moving_average``.
    """
    kind = variable.dtype
    graph = get_default_graph()
    with graph.name_scope(name or "AssignMovingAvg") as scope:
        rate = math.cast(convert_to_tensor(1.0 - decay, name="decay"), kind)
        source = math.cast(convert_to_tensor(value), kind)
        state = _debias_state(variable) if zero_debias else None

    def move(run: Run, new: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
        held = variable.stored(run)
        return variable.store(run, held - (held - new.detach()) * part.detach())

    def debias(run: Run, new: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
        assert state is not None
        biased, local_step = state
        held = biased.stored(run)
        moved = biased.store(run, held - (held - new.detach()) * part.detach())
        step = local_step.store(run, local_step.stored(run) + 1.0)
        return variable.store(run, moved / (1.0 - torch.pow(1.0 - part.detach(), step)))

    op = graph.add(scope, [source, rate], debias if zero_debias else move, [(kind, variable.shape)])
    op.differentiable = False
    op.role, op.writes = "moving", (variable.snapshot,)
    return op.outputs[0]


class ExponentialMovingAverage:
    """Shadow variables that average others: ``shadow -= (1 - decay) * (shadow - value)``.

    The shadow of a variable starts at its *initial* value, that of a tensor at 0, where
    ``zero_debias`` corrects it. ``num_updates`` gives ``min(decay, (1 + n) / (10 + n))``.

    Source: ``tf.train.ExponentialMovingAverage`` of TensorFlow 1.15.
    """

    def __init__(
        self,
        decay: Any,
        num_updates: Any = None,
        zero_debias: bool = False,
        name: str = "ExponentialMovingAverage",
    ) -> None:
        self._decay = decay
        self._num_updates = num_updates
        self._zero_debias = zero_debias
        self._name = name
        self._averages: dict[Any, Variable] = {}
        self._debiased: set[Any] = set()

    def apply(self, var_list: Sequence[Any] | None = None) -> Operation:
        """Return an operation that updates the averages of ``var_list`` (default: trainable variables).

        Raises ``TypeError`` for values that are not floating point, ``ValueError`` without a decay.
        """
        graph = get_default_graph()
        values = trainable_variables() if var_list is None else list(var_list)
        for value in values:
            if value.dtype.base_dtype not in (float16, float32, float64):
                raise TypeError(f"The variables must be half, float, or double: {value.name}")
            if value in self._averages:
                if not versions.current().second_apply:
                    raise ValueError(f"Moving average already computed for: {value.name}")
                continue
            self._averages[value] = self._shadow(value)
            if isinstance(value, Variable):
                graph.add_to_collection(GraphKeys.MOVING_AVERAGE_VARIABLES, value)
        with graph.name_scope(self._name) as scope:
            decay = convert_to_tensor(self._decay, name="decay")
            if self._num_updates is not None:
                count = math.cast(self._num_updates, float32)
                decay = math.minimum(decay, (1.0 + count) / (10.0 + count))
            updates = [
                assign_moving_average(self._averages[value], value, decay, value in self._debiased)
                for value in values
            ]
            return group(*updates, name=scope)

    def average(self, var: Any) -> Variable | None:
        """Return the shadow variable of ``var``, or None before ``apply``."""
        return self._averages.get(var)

    def average_name(self, var: Any) -> str:
        """Return the name under which the shadow of ``var`` is stored."""
        found = self._averages.get(var)
        return found.op.name if found is not None else f"{var.op.name}/{self._name}"

    def variables_to_restore(self, moving_avg_variables: Sequence[Any] | None = None) -> dict[str, Any]:
        """Return variables by the names from which to restore them: averages where there are any.

        ``moving_avg_variables`` are those with averages, by default all trainable and all averaged ones.
        """
        averaged = moving_avg_variables
        if averaged is None:
            averaged = [*trainable_variables(), *moving_average_variables()]
        named = {self.average_name(v): v for v in averaged}
        for variable in get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES):
            if not any(variable is v for v in averaged):
                named.setdefault(variable.op.name, variable)
        return named

    def _shadow(self, value: Any) -> Variable:
        if isinstance(value, Variable):
            return slot(value, value.initialized_value, self._name)
        if self._zero_debias:
            self._debiased.add(value)
        return slot(value, None, self._name)


def _debias_state(variable: Variable) -> tuple[Variable, Variable]:
    with variable_scope(variable.op.name):
        names = [_free_name(n) for n in ("biased", "local_step")]
        kind, zeros = variable.dtype, zeros_initializer(variable.dtype)
        biased = get_variable(names[0], variable.shape, kind, zeros, trainable=False)
        return biased, get_variable(names[1], [], kind, zeros, trainable=False)


def _free_name(name: str) -> str:
    # A second average of the same variable gets a state of its own, unless the scope shares.
    scope, taken = get_variable_scope(), get_default_graph().variables
    if scope.reuse:
        return name
    candidate, count = name, 0
    while f"{scope.name}/{candidate}" in taken:
        count += 1
        candidate = f"{name}_{count}"
    return candidate
