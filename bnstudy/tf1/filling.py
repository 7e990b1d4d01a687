"""Tensors of given values, and choices between tensors by flags or classes."""

from __future__ import annotations

from typing import Any

import torch

from bnstudy.tf1.constants import constant, convert_to_tensor
from bnstudy.tf1.dtypes import as_dtype, float32
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.infer import make
from bnstudy.tf1.joining import same_type
from bnstudy.tf1.shapes import TensorShape
from bnstudy.tf1.shaping import known_sizes


def zeros(shape: Any, dtype: Any = float32, name: str | None = None) -> Tensor:
    """Return a tensor of zeros; ``shape`` is a list of sizes or a tensor of them."""
    return _filled(name or "zeros", shape, dtype, 0)


def ones(shape: Any, dtype: Any = float32, name: str | None = None) -> Tensor:
    """Return a tensor of ones; ``shape`` is a list of sizes or a tensor of them."""
    return _filled(name or "ones", shape, dtype, 1)


def fill(dims: Any, value: Any, name: str | None = None) -> Tensor:
    """Return a tensor filled with the number ``value``."""
    kind = as_dtype(convert_to_tensor(value).dtype)
    return _filled(name or "Fill", dims, kind, value)


def zeros_like(tensor: Any, dtype: Any = None, name: str | None = None, optimize: bool = True) -> Tensor:
    """Return zeros in the shape of ``tensor``."""
    del optimize
    return _like(name or "zeros_like", tensor, dtype, torch.zeros_like)


def ones_like(tensor: Any, dtype: Any = None, name: str | None = None, optimize: bool = True) -> Tensor:
    """Return ones in the shape of ``tensor``."""
    del optimize
    return _like(name or "ones_like", tensor, dtype, torch.ones_like)


def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Tensor:
    """Return ``x`` where ``condition`` holds, else ``y``, all of one shape.

    ``condition`` may be a vector that picks rows. Raises ``ValueError`` without ``x`` and ``y``.
    """
    if x is None or y is None:
        raise ValueError("where() without x and y, which lists indices, is not covered here")
    flag, one, other = convert_to_tensor(condition), convert_to_tensor(x), convert_to_tensor(y)
    same_type("where", [one, other])

    def compute(c: torch.Tensor, v: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        if c.dim() == 1 and v.dim() > 1:
            c = c.reshape(-1, *[1] * (v.dim() - 1))
        return torch.where(c, v, w)

    result: Tensor = make(
        name, "Select", compute, flag, one, other, static=[(one.dtype, one.shape.merge_with(other.shape))]
    )
    return result


def one_hot(
    indices: Any,
    depth: int,
    on_value: Any = 1.0,
    off_value: Any = 0.0,
    axis: int = -1,
    dtype: Any = float32,
    name: str | None = None,
) -> Tensor:
    """Return ``on_value`` at each index along a new last axis of size ``depth``; others get ``off_value``."""
    if axis != -1:
        raise ValueError(f"axis is {axis}; allowed here: -1")
    kind = as_dtype(dtype)

    def compute(v: torch.Tensor) -> torch.Tensor:
        hot = v.unsqueeze(-1) == torch.arange(depth, device=v.device)
        on, off = (torch.as_tensor(t, dtype=kind.torch, device=v.device) for t in (on_value, off_value))
        return torch.where(hot, on, off)

    source = convert_to_tensor(indices)
    static = [(kind, source.shape.concatenate([depth]))]
    result: Tensor = make(name, "one_hot", compute, source, static=static)
    result.op.differentiable = False
    return result


def _filled(name: str, shape: Any, dtype: Any, value: Any) -> Tensor:
    kind = as_dtype(dtype)
    sizes, dynamic = known_sizes(shape)
    if dynamic is None:
        return constant(value, kind, [int(s or 0) for s in sizes or []], name=name)

    def compute(run: Any, s: torch.Tensor) -> torch.Tensor:
        return torch.full(s.tolist(), value, dtype=kind.torch, device=run.session.device)

    op = get_default_graph().add(name, [dynamic], compute, [(kind, TensorShape(sizes))])
    op.differentiable = False
    return op.outputs[0]


def _like(name: str, tensor: Any, dtype: Any, function: Any) -> Tensor:
    source = convert_to_tensor(tensor)
    kind = source.dtype if dtype is None else as_dtype(dtype)
    result: Tensor = make(
        name, name, lambda v: function(v, dtype=kind.torch), source, static=[(kind, source.shape)]
    )
    result.op.differentiable = False
    return result
