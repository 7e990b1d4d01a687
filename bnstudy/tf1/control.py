"""Branches and groups: what runs, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.dtypes import boolean
from bnstudy.tf1.graph import Operation, Tensor, get_default_graph
from bnstudy.tf1.run import Run
from bnstudy.tf1.shapes import TensorShape
from bnstudy.tf1.variables import Variable


class _Merge(Operation):
    """Gives the outputs of one branch; its inputs are the predicate, then both branches' outputs."""

    merges = True


def cond(
    pred: Any,
    true_fn: Callable[[], Any] | None = None,
    false_fn: Callable[[], Any] | None = None,
    strict: bool = False,
    name: str | None = None,
    fn1: Callable[[], Any] | None = None,
    fn2: Callable[[], Any] | None = None,
) -> Any:
    """Return what ``true_fn`` or ``false_fn`` returns, by the value of ``pred`` in the session.

    Both build their operations. Those that a function creates run only if it is taken, and can't be
    fetched. What they use from outside runs *whichever branch is taken*: an update that is built outside of
    both functions isn't conditional. The functions return tensors, operations, or equal structures of these
    (tuple, list, dict); an operation comes back as a Boolean tensor. ``fn1`` and ``fn2`` are earlier names.

    Raises ``TypeError`` for a predicate that is not boolean, and ``ValueError`` for one that is not a
    scalar and for functions whose results differ in structure or type.

    Source: ``tf.cond``.
    """
    true_fn, false_fn = true_fn or fn1, false_fn or fn2
    if true_fn is None or false_fn is None:
        raise TypeError("cond(): both true_fn and false_fn are required")
    if isinstance(pred, bool):
        raise TypeError("'pred' must not be a Python bool.")
    flag = convert_to_tensor(pred)
    if flag.dtype is not boolean:
        raise TypeError(
            f"Input 'pred' of 'Switch' Op has type {flag.dtype.name} that does not match expected type of "
            "bool."
        )
    if flag.shape.ndims not in (None, 0):
        raise ValueError(f"Shape must be rank 0 but is rank {flag.shape.ndims} for '{name or 'cond'}/Switch'")
    graph = get_default_graph()
    with graph.name_scope(name or "cond"):
        graph.unique_name("Switch")
        pivots = [_pivot(flag, side) for side in (True, False)]
        graph.unique_name("pred_id")
        results, leaves = [], []
        for pivot, function, role in zip(pivots, (true_fn, false_fn), ("true_fn", "false_fn"), strict=True):
            with graph.inside(pivot):
                result = function()
                if result is None:
                    raise ValueError(f"'{role}' must have a return value.")
                found: list[Tensor] = []
                results.append(_structure(result, found, pivot))
                leaves.append(found)
        if results[0] != results[1]:
            raise ValueError(
                "true_fn and false_fn don't return the same nested structure: "
                f"{_described(results[0])} and {_described(results[1])}"
            )
        for one, other in zip(*leaves, strict=True):
            if one.dtype is not other.dtype:
                raise ValueError(
                    "Outputs of 'true_fn' and 'false_fn' must have the same type(s). Received "
                    f"{one.dtype.name} from 'true_fn' and {other.dtype.name} from 'false_fn'."
                )
        merged = [_merge(flag, one, other) for one, other in zip(*leaves, strict=True)]
    filled = _filled(results[0], iter(merged))
    # A list or tuple of one comes back bare, unless TensorFlow is asked to be strict.
    bare = not strict and isinstance(filled, (list, tuple)) and len(filled) == 1
    return filled[0] if bare else filled


def group(*inputs: Any, name: str | None = None) -> Operation:
    """Return an operation that runs all ``inputs``, which may be lists of operations."""
    listed: list[Any] = []
    for given in inputs:
        listed.extend(given if isinstance(given, (list, tuple)) else [given])
    graph = get_default_graph()
    with graph.control_dependencies(listed):
        return graph.add(name or "group_deps", [], lambda run: None, [])


def tuple_(tensors: Sequence[Any], name: str | None = None) -> list[Any]:
    """Return ``tensors``, none of which has a value before all of them have."""
    graph = get_default_graph()
    with graph.name_scope(name or "tuple"), graph.control_dependencies([t for t in tensors if t is not None]):
        return [None if t is None else _passed(convert_to_tensor(t), "control_dependency") for t in tensors]


def with_dependencies(dependencies: Sequence[Any], output_tensor: Any, name: str | None = None) -> Tensor:
    """Return ``output_tensor``, after ``dependencies``."""
    with get_default_graph().control_dependencies(dependencies):
        return _passed(convert_to_tensor(output_tensor), name or "control_dependency")


def no_op(name: str | None = None) -> Operation:
    """Return an operation that does nothing but its control dependencies."""
    return get_default_graph().add(name or "NoOp", [], lambda run: None, [])


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


def smart_cond(
    pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any], name: str | None = None
) -> Any:
    """Call one of the functions if ``pred`` is known, else build a ``cond``."""
    known = constant_value(pred)
    if known is None:
        return cond(pred, true_fn, false_fn, name=name)
    return true_fn() if known else false_fn()


def _pivot(flag: Tensor, side: bool) -> Operation:
    def compute(run: Run, value: torch.Tensor) -> Any:
        return value if bool(value) is side else run.kill(op)

    op = get_default_graph().add(
        f"switch_{'t' if side else 'f'}", [flag], compute, [(boolean, TensorShape([]))]
    )
    return op


def _structure(result: Any, into: list[Tensor], pivot: Operation) -> Any:
    """Put the tensors of ``result`` into a list; return its shape, with None for each of them."""
    if isinstance(result, Mapping):
        return {key: _structure(result[key], into, pivot) for key in sorted(result)}
    if isinstance(result, (list, tuple)):
        return type(result)([_structure(item, into, pivot) for item in result])
    if isinstance(result, Operation):
        into.append(with_dependencies([result], pivot.outputs[0]))
    else:
        into.append(convert_to_tensor(result))
    return None


def _filled(structure: Any, values: Any) -> Any:
    if isinstance(structure, Mapping):
        return {key: _filled(item, values) for key, item in structure.items()}
    if isinstance(structure, (list, tuple)):
        return type(structure)([_filled(item, values) for item in structure])
    return next(values)


def _described(structure: Any) -> str:
    return "a tensor" if structure is None else str(structure).replace("None", "tensor")


def _merge(flag: Tensor, one: Tensor, other: Tensor) -> Tensor:
    def compute(run: Run) -> torch.Tensor:
        return run.value(one if bool(run.value(flag)) else other, op)

    inputs = [flag, one, other]
    kinds = [(one.dtype, one.shape.common(other.shape))]
    op = get_default_graph().add("Merge", inputs, compute, kinds, kind=_Merge)
    return op.outputs[0]


def _passed(tensor: Tensor, name: str) -> Tensor:
    return (
        get_default_graph().add(name, [tensor], lambda run, v: v, [(tensor.dtype, tensor.shape)]).outputs[0]
    )
