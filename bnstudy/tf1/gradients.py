"""``tf.gradients``: derivatives as operations of the graph, of any order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.run import Gradients, Run


def gradients(
    ys: Any,
    xs: Any,
    grad_ys: Any = None,
    name: str = "gradients",
    colocate_gradients_with_ops: bool = False,
    gate_gradients: bool = False,
    aggregation_method: Any = None,
) -> list[Tensor | None]:
    """Return the derivative of the sum of ``ys`` by each of ``xs``, or None where there is no path.

    ``grad_ys`` weights the ``ys``. The results can be differentiated again; where PyTorch has no second
    derivative of an operation, running it raises ``RuntimeError``. The last three arguments are accepted
    and ignored.

    Source: ``tf.gradients``.
    """
    del colocate_gradients_with_ops, gate_gradients, aggregation_method
    targets = [convert_to_tensor(y) for y in _listed(ys)]
    sources = [convert_to_tensor(x) for x in _listed(xs)]
    weights = (
        [None if w is None else convert_to_tensor(w) for w in _listed(grad_ys)] if grad_ys is not None else []
    )
    if weights and len(weights) != len(targets):
        raise ValueError(f"Passed {len(weights)} grad_ys for {len(targets)} ys")
    reached = _reached(targets)
    wanted = list(dict.fromkeys(s for s in sources if s in reached))
    graph = get_default_graph()
    if not wanted:
        return [None] * len(sources)
    given = [w for w in weights if w is not None]

    def compute(run: Run, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        inputs = [run.value(s) for s in wanted]
        scales = [None if w is None else run.value(w) for w in weights] or [None] * len(targets)
        pairs = [
            (v, torch.ones_like(v) if w is None else w)
            for v, w in zip(values[: len(targets)], scales, strict=True)
            if v.requires_grad
        ]
        if not pairs:
            return tuple(torch.zeros_like(v) for v in inputs)
        found = torch.autograd.grad(
            [v for v, _ in pairs],
            inputs,
            [w for _, w in pairs],
            retain_graph=run.plan.shares_forward,
            create_graph=op in run.plan.higher,
            allow_unused=True,
        )
        # A path in the graph whose value does not depend on the input: TensorFlow's gradient is 0 there.
        return tuple(torch.zeros_like(v) if g is None else g for g, v in zip(found, inputs, strict=True))

    op = graph.add(
        name, [*targets, *wanted, *given], compute, [(s.dtype, s.shape) for s in wanted], kind=Gradients
    )
    assert isinstance(op, Gradients)
    op.sources, op.targets = wanted, targets
    by_source = dict(zip(wanted, op.outputs, strict=True))
    return [by_source.get(s) for s in sources]


def _listed(values: Any) -> list[Any]:
    return list(values) if isinstance(values, (list, tuple)) else [values]


def _reached(targets: Sequence[Tensor]) -> set[Tensor]:
    """Return the tensors that a derivative of ``targets`` looks at."""
    seen: set[Tensor] = set()
    stack = list(targets)
    while stack:
        tensor = stack.pop()
        if tensor in seen or not tensor.dtype.is_floating:
            continue
        seen.add(tensor)
        if tensor.op.differentiable:
            stack.extend(tensor.op.inputs)
    return seen
