"""Activations by unit: moments over all axes but the units', and samples of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
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
    sample = values[_positions(values.shape[:-1], size, values.device)].T
    return sample.to(statistics_dtype(values.dtype))


def sorted_by_unit(sample: Tensor) -> Tensor:
    """Return ``sample`` [U, n] with each unit's values in ascending order, NaN last."""
    if sample.device.type != "cpu":
        return sample.sort(dim=1).values
    # NumPy's takes a tenth of the time of torch.sort, and a hundredth on rows that lie in memory as such.
    rows = torch.from_numpy(np.sort(sample.contiguous().numpy(), axis=1))
    return torch.empty_like(sample).copy_(rows)


def percentiles(values: Tensor, which: Sequence[float]) -> list[float]:
    """Return percentiles of all ``values``, between neighbours in proportion: ``numpy.percentile``'s.

    Neither that, which takes as long again for its checks, nor ``torch.quantile``, which takes 16 million
    values at most.
    """
    flat = values.cpu().numpy().ravel()
    places = [np.float64(p / 100 * (flat.size - 1)) for p in which]
    below = [min(int(place), flat.size - 1) for place in places]
    above = [min(i + 1, flat.size - 1) for i in below]
    ordered = np.partition(flat, sorted({*below, *above, flat.size - 1}))
    if np.isnan(ordered[-1]):
        return [math.nan] * len(places)
    found = []
    for place, i, j in zip(places, below, above, strict=True):
        share, step = place - i, ordered[j] - ordered[i]
        # From the nearer one, which is exact at both ends.
        value = ordered[i] + step * share if share < 0.5 else ordered[j] - step * (1 - share)
        found.append(float(value))
    return found


@functools.lru_cache(maxsize=256)
def _positions(shape: torch.Size, size: int | None, device: torch.device) -> tuple[Tensor, ...]:
    count = math.prod(shape)
    size = count if size is None else min(size, count)
    if size == count:
        drawn = torch.arange(count)
    else:
        drawn = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:size].sort().values
    return torch.unravel_index(drawn.to(device), shape)


def check_sample_size(size: object) -> int | None:
    """Return ``size``, or raise ``ValueError`` unless it is None or an integer of at least 2."""
    if size is None or (isinstance(size, int) and not isinstance(size, bool) and size >= 2):
        return size
    raise ValueError(f"values_per_unit is {size!r}; allowed: an integer of at least 2, or None for all")
