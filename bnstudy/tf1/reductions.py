"""Reductions over axes: means, sums, extremes, and where they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from bnstudy.norm.moments import reduced_axes
from bnstudy.tf1.constants import convert_to_tensor, static_value
from bnstudy.tf1.dtypes import as_dtype, boolean, int64
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.infer import make
from bnstudy.tf1.math import identity
from bnstudy.tf1.shapes import TensorShape, reduced


def _reduction(name: str, function: Callable[..., torch.Tensor], summary: str) -> Callable[..., Tensor]:
    def reduce(
        input_tensor: Any,
        axis: Any = None,
        keepdims: bool | None = None,
        name: str | None = None,
        reduction_indices: Any = None,
        keep_dims: bool | None = None,
    ) -> Tensor:
        kept = once("keepdims", keepdims, "keep_dims", keep_dims)
        axes = once("axis", axis, "reduction_indices", reduction_indices)
        return _reduced(name, default, function, input_tensor, axes, bool(kept))

    default = name
    reduce.__doc__ = f"""Return the {summary} over ``axis``, by default over all.

    ``reduction_indices`` and ``keep_dims`` are earlier names of ``axis`` and ``keepdims``.
    """
    return reduce


def _mean(v: torch.Tensor, **options: Any) -> torch.Tensor:
    if v.is_floating_point():
        return torch.mean(v, **options)
    # Integers stay integers, as in TensorFlow.
    total = torch.sum(v, **options)
    return total.div(v.numel() // max(total.numel(), 1), rounding_mode="trunc").to(v.dtype)


def _sum(v: torch.Tensor, **options: Any) -> torch.Tensor:
    return torch.sum(v, **options).to(v.dtype)


def _product(v: torch.Tensor, dim: list[int], keepdim: bool) -> torch.Tensor:
    for axis in sorted(dim, reverse=True):
        v = torch.prod(v, axis, keepdim=keepdim).to(v.dtype)
    return v


def _any(v: torch.Tensor, **options: Any) -> torch.Tensor:
    return torch.any(v, **options)


def _all(v: torch.Tensor, **options: Any) -> torch.Tensor:
    return torch.all(v, **options)


reduce_mean = _reduction("Mean", _mean, "mean")
reduce_sum = _reduction("Sum", _sum, "sum")
reduce_max = _reduction("Max", torch.amax, "maximum")
reduce_min = _reduction("Min", torch.amin, "minimum")
reduce_prod = _reduction("Prod", _product, "product")
reduce_any = _reduction("Any", _any, "disjunction of flags")
reduce_all = _reduction("All", _all, "conjunction of flags")


def argmax(
    input: Any,
    axis: int | None = None,
    name: str | None = None,
    dimension: int | None = None,
    output_type: Any = int64,
) -> Tensor:
    """Return the index of the first maximum along ``axis`` (earlier name: ``dimension``; default: 0)."""
    return _position(
        name, "ArgMax", torch.argmax, input, once("axis", axis, "dimension", dimension), output_type
    )


def argmin(
    input: Any,
    axis: int | None = None,
    name: str | None = None,
    dimension: int | None = None,
    output_type: Any = int64,
) -> Tensor:
    """Return the index of the first minimum along ``axis`` (earlier name: ``dimension``; default: 0)."""
    return _position(
        name, "ArgMin", torch.argmin, input, once("axis", axis, "dimension", dimension), output_type
    )


def once(name: str, value: Any, earlier: str, old: Any) -> Any:
    """Return an argument given under its name or its earlier one; ``ValueError`` for both."""
    if value is not None and old is not None:
        raise ValueError(f"Cannot specify both {name!r} and {earlier!r}.")
    return old if value is None else value


def _reduced(
    name: str | None, default: str, function: Callable[..., torch.Tensor], x: Any, axis: Any, keep: bool
) -> Tensor:
    source = convert_to_tensor(x, name="input")
    rank = source.shape.ndims
    known = static_value(axis)
    if known is not None:
        axis = known.tolist()
    if axis is None:
        get_default_graph().unique_name("Const")  # TensorFlow's list of all axes
        dims = None if rank is None else list(range(rank))
    elif rank is None:
        raise ValueError(f"The rank of {source.name} must be known to reduce it over {axis}.")
    else:
        dims = reduced_axes([int(a) for a in axis] if isinstance(axis, (list, tuple)) else int(axis), rank)
    if dims == []:
        return identity(source, name or default)
    kind = boolean if default in ("Any", "All") else source.dtype

    def compute(v: torch.Tensor) -> torch.Tensor:
        return function(v, dim=list(range(v.dim())) if dims is None else dims, keepdim=keep) if v.dim() else v

    result: Tensor = make(name, default, compute, source, static=[(kind, reduced(source.shape, dims, keep))])
    return result


def _position(
    name: str | None,
    default: str,
    function: Callable[..., torch.Tensor],
    x: Any,
    axis: int | None,
    output_type: Any,
) -> Tensor:
    source, kind = convert_to_tensor(x), as_dtype(output_type)
    along = axis or 0
    rank = source.shape.ndims
    shape = TensorShape(None) if rank is None else reduced(source.shape, reduced_axes(along, rank), False)
    result: Tensor = make(
        name, default, lambda v: function(v, along).to(kind.torch), source, static=[(kind, shape)]
    )
    result.op.differentiable = False
    return result
