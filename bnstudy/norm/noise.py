"""Noise behind batch normalization that shifts its distribution at every step (Santurkar et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from bnstudy.norm.kernel import statistics_dtype


def noisy(x: Tensor, generator: torch.Generator | None = None, *, dose: float = 1.0) -> Tensor:
    """Return ``s * x + m`` for ``x`` [N, C, ...], in its dtype, with ``s`` and ``m`` drawn anew.

    Each channel draws a centre ``mu`` from U(-0.5, 0.5) and a scale ``sigma`` from U(1, 1.25). Each of its
    values (a position counts as a sample, as in batch normalization) then draws ``m`` from
    U(mu - 0.1, mu + 0.1) and ``s`` from a normal around ``sigma`` of standard deviation 0.1.
    ``dose`` multiplies ``m`` and ``s - 1``. Gradients flow through ``x`` alone.

    Source: Santurkar et al. 2018 (arXiv 1805.11604v3), Algorithm 1.
    """
    return apply_noise(x, *draw_noise(x, generator, dose=dose))


def draw_noise(
    x: Tensor, generator: torch.Generator | None = None, *, dose: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return ``s`` and ``m`` for ``x``, of its shape, in float32 or better."""
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
    if dose != 1.0:
        shift.mul_(dose)
        factor.sub_(1.0).mul_(dose).add_(1.0)
    return factor.movedim(-1, 1), shift.movedim(-1, 1)


def apply_noise(x: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    """Return ``factor * x + shift`` in the dtype of ``x``."""
    return torch.addcmul(shift, factor, x.to(shift.dtype)).to(x.dtype)


class FrozenNoise:
    """The same noise at every call with an input of the same shape, drawn from a generator of its own.

    What it draws follows from ``seed`` and the shape, whatever was drawn elsewhere before.
    """

    def __init__(self, seed: int, dose: float = 1.0) -> None:
        self._seed = seed
        self._dose = dose
        self._drawn: dict[torch.Size, tuple[Tensor, Tensor]] = {}

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return ``s * x + m``, see ``noisy``; ``generator`` is left alone."""
        if x.shape not in self._drawn:
            own = torch.Generator(x.device).manual_seed(self._seed)
            self._drawn[x.shape] = draw_noise(x.detach(), own, dose=self._dose)
        return apply_noise(x, *self._drawn[x.shape])
