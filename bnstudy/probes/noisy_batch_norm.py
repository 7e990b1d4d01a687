"""Noise behind batch normalization that shifts every layer's distribution at every step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnstudy.norm.noise import noisy
from bnstudy.probes.axes import unit_axis


class NoisyBatchNorm(nn.Module):
    """A batch-norm layer whose output gets a random scale and shift in training mode.

    At each forward, for each unit j: ``mu ~ U(-0.5, 0.5)``, ``sigma ~ U(1, 1.25)``; then for each value a of
    the unit (height and width count as batch): ``m ~ U(mu - 0.1, mu + 0.1)``, ``s ~ N(sigma, 0.1)`` (its
    standard deviation) and ``a <- s a + m``. In evaluation mode it is the layer alone.

    Source: Santurkar et al. 2018 (arXiv 1805.11604), Algorithm 1, with its parameters.

    Cost: two random numbers and a multiply-add for each value. Memory: both numbers for each value.

    Args:
        layer: any batch-norm layer (``nn.BatchNorm1d/2d/3d``, ``bnstudy.BatchNorm``); kept as ``layer``.
        generator: source of the noise, on the layer's device; the default generator if None.
    """

    def __init__(self, layer: nn.Module, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if not isinstance(layer, nn.Module):
            raise TypeError(f"layer is a {type(layer).__name__}; allowed: a torch.nn.Module")
        self.layer = layer
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` and, in training mode, add the noise; shape and dtype are the layer's output's."""
        out: Tensor = self.layer(x)
        if not self.training:
            return out
        axis = unit_axis(self.layer)
        return noisy(out.movedim(axis, 1), self.generator).movedim(1, axis)
