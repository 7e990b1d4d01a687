"""Branches, groups and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.dtypes import boolean
from bnstudy.tf1.graph import Operation, Tensor, as_operation, get_default_graph
from bnstudy.tf1.session import Gradients, Run
from bnstudy.tf1.shapes import TensorShape
from bnstudy.tf1.variables import Variable


class Cond(Operation):
    """Evaluates one of two branches; its inputs are the predicate, then both branches' outputs."""

    def _branch(self, run: Run) -> list[Tensor]:
        count = (len(self.inputs) - 1) // 2
        taken = bool(run.value(self.inputs[0]))
        return self.inputs[1 : 1 + count] if taken else self.inputs[1 + count :]

    def requires(self, run: Run) -> list[Operation]:
        """Return the predicate first, and once it is known the branch it selects."""
        needed = [*self.control_inputs, self.inputs[0].op]
        if self.inputs[0].op in run.values:
            needed.extend(t.op for t in self._branch(run))
        return needed

    def execute(self, run: Run) -> tuple[torch.Tensor, ...]:
        """Return the outputs of the branch taken."""
        return tuple(run.value(t) for t in self._branch(run))


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any], name: str = "cond") -> Any:
    """Return what ``true_fn`` or ``false_fn`` returns, by the value of ``pred`` in the session.

    Both build their operations; only the branch taken runs those it created. Raises ``TypeError``
    for a predicate that is not boolean and ``ValueError`` for one that is not a scalar.

    Source: ``tf.cond``.
    """
    if isinstance(pred, bool):
        raise TypeError("pred must not be a Python bool")
    flag = convert_to_tensor(pred)
    if flag.dtype is not boolean:
        raise TypeError(
            f"Input 'pred' of 'Switch' Op has type {flag.dtype.name} that does not match expected type "
            "of bool."
        )
    if flag.shape.ndims not in (None, 0):
        raise ValueError(f"Shape must be rank 0 but is rank {flag.shape.ndims} for '{name}/Switch'")
    with get_default_graph().name_scope(name):
        branches = [true_fn(), false_fn()]
    several = isinstance(branches[0], (tuple, list))
    outputs = [[convert_to_tensor(t) for t in (b if several else [b])] for b in branches]
    if [t.dtype for t in outputs[0]] != [t.dtype for t in outputs[1]]:
        raise TypeError("true_fn and false_fn must return the same types")
    kinds = []
    for one, other in zip(*outputs, strict=True):
        same = one.shape if one.shape == other.shape else TensorShape(None)
        kinds.append((one.dtype, same))
    op = get_default_graph().add(
        f"{name}/Merge", [flag, *outputs[0], *outputs[1]], lambda run: None, kinds, kind=Cond
    )
    return tuple(op.outputs) if several else op.outputs[0]


def group(*inputs: Any, name: str = "group_deps") -> Operation:
    """Return an operation that runs all ``inputs``."""
    graph = get_default_graph()
    with graph.control_dependencies(inputs):
        return graph.add(name, [], lambda run: None, [])


def no_op(name: str = "NoOp") -> Operation:
    """Return an operation that does nothing but its control dependencies."""
    return get_default_graph().add(name, [], lambda run: None, [])


def gradients(ys: Any, xs: Any, name: str = "gradients") -> list[Tensor | None]:
    """Return the derivative of the sum of ``ys`` by each of ``xs``, or None where there is no path.

    First derivatives only: the results are constants for further gradients.

    Source: ``tf.gradients``.
    """
    targets = [convert_to_tensor(y) for y in (ys if isinstance(ys, (list, tuple)) else [ys])]
    sources = [convert_to_tensor(x) for x in (xs if isinstance(xs, (list, tuple)) else [xs])]
    reached = _ancestors([t.op for t in targets])
    wanted = [s for s in sources if s.op in reached]
    if not wanted:
        return [None] * len(sources)

    def compute(run: Run, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = [v for v in values[: len(targets)] if v.requires_grad]
        inputs = [run.value(s) for s in wanted]
        if not outputs:
            return tuple(torch.zeros_like(v) for v in inputs)
        found = torch.autograd.grad(
            outputs, inputs, [torch.ones_like(o) for o in outputs], retain_graph=True, allow_unused=True
        )
        # A path in the graph whose value does not depend on the input: TensorFlow's gradient is 0 there.
        return tuple(torch.zeros_like(v) if g is None else g for g, v in zip(found, inputs, strict=True))

    op = get_default_graph().add(
        name, [*targets, *wanted], compute, [(s.dtype, s.shape) for s in wanted], kind=Gradients
    )
    assert isinstance(op, Gradients)
    op.sources = wanted
    by_source = dict(zip(wanted, op.outputs, strict=True))
    return [by_source.get(s) for s in sources]


def constant_value(value: Any) -> Any:
    """Return the Python value of a flag where it is known before the session runs, else None.

    Raises ``ValueError`` for None.

    Source: ``tensorflow.contrib.layers.python.layers.utils.constant_value``.
    """
    if value is None:
        raise ValueError("value_or_tensor_or_var cannot be None")
    if isinstance(value, Variable):
        return None
    if isinstance(value, Tensor):
        return None if value.op.constant is None else value.op.constant.numpy()[()]
    return value


def smart_cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """Call one of the functions if ``pred`` is known, else build a ``cond``."""
    known = constant_value(pred)
    if known is None:
        return cond(pred, true_fn, false_fn)
    return true_fn() if known else false_fn()


def _ancestors(ops: Sequence[Operation]) -> set[Operation]:
    seen: set[Operation] = set()
    stack = [as_operation(op) for op in ops]
    while stack:
        op = stack.pop()
        if op not in seen:
            seen.add(op)
            stack.extend(t.op for t in op.inputs)
    return seen
