"""Precise statistics: the population moments that a moving average tries to follow.

Wu & Johnson 2021 (arXiv 2105.07576), section 3: with the weights fixed, pool the moments
of many batches, each normalised by its own statistics as in training.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bnstudy.norm.bank import batch_moments, gather
from bnstudy.norm.layer import BatchNorm


class PooledMoments:
    """Pools the moments of unequal batches of one layer, in float64, into those of all values together.

    With weight ``n_b``, mean ``m_b`` and population variance ``v_b`` of batch ``b``:
    ``mean = sum(n_b m_b) / n`` and ``variance = sum(n_b (v_b + (m_b - mean)^2)) / n``, the law of total
    variance, by the running update of Chan et al. 1979, since ``E[x^2] - E[x]^2`` cancels.
    """

    def __init__(self) -> None:
        self.weight = 0.0
        self._mean: Tensor | None = None
        self._sum_squares: Tensor | None = None

    def add(self, mean: Tensor, variance: Tensor, weight: float) -> None:
        """Absorb a batch's mean [C] and population variance [C]; one of weight 0 changes nothing."""
        if weight == 0:
            return
        mean, variance = mean.double(), variance.double()
        if self._mean is None or self._sum_squares is None:
            self.weight, self._mean, self._sum_squares = weight, mean, variance * weight
            return
        total = self.weight + weight
        delta = mean - self._mean
        self._mean = self._mean + delta * (weight / total)
        self._sum_squares = self._sum_squares + variance * weight + delta**2 * (self.weight * weight / total)
        self.weight = total

    def statistics(self) -> Tensor:
        """Return the mean and population variance of all values: float64 [2, C]."""
        if self._mean is None or self._sum_squares is None:
            raise RuntimeError("pooled moments have absorbed no batch yet; call add() first")
        return torch.stack([self._mean, self._sum_squares / self.weight])


class PreciseStatistics:
    """Pools batch moments of unequal batches into those of all values together.

    With ``n_b`` values, mean ``m_b`` and population variance ``v_b`` in batch ``b``:
    ``mean = sum(n_b m_b) / n`` and ``variance = sum(n_b (v_b + (m_b - mean)^2)) / n``, the law of
    total variance, so that how the data are cut into batches does not matter. Kept in
    float64 with a running update (Chan et al. 1979), because ``E[x^2] - E[x]^2`` cancels.
    """

    def __init__(self, layers: Sequence[BatchNorm]) -> None:
        self.layers = list(layers)
        mean = gather(self.layers, "moving_mean").double()
        self._mean, self._sum_squares, self._count = (torch.zeros_like(mean) for _ in range(3))

    def reset(self) -> None:
        """Forget every batch."""
        for value in (self._mean, self._sum_squares, self._count):
            value.zero_()

    @torch.no_grad()
    def update(self) -> None:
        """Absorb the layers' last batch moments."""
        mean, variance = batch_moments(self.layers).double()
        # Filled on the device: a copy from the host would wait for it.
        counts = [(layer.num_features, layer.batch_moments) for layer in self.layers]
        count = torch.cat([mean.new_full((size,), moments.count) for size, moments in counts if moments])
        total = self._count + count
        delta = mean - self._mean
        self._mean += delta * (count / total)
        self._sum_squares += variance * count + delta**2 * (self._count * count / total)
        self._count.copy_(total)

    @torch.no_grad()
    def statistics(self) -> Tensor:
        """Return the pooled mean and population variance: [2, C_total], in the averages' dtype."""
        if not bool((self._count > 0).all()):
            raise RuntimeError("precise statistics have absorbed no batch yet; call update() first")
        statistics = torch.stack([self._mean, self._sum_squares / self._count])
        return statistics.to(self.layers[0].moving_mean.dtype)
