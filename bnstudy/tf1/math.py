"""Arithmetic and comparisons, element by element, with TensorFlow's names and type rules."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

import torch

from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.dtypes import as_dtype, boolean, float64
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.infer import make
from bnstudy.tf1.operators import MEANING
from bnstudy.tf1.shapes import broadcast

Function = Callable[..., Any]


def binary(name: str, function: Function, x: Any, y: Any, *, compares: bool = False) -> Tensor:
    """Apply ``function`` to two tensors; a plain number takes the type of the other.

    The shapes broadcast. Raises ``TypeError`` for tensors of different types, which TensorFlow never
    converts, and ``ValueError`` for shapes that do not fit.
    """
    graph = get_default_graph()
    graph_x, graph_y = _in_graph(x), _in_graph(y)
    with graph.name_scope(name) as scope:
        kind = convert_to_tensor(y).dtype if graph_y and not graph_x else None
        a = convert_to_tensor(x, kind, name="x")
        b = convert_to_tensor(y, None if graph_y else a.dtype, name="y")
    if a.dtype is not b.dtype:
        raise TypeError(
            f"Input 'y' of '{_TYPES.get(name, name)}' Op has type {b.dtype.name} that does not match type "
            f"{a.dtype.name} of argument 'x'."
        )
    static = [(boolean if compares else a.dtype, broadcast(a.shape, b.shape))]
    return graph.add(scope, [a, b], lambda run, v, w: function(v, w), static).outputs[0]


# What TensorFlow's messages call an operation whose name is that of Python's operator.
_TYPES = {"add": "AddV2", "Add": "AddV2", "sub": "Sub", "mul": "Mul", "truediv": "RealDiv", "pow": "Pow"}


def unary(name: str, function: Function, x: Any, *, differentiable: bool = True) -> Tensor:
    """Apply ``function``, which keeps shape and type, to one tensor."""
    source = convert_to_tensor(x, name="x")
    result: Tensor = make(None, name, function, source, static=[(source.dtype, source.shape)])
    result.op.differentiable = differentiable
    return result


def add(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return ``x + y``."""
    return binary(name or "Add", torch.add, x, y)


def subtract(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return ``x - y``."""
    return binary(name or "Sub", torch.sub, x, y)


def multiply(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return ``x * y``."""
    return binary(name or "Mul", torch.mul, x, y)


def pow(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return ``x ** y``."""
    return binary(name or "Pow", torch.pow, x, y)


def floordiv(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return ``x // y``, rounded down."""
    return binary(name or "floordiv", torch.floor_divide, x, y)


def mod(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return ``x % y``, with the sign of ``y``."""
    return binary(name or "FloorMod", torch.remainder, x, y)


def minimum(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return the smaller, element by element."""
    return binary(name or "Minimum", torch.minimum, x, y)


def maximum(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return the larger, element by element."""
    return binary(name or "Maximum", torch.maximum, x, y)


def squared_difference(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return ``(x - y)^2``."""
    return binary(name or "SquaredDifference", _squared_difference, x, y)


def equal(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return whether elements are equal (``==`` compares identity, as in TensorFlow 1)."""
    return binary(name or "Equal", torch.eq, x, y, compares=True)


def not_equal(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return whether elements differ."""
    return binary(name or "NotEqual", torch.ne, x, y, compares=True)


def less(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return whether ``x < y``."""
    return binary(name or "Less", torch.lt, x, y, compares=True)


def less_equal(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return whether ``x <= y``."""
    return binary(name or "LessEqual", torch.le, x, y, compares=True)


def greater(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return whether ``x > y``."""
    return binary(name or "Greater", torch.gt, x, y, compares=True)


def greater_equal(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return whether ``x >= y``."""
    return binary(name or "GreaterEqual", torch.ge, x, y, compares=True)


def logical_and(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return whether both hold."""
    return binary(name or "LogicalAnd", torch.logical_and, x, y, compares=True)


def logical_or(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return whether one of both holds."""
    return binary(name or "LogicalOr", torch.logical_or, x, y, compares=True)


def divide(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return ``x / y``; integers divide to float64."""
    return _divided(name or "truediv", x, y)


truediv = divide


def div(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return ``x / y``; integers divide to integers, rounded down, as in Python 2."""
    whole = convert_to_tensor(x).dtype.is_integer if _in_graph(x) else _in_graph(y) and y.dtype.is_integer
    return binary(name or "div", torch.floor_divide, x, y) if whole else _divided(name or "div", x, y)


def matmul(
    a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, name: str | None = None
) -> Tensor:
    """Return the matrix product, of ``a`` or ``b`` transposed if asked for."""

    def product(v: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return torch.matmul(v.mT if transpose_a else v, w.mT if transpose_b else w)

    left, right = convert_to_tensor(a, name="a"), convert_to_tensor(b, name="b")
    if left.dtype is not right.dtype:
        raise TypeError(
            f"Input 'b' of 'MatMul' Op has type {right.dtype.name} that does not match type "
            f"{left.dtype.name} of "
            "argument 'a'."
        )
    result: Tensor = make(name, "MatMul", product, left, right)
    return result


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


def rsqrt(x: Any, name: str | None = None) -> Tensor:
    """Return one over the square root."""
    return unary(name or "Rsqrt", torch.rsqrt, x)


def abs(x: Any, name: str | None = None) -> Tensor:
    """Return the absolute value."""
    return unary(name or "Abs", torch.abs, x)


def sign(x: Any, name: str | None = None) -> Tensor:
    """Return -1, 0 or 1."""
    return unary(name or "Sign", torch.sign, x)


def exp(x: Any, name: str | None = None) -> Tensor:
    """Return e to the power of ``x``."""
    return unary(name or "Exp", torch.exp, x)


def log(x: Any, name: str | None = None) -> Tensor:
    """Return the natural logarithm."""
    return unary(name or "Log", torch.log, x)


def tanh(x: Any, name: str | None = None) -> Tensor:
    """Return the hyperbolic tangent."""
    return unary(name or "Tanh", torch.tanh, x)


def sigmoid(x: Any, name: str | None = None) -> Tensor:
    """Return ``1 / (1 + exp(-x))``."""
    return unary(name or "Sigmoid", torch.sigmoid, x)


def identity(x: Any, name: str | None = None) -> Tensor:
    """Return ``x``, after the control dependencies around this call."""
    return unary(name or "Identity", lambda v: v, x)


def stop_gradient(x: Any, name: str | None = None) -> Tensor:
    """Return ``x`` as a constant for gradients."""
    return unary(name or "StopGradient", torch.Tensor.detach, x, differentiable=False)


def cast(x: Any, dtype: Any, name: str | None = None) -> Tensor:
    """Return ``x`` in another type; ``x`` itself if it has that type."""
    source, kind = convert_to_tensor(x), as_dtype(dtype)
    if source.dtype is kind:
        return source
    result: Tensor = make(name, "Cast", lambda v: v.to(kind.torch), source, static=[(kind, source.shape)])
    return result


def to_float(x: Any, name: str = "ToFloat") -> Tensor:
    """Return ``x`` in float32."""
    return cast(x, "float32", name)


def to_int32(x: Any, name: str = "ToInt32") -> Tensor:
    """Return ``x`` in int32."""
    return cast(x, "int32", name)


def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Tensor:
    """Return ``t`` where it is between both bounds, else the nearer of them; the gradient is 0 there."""
    graph = get_default_graph()
    with graph.name_scope(name or "clip_by_value") as scope:
        below = minimum(t, clip_value_max)
        lowest = convert_to_tensor(clip_value_min, below.dtype, name="y")
    return binary(scope, torch.maximum, below, lowest)


def add_n(inputs: Sequence[Any], name: str | None = None) -> Tensor:
    """Return the sum of the listed tensors."""
    if not inputs:
        raise ValueError("inputs must be a list of at least one Tensor with the same dtype and shape")
    values = [convert_to_tensor(i) for i in inputs]
    if len(values) == 1:
        return identity(values[0], name) if name else values[0]
    result: Tensor = make(name, "AddN", lambda *v: builtins.sum(v[1:], start=v[0]), *values)
    return result


def _divided(name: str, x: Any, y: Any) -> Tensor:
    graph = get_default_graph()
    known = convert_to_tensor(x if _in_graph(x) or not _in_graph(y) else y)
    if known.dtype.is_floating:
        return binary(name, torch.true_divide, x, y)
    with graph.name_scope(name) as scope:
        return binary(scope, torch.true_divide, cast(x, float64), cast(y, float64))


def _squared_difference(v: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return (v - w).square()


def _in_graph(value: Any) -> bool:
    return isinstance(value, Tensor) or hasattr(value, "snapshot")


def _operator(name: str, function: Function, **options: Any) -> Function:
    return lambda x, y: binary(name, function, x, y, **options)


MEANING.update(
    {
        "add": _operator("add", torch.add),
        "sub": _operator("sub", torch.sub),
        "mul": _operator("mul", torch.mul),
        "truediv": divide,
        "floordiv": floordiv,
        "mod": _operator("mod", torch.remainder),
        "pow": _operator("pow", torch.pow),
        "matmul": lambda x, y: matmul(x, y, name="matmul"),
        "and": _operator("and", torch.logical_and, compares=True),
        "or": _operator("or", torch.logical_or, compares=True),
        "lt": less,
        "le": less_equal,
        "gt": greater,
        "ge": greater_equal,
        "neg": negative,
        "abs": abs,
        "invert": logical_not,
    }
)
