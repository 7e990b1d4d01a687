"""Gradient descent and Adam, by TensorFlow 1's formulas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from bnstudy.tf1.constants import constant, convert_to_tensor
from bnstudy.tf1.control import gradients, group
from bnstudy.tf1.graph import Operation, Tensor, get_default_graph
from bnstudy.tf1.session import Run
from bnstudy.tf1.variables import Variable, trainable_variables


class Optimizer:
    """Computes gradients and applies them; subclasses say how one variable changes."""

    def __init__(self, learning_rate: Any, name: str) -> None:
        self.learning_rate = learning_rate
        self.name = name

    def minimize(
        self, loss: Tensor, global_step: Variable | None = None, var_list: Sequence[Variable] | None = None
    ) -> Operation:
        """Return the operation of one step; raises ``ValueError`` if no variable has a gradient."""
        return self.apply_gradients(self.compute_gradients(loss, var_list), global_step)

    def compute_gradients(
        self, loss: Tensor, var_list: Sequence[Variable] | None = None
    ) -> list[tuple[Tensor | None, Variable]]:
        """Return pairs of gradient and variable, by default for all trainable ones."""
        variables = trainable_variables() if var_list is None else list(var_list)
        if not variables:
            raise ValueError("No variables to optimize.")
        return list(zip(gradients(loss, variables), variables, strict=True))

    def apply_gradients(
        self, grads_and_vars: Sequence[tuple[Tensor | None, Variable]], global_step: Variable | None = None
    ) -> Operation:
        """Return the operation that applies the gradients, then counts ``global_step`` up."""
        pairs = [(g, v) for g, v in grads_and_vars if g is not None]
        if not pairs:
            raise ValueError("No gradients provided for any variable.")
        graph = get_default_graph()
        # All gradients first: an update must not be seen by the gradient of another variable.
        with graph.control_dependencies([g for g, _ in pairs]):
            updates = self._apply(pairs)
        if global_step is not None:
            with graph.control_dependencies(updates):
                updates = [*updates, global_step.assign_add(1)]
        return group(*updates, name=self.name)

    def _apply(self, pairs: Sequence[tuple[Tensor, Variable]]) -> list[Any]:
        raise NotImplementedError


class GradientDescentOptimizer(Optimizer):
    """``variable -= learning_rate * gradient``."""

    def __init__(self, learning_rate: Any, use_locking: bool = False, name: str = "GradientDescent") -> None:
        del use_locking
        super().__init__(learning_rate, name)

    def _apply(self, pairs: Sequence[tuple[Tensor, Variable]]) -> list[Any]:
        rate = convert_to_tensor(self.learning_rate)

        def step(variable: Variable) -> Any:
            def compute(run: Run, gradient: torch.Tensor, lr: torch.Tensor) -> torch.Tensor:
                return variable.store(run, variable.stored(run) - lr.to(gradient.dtype) * gradient)

            return compute

        return [
            get_default_graph()
            .add("ApplyGradientDescent", [g, rate], step(v), [(v.dtype, v.shape)])
            .outputs[0]
            for g, v in pairs
        ]


class AdamOptimizer(Optimizer):
    """Adam, with epsilon added before the bias correction, as TensorFlow has it ("epsilon hat").

    ``variable -= learning_rate * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)``

    The Adam of ``bnstudy.train_run`` adds it after the correction, as PyTorch does: its steps are longer
    where a gradient is hardly larger than epsilon, most of all the first.

    Source: ``tf.train.AdamOptimizer``; Kingma & Ba 2015, the remark before section 2.1.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        use_locking: bool = False,
        name: str = "Adam",
    ) -> None:
        del use_locking
        super().__init__(learning_rate, name)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def _apply(self, pairs: Sequence[tuple[Tensor, Variable]]) -> list[Any]:
        powers = [
            Variable(b, trainable=False, name=f"beta{i}_power") for i, b in ((1, self.beta1), (2, self.beta2))
        ]
        rate = convert_to_tensor(self.learning_rate)
        updates: list[Any] = [self._step(gradient, variable, rate, powers) for gradient, variable in pairs]
        graph = get_default_graph()
        with graph.control_dependencies(updates):
            counted = [
                power.assign(power.read_value() * beta)
                for power, beta in zip(powers, self._betas, strict=True)
            ]
        return [*updates, *counted]

    @property
    def _betas(self) -> tuple[float, float]:
        return self.beta1, self.beta2

    def _step(self, gradient: Tensor, variable: Variable, rate: Tensor, powers: list[Variable]) -> Tensor:
        zero = constant(0.0, variable.dtype, [int(d) for d in variable.shape])
        first = Variable(zero, trainable=False, full_name=f"{variable.op.name}/{self.name}")
        second = Variable(zero, trainable=False, full_name=f"{variable.op.name}/{self.name}_1")

        def compute(run: Run, g: torch.Tensor, lr: torch.Tensor) -> torch.Tensor:
            p1, p2 = (power.stored(run) for power in powers)
            m = first.store(run, torch.lerp(first.stored(run), g, 1.0 - self.beta1))
            v = second.store(run, torch.lerp(second.stored(run), g.square(), 1.0 - self.beta2))
            scaled = lr * (1.0 - p2).sqrt() / (1.0 - p1)
            return variable.store(run, variable.stored(run) - scaled * m / (v.sqrt() + self.epsilon))

        output = [(variable.dtype, variable.shape)]
        return get_default_graph().add("ApplyAdam", [gradient, rate], compute, output).outputs[0]
