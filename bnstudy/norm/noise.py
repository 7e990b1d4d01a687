"""Noise behind batch normalization that shifts its distribution at every step (Santurkar et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from bnstudy.norm.kernel import statistics_dtype


def noisy(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return ``s * x + m`` for ``x`` [N, C, ...], in its dtype, with ``s`` and ``m`` drawn anew.

    Each channel draws a centre ``mu`` from U(-0.5, 0.5) and a scale ``sigma`` from U(1, 1.25). Each of its
    values (a position counts as a sample, as in batch normalization) then draws ``m`` from
    U(mu - 0.1, mu + 0.1) and ``s`` from a normal around ``sigma`` of standard deviation 0.1.
    Gradients flow through ``x`` alone.

    Source: Santurkar et al. 2018 (arXiv 1805.11604v3), Algorithm 1.
    """
    n, channels, *space = x.shape
    # Drawn with the channels last, so that what a value draws does not depend on x's memory format.
    shape = (n, *space, channels)
    like = x.new_empty((), dtype=statistics_dtype(x.dtype))

    def uniform(size: tuple[int, ...]) -> Tensor:
        return like.new_empty(size).uniform_(generator=generator)

    mu = uniform((channels,)) - 0.5
    sigma = 1.0 + 0.25 * uniform((channels,))
    shift = uniform(shape).mul_(0.2).add_(mu - 0.1)
    factor = like.new_empty(shape).normal_(0.0, 0.1, generator=generator).add_(sigma)
    return torch.addcmul(shift.movedim(-1, 1), factor.movedim(-1, 1), x.to(like.dtype)).to(x.dtype)
