"""Means and population variances, with or without weights: ``tf.nn.moments`` and ``weighted_moments``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bnstudy.norm.kernel import statistics_dtype


def reduced_axes(axes: int | Sequence[int] | None, rank: int) -> list[int]:
    """Return ``axes`` counted from the front; ``None`` means all of ``rank``.

    Raises ``ValueError`` for an axis that a tensor of that rank does not have.
    """
    if axes is None:
        return list(range(rank))
    listed = [axes] if isinstance(axes, int) else list(axes)
    for axis in listed:
        if not -rank <= axis < rank:
            raise ValueError(f"Invalid reduction dimension {axis} for input with {rank} dimensions.")
    return sorted({axis % rank for axis in listed})


def moments(
    x: Tensor,
    axes: int | Sequence[int] | None,
    shift: Tensor | None = None,
    name: str | None = None,
    keep_dims: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return the mean and the population variance of ``x`` over ``axes``, in the dtype of ``x``.

    ``axes=None`` reduces all axes and ``[]`` none (the mean is then ``x``, the variance 0).
    Half precision is computed in float32 and cast back; integers keep integer arithmetic, as
    in TensorFlow. ``shift`` and ``name`` are accepted and ignored, as TensorFlow ignores them.
    The variance is a second pass over ``x - mean``, so that a large mean does not cancel it.

    Source: ``tf.nn.moments``.
    """
    del shift, name
    dims = reduced_axes(axes, x.dim())
    if not dims:
        return x, torch.zeros_like(x)
    if not x.is_floating_point():
        count = 1
        for d in dims:
            count *= x.shape[d]
        centre = x.sum(dims, keepdim=True).div(count, rounding_mode="trunc")
        spread = ((x - centre) ** 2).sum(dims, keepdim=True).div(count, rounding_mode="trunc")
        mean, variance = centre.to(x.dtype), spread.to(x.dtype)
    else:
        values = x.to(statistics_dtype(x.dtype))
        mean = values.mean(dims, keepdim=True)
        variance = (values - mean).square().mean(dims, keepdim=True)
        mean, variance = mean.to(x.dtype), variance.to(x.dtype)
    if keep_dims:
        return mean, variance
    shape = [size for axis, size in enumerate(x.shape) if axis not in dims]
    return mean.reshape(shape), variance.reshape(shape)


def weighted_moments(
    x: Tensor, axes: int | Sequence[int] | None, weights: Tensor, keep_dims: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the weighted mean and population variance of ``x`` over ``axes``, in the dtype of ``x``.

    ``weights`` broadcast against ``x``; only their ratios matter. Where all weights are 0 both
    results are NaN, as in TensorFlow.

    Source: ``tf.nn.weighted_moments``.
    """
    dims = reduced_axes(axes, x.dim())
    dtype = statistics_dtype(x.dtype)
    values = x.to(dtype)
    broadcast = weights.to(dtype).expand_as(values)
    if not dims:
        return x, torch.zeros_like(x)
    total = broadcast.sum(dims, keepdim=True)
    mean = (broadcast * values).sum(dims, keepdim=True) / total
    variance = (broadcast * (values - mean).square()).sum(dims, keepdim=True) / total
    mean, variance = mean.to(x.dtype), variance.to(x.dtype)
    if keep_dims:
        return mean, variance
    shape = [size for axis, size in enumerate(x.shape) if axis not in dims]
    return mean.reshape(shape), variance.reshape(shape)
