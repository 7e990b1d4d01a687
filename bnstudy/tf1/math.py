"""Arithmetic, comparisons, reductions and shapes, with TensorFlow's names and type rules."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

import torch

from bnstudy.norm.moments import reduced_axes
from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.dtypes import as_dtype, int64
from bnstudy.tf1.graph import Tensor, get_default_graph, make
from bnstudy.tf1.shapes import TensorShape
from bnstudy.tf1.variables import Variable

Function = Callable[..., Any]


def binary(name: str, function: Function, x: Any, y: Any) -> Tensor:
    """Apply ``function`` to two tensors; a plain number takes the type of the other.

    Raises ``TypeError`` for tensors of different types, which TensorFlow never converts.
    """
    graph_x, graph_y = _in_graph(x), _in_graph(y)
    a = convert_to_tensor(x, convert_to_tensor(y).dtype if graph_y and not graph_x else None)
    b = convert_to_tensor(y, a.dtype if not graph_y else None)
    if a.dtype is not b.dtype:
        raise TypeError(
            f"Input 'y' of '{name}' Op has type {b.dtype.name} that does not match type {a.dtype.name} "
            "of argument 'x'."
        )
    result: Tensor = make(None, name, function, a, b)
    return result


def unary(name: str, function: Function, x: Any) -> Tensor:
    """Apply ``function`` to one tensor."""
    result: Tensor = make(None, name, function, convert_to_tensor(x))
    return result


def add(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return ``x + y``."""
    return binary(name or "AddV2", torch.add, x, y)


def subtract(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return ``x - y``."""
    return binary(name or "Sub", torch.sub, x, y)


def multiply(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return ``x * y``."""
    return binary(name or "Mul", torch.mul, x, y)


def divide(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return ``x / y``; integers divide to floating point."""
    return binary(name or "RealDiv", torch.true_divide, x, y)


def pow(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return ``x ** y``."""
    return binary(name or "Pow", torch.pow, x, y)


def minimum(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return the smaller, element by element."""
    return binary(name or "Minimum", torch.minimum, x, y)


def maximum(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return the larger, element by element."""
    return binary(name or "Maximum", torch.maximum, x, y)


def matmul(a: Any, b: Any, name: str | None = None) -> Tensor:
    """Return the matrix product."""
    return binary(name or "MatMul", torch.matmul, a, b)


def equal(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return whether elements are equal (``==`` compares identity, as in TensorFlow 1)."""
    return binary(name or "Equal", torch.eq, x, y)


def less(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return whether ``x < y``."""
    return binary(name or "Less", torch.lt, x, y)


def greater(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return whether ``x > y``."""
    return binary(name or "Greater", torch.gt, x, y)


def logical_not(x: Any, name: str | None = None) -> Tensor:
    """Return the negation of a boolean tensor."""
    return unary(name or "LogicalNot", torch.logical_not, x)


def negative(x: Any, name: str | None = None) -> Tensor:
    """Return ``-x``."""
    return unary(name or "Neg", torch.neg, x)


def square(x: Any, name: str | None = None) -> Tensor:
    """Return ``x * x``."""
    return unary(name or "Square", torch.square, x)


def sqrt(x: Any, name: str | None = None) -> Tensor:
    """Return the square root."""
    return unary(name or "Sqrt", torch.sqrt, x)


def abs(x: Any, name: str | None = None) -> Tensor:
    """Return the absolute value."""
    return unary(name or "Abs", torch.abs, x)


def exp(x: Any, name: str | None = None) -> Tensor:
    """Return e to the power of ``x``."""
    return unary(name or "Exp", torch.exp, x)


def log(x: Any, name: str | None = None) -> Tensor:
    """Return the natural logarithm."""
    return unary(name or "Log", torch.log, x)


def tanh(x: Any, name: str | None = None) -> Tensor:
    """Return the hyperbolic tangent."""
    return unary(name or "Tanh", torch.tanh, x)


def identity(x: Any, name: str | None = None) -> Tensor:
    """Return ``x``, after the control dependencies around this call."""
    return unary(name or "Identity", lambda v: v, x)


def stop_gradient(x: Any, name: str | None = None) -> Tensor:
    """Return ``x`` as a constant for gradients."""
    return unary(name or "StopGradient", torch.Tensor.detach, x)


def cast(x: Any, dtype: Any, name: str | None = None) -> Tensor:
    """Return ``x`` in another type."""
    kind = as_dtype(dtype).torch
    return unary(name or "Cast", lambda v: v.to(kind), x)


def reshape(tensor: Any, shape: Sequence[int], name: str | None = None) -> Tensor:
    """Return ``tensor`` in another shape; -1 stands for what is left."""
    sizes = [int(s) for s in shape]
    return unary(name or "Reshape", lambda v: v.reshape(sizes), tensor)


def transpose(a: Any, perm: Sequence[int], name: str | None = None) -> Tensor:
    """Return ``a`` with its axes in the order ``perm``."""
    order = list(perm)
    return unary(name or "transpose", lambda v: v.permute(order), a)


def add_n(inputs: Sequence[Any], name: str | None = None) -> Tensor:
    """Return the sum of the listed tensors."""
    if not inputs:
        raise ValueError("inputs must be a list of at least one Tensor with the same dtype and shape")
    result: Tensor = make(
        name, "AddN", lambda *v: builtins.sum(v[1:], start=v[0]), *[convert_to_tensor(i) for i in inputs]
    )
    return result


def reduce_mean(x: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Tensor:
    """Return the mean over ``axis``, by default over all."""
    return _reduce(name or "Mean", torch.mean, x, axis, keepdims)


def reduce_sum(x: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Tensor:
    """Return the sum over ``axis``, by default over all."""
    return _reduce(name or "Sum", torch.sum, x, axis, keepdims)


def reduce_max(x: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Tensor:
    """Return the maximum over ``axis``, by default over all."""
    return _reduce(name or "Max", torch.amax, x, axis, keepdims)


def argmax(x: Any, axis: int = 0, name: str | None = None) -> Tensor:
    """Return the index of the maximum along ``axis``."""
    return unary(name or "ArgMax", lambda v: v.argmax(axis), x)


def strided_slice(x: Any, key: Any, name: str | None = None) -> Tensor:
    """Return ``x[key]``."""
    return unary(name or "strided_slice", lambda v: v[key], x)


def shape(x: Any) -> Tensor:
    """Return the sizes of the axes, as the session finds them."""
    source = convert_to_tensor(x)
    rank = source.shape.ndims
    op = get_default_graph().add(
        "Shape", [source], lambda run, v: torch.tensor(v.shape), [(int64, TensorShape([rank]))]
    )
    return op.outputs[0]


def _reduce(name: str, function: Function, x: Any, axis: Any, keepdims: bool) -> Tensor:
    source = convert_to_tensor(x)
    rank = source.shape.ndims
    if rank is None:
        raise ValueError(f"The rank of {source.name} must be known to reduce it.")
    dims = reduced_axes(axis, rank)
    if not dims:
        return identity(source)
    return unary(name, lambda v: function(v, dim=dims, keepdim=keepdims), source)


def _in_graph(value: Any) -> bool:
    return isinstance(value, (Tensor, Variable))


__all__ = [
    "abs",
    "add",
    "add_n",
    "argmax",
    "binary",
    "cast",
    "divide",
    "equal",
    "exp",
    "greater",
    "identity",
    "less",
    "log",
    "logical_not",
    "matmul",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "pow",
    "reduce_max",
    "reduce_mean",
    "reduce_sum",
    "reshape",
    "shape",
    "sqrt",
    "square",
    "stop_gradient",
    "strided_slice",
    "subtract",
    "tanh",
    "transpose",
    "unary",
]
