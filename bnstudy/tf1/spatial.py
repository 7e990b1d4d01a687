"""Sizes over height and width: windows, steps, and what a transposed convolution leads to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnstudy.tf1.graph import Tensor
from bnstudy.tf1.shaping import shape


def pair(argument: str, value: int | Sequence[int]) -> list[int]:
    """Return height and width of one number or two; raises ``ValueError`` for other counts."""
    sizes = [int(value)] * 2 if isinstance(value, int) else [int(v) for v in value]
    if len(sizes) == 1:
        sizes *= 2
    if len(sizes) != 2:
        raise ValueError(f"{argument} is {value}; allowed: an integer or two")
    return sizes


def transposed_size(x: Tensor, window: Sequence[int], steps: Sequence[int], padding: str) -> list[Any]:
    """Return batch, height and width after a transposed convolution of ``x`` [N, H, W, C]."""
    batch = x.shape[0].value
    sizes = []
    for axis, (length, step) in enumerate(zip(window, steps, strict=True), start=1):
        have = x.shape[axis].value
        if have is None:
            raise ValueError(f"height and width of {x.name} must be known, not {x.shape}")
        sizes.append(have * step + (max(length - step, 0) if padding == "VALID" else 0))
    return [shape(x)[0] if batch is None else batch, *sizes]
