"""Optimizers by TensorFlow 1's formulas: gradient descent, momentum, RMSProp and Adam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.control import group
from bnstudy.tf1.dtypes import float32
from bnstudy.tf1.gradients import gradients
from bnstudy.tf1.graph import Operation, Tensor, get_default_graph
from bnstudy.tf1.initializers import Initializer, ones_initializer
from bnstudy.tf1.keys import GraphKeys
from bnstudy.tf1.run import Run
from bnstudy.tf1.slots import slot
from bnstudy.tf1.variables import Variable, trainable_variables

Pairs = Sequence[tuple[Any, Variable]]


class Optimizer:
    """Computes gradients and applies them; subclasses say how one variable changes."""

    GATE_NONE, GATE_OP, GATE_GRAPH = 0, 1, 2

    def __init__(self, learning_rate: Any, name: str) -> None:
        self.learning_rate = learning_rate
        self.name = name
        self._slots: dict[str, dict[Variable, Variable]] = {}

    def minimize(
        self,
        loss: Tensor,
        global_step: Variable | None = None,
        var_list: Sequence[Variable] | None = None,
        gate_gradients: int = GATE_OP,
        aggregation_method: Any = None,
        colocate_gradients_with_ops: bool = False,
        name: str | None = None,
        grad_loss: Any = None,
    ) -> Operation:
        """Return the operation of one step; raises ``ValueError`` if no variable has a gradient.

        ``gate_gradients``, ``aggregation_method`` and ``colocate_gradients_with_ops`` are accepted and
        ignored.
        """
        del gate_gradients, aggregation_method, colocate_gradients_with_ops
        pairs = self.compute_gradients(loss, var_list, grad_loss=grad_loss)
        return self.apply_gradients(pairs, global_step, name)

    def compute_gradients(
        self,
        loss: Tensor,
        var_list: Sequence[Variable] | None = None,
        gate_gradients: int = GATE_OP,
        aggregation_method: Any = None,
        colocate_gradients_with_ops: bool = False,
        grad_loss: Any = None,
    ) -> list[tuple[Tensor | None, Variable]]:
        """Return pairs of gradient and variable, by default for all trainable ones."""
        del gate_gradients, aggregation_method, colocate_gradients_with_ops
        variables = trainable_variables() if var_list is None else list(var_list)
        if not variables:
            raise ValueError("No variables to optimize.")
        weights = None if grad_loss is None else [grad_loss]
        return list(zip(gradients(loss, variables, weights), variables, strict=True))

    def apply_gradients(
        self, grads_and_vars: Pairs, global_step: Variable | None = None, name: str | None = None
    ) -> Operation:
        """Return the operation that applies the gradients, then counts ``global_step`` up."""
        given = list(grads_and_vars)
        pairs = [(convert_to_tensor(g), v) for g, v in given if g is not None]
        if not pairs:
            raise ValueError(f"No gradients provided for any variable: {[v.name for _, v in given]}.")
        graph = get_default_graph()
        self._create_slots([v for _, v in pairs])
        with graph.name_scope(name or self.name) as scope:
            rate = convert_to_tensor(self.learning_rate, name="learning_rate")
            # All gradients first: an update must not be seen by the gradient of another variable.
            with graph.control_dependencies([g for g, _ in pairs]):
                updates = [self._update(g, v, rate) for g, v in pairs]
            finished = self._finish(updates, scope if global_step is None else "update")
            if global_step is not None:
                with graph.control_dependencies([finished]):
                    finished = global_step.assign_add(1, name=scope).op
        graph.add_to_collection(GraphKeys.TRAIN_OP, finished)
        return finished

    def get_slot(self, var: Variable, name: str) -> Variable | None:
        """Return what is remembered of ``var`` under ``name``, or None."""
        return self._slots.get(name, {}).get(var)

    def get_slot_names(self) -> list[str]:
        """Return the names of what is remembered of variables."""
        return sorted(self._slots)

    def get_name(self) -> str:
        """Return the optimizer's name."""
        return self.name

    def _slot(self, variable: Variable, name: str, initial: Initializer | None = None) -> Variable:
        held = self._slots.setdefault(name, {})
        if variable not in held:
            held[variable] = slot(variable, initial, self.name)
        return held[variable]

    def _create_slots(self, variables: Sequence[Variable]) -> None:
        pass

    def _update(self, gradient: Tensor, variable: Variable, rate: Tensor) -> Tensor:
        inputs = [gradient, rate]

        def compute(run: Run, g: torch.Tensor, lr: torch.Tensor) -> torch.Tensor:
            return variable.store(run, self._changed(run, variable, g, lr.to(g.dtype)))

        op = get_default_graph().add(
            f"update_{variable.op.name}/Apply", inputs, compute, [(variable.dtype, variable.shape)]
        )
        op.differentiable = False
        op.role, op.writes = "optimizer", (variable.snapshot,)
        return op.outputs[0]

    def _changed(self, run: Run, variable: Variable, g: torch.Tensor, lr: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def _finish(self, updates: Sequence[Tensor], name: str) -> Operation:
        return group(*updates, name=name)


class GradientDescentOptimizer(Optimizer):
    """``variable -= learning_rate * gradient``."""

    def __init__(self, learning_rate: Any, use_locking: bool = False, name: str = "GradientDescent") -> None:
        del use_locking
        super().__init__(learning_rate, name)

    def _changed(self, run: Run, variable: Variable, g: torch.Tensor, lr: torch.Tensor) -> torch.Tensor:
        return variable.stored(run) - lr * g


class MomentumOptimizer(Optimizer):
    """``a = momentum * a + gradient; variable -= learning_rate * a``; Nesterov's looks one step ahead.

    Source: ``tf.train.MomentumOptimizer``.
    """

    def __init__(
        self,
        learning_rate: Any,
        momentum: Any,
        use_locking: bool = False,
        name: str = "Momentum",
        use_nesterov: bool = False,
    ) -> None:
        del use_locking
        super().__init__(learning_rate, name)
        self.momentum, self.use_nesterov = momentum, use_nesterov

    def _create_slots(self, variables: Sequence[Variable]) -> None:
        for variable in variables:
            self._slot(variable, "momentum")

    def _update(self, gradient: Tensor, variable: Variable, rate: Tensor) -> Tensor:
        accumulated = self._slot(variable, "momentum")
        momentum = convert_to_tensor(self.momentum, name="momentum")

        def compute(run: Run, g: torch.Tensor, lr: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
            lr, m = lr.to(g.dtype), m.to(g.dtype)
            a = accumulated.store(run, accumulated.stored(run) * m + g)
            step = lr * g + lr * m * a if self.use_nesterov else lr * a
            return variable.store(run, variable.stored(run) - step)

        graph = get_default_graph()
        kind = [(variable.dtype, variable.shape)]
        op = graph.add(f"update_{variable.op.name}/Apply", [gradient, rate, momentum], compute, kind)
        op.differentiable = False
        op.role, op.writes = "optimizer", (variable.snapshot,)
        return op.outputs[0]


class RMSPropOptimizer(Optimizer):
    """Gradients over the root of their squares' average, which starts at 1.

    ``s = decay * s + (1 - decay) * g^2; m = momentum * m + learning_rate * g / sqrt(s + epsilon); variable
    -= m``; ``centered`` takes the square of the gradients' average off ``s``.

    Source: ``tf.train.RMSPropOptimizer``.
    """

    def __init__(
        self,
        learning_rate: Any,
        decay: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-10,
        use_locking: bool = False,
        centered: bool = False,
        name: str = "RMSProp",
    ) -> None:
        del use_locking
        super().__init__(learning_rate, name)
        self.decay, self.momentum, self.epsilon, self.centered = decay, momentum, epsilon, centered

    def _create_slots(self, variables: Sequence[Variable]) -> None:
        for variable in variables:
            self._slot(variable, "rms", ones_initializer(variable.dtype))
            if self.centered:
                self._slot(variable, "mg")
            self._slot(variable, "momentum")

    def _changed(self, run: Run, variable: Variable, g: torch.Tensor, lr: torch.Tensor) -> torch.Tensor:
        rms, moment = self._slots["rms"][variable], self._slots["momentum"][variable]
        spread = rms.store(run, rms.stored(run) + (g * g - rms.stored(run)) * (1.0 - self.decay))
        if self.centered:
            mean = self._slots["mg"][variable]
            spread = (
                spread
                - mean.store(run, mean.stored(run) + (g - mean.stored(run)) * (1.0 - self.decay)).square()
            )
        step = moment.store(
            run, moment.stored(run) * self.momentum + lr * g * (spread + self.epsilon).rsqrt()
        )
        return variable.stored(run) - step


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
        self._powers: list[Variable] = []

    def _create_slots(self, variables: Sequence[Variable]) -> None:
        if not self._powers:
            self._powers = [
                Variable(b, trainable=False, name=f"beta{i}_power", dtype=float32)
                for i, b in ((1, self.beta1), (2, self.beta2))
            ]
        for variable in variables:
            self._slot(variable, "m")
            self._slot(variable, "v")

    def _changed(self, run: Run, variable: Variable, g: torch.Tensor, lr: torch.Tensor) -> torch.Tensor:
        first, second = self._slots["m"][variable], self._slots["v"][variable]
        p1, p2 = (power.stored(run) for power in self._powers)
        m = first.store(run, torch.lerp(first.stored(run), g, 1.0 - self.beta1))
        v = second.store(run, torch.lerp(second.stored(run), g.square(), 1.0 - self.beta2))
        scaled = lr * (1.0 - p2).sqrt() / (1.0 - p1)
        return variable.stored(run) - scaled * m / (v.sqrt() + self.epsilon)

    def _finish(self, updates: Sequence[Tensor], name: str) -> Operation:
        def count(power: Variable, beta: float) -> Tensor:
            def compute(run: Run) -> torch.Tensor:
                return power.store(run, power.stored(run) * beta)

            return graph.add("power", [], compute, [(power.dtype, power.shape)]).outputs[0]

        graph = get_default_graph()
        with graph.control_dependencies(updates):
            betas = zip(self._powers, (self.beta1, self.beta2), strict=True)
            counted = [count(power, beta) for power, beta in betas]
        return group(*updates, *counted, name=name)
