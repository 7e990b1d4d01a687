"""Activations by unit: moments over all axes but the units', and samples of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bnstudy.norm.kernel import normalize_by_batch, statistics_dtype


def values_of(value: Any) -> Tensor | None:
    """Return the tensor of activations in what a module took or gave (the first of several), or None."""
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)) and value:
        value = value[0]
    if isinstance(value, Tensor) and value.is_floating_point() and value.dim() >= 2 and value.numel():
        return value.detach()
    return None


def moments_by_unit(values: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Return mean and population variance of each unit: [U] and [U], in float32 or better."""
    # Batch normalization's kernel takes a third of the time of torch.var_mean.
    moments = normalize_by_batch(values.movedim(axis, 1), None, None, 1.0)[1]
    return moments.mean, moments.variance


def sample_by_unit(values: Tensor, axis: int, size: int | None) -> Tensor:
    """Return up to ``size`` values of each unit (all, if None): [U, n], in float32 or better.

    They come from positions that are drawn at random once for each size of the activations, the same
    for every unit, and from no global generator.
    """
    values = values.movedim(axis, -1)
    count = math.prod(values.shape[:-1])
    positions = _positions(count, count if size is None else min(size, count)).to(values.device)
    sample = values[torch.unravel_index(positions, values.shape[:-1])].T
    return sample.to(statistics_dtype(values.dtype))


@functools.lru_cache(maxsize=256)
def _positions(count: int, size: int) -> Tensor:
    if size == count:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))[:size].sort().values


def check_sample_size(size: object) -> int | None:
    """Return ``size``, or raise ``ValueError`` unless it is None or an integer of at least 2."""
    if size is None or (isinstance(size, int) and not isinstance(size, bool) and size >= 2):
        return size
    raise ValueError(f"values_per_unit is {size!r}; allowed: an integer of at least 2, or None for all")
