"""Precise statistics: the population moments that a moving average tries to follow.

Wu & Johnson 2021 (arXiv 2105.07576), section 3: with the weights fixed, pool the moments
of many batches, each normalised by its own statistics as in training.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bnstudy.norm.bank import batch_moments
from bnstudy.norm.layer import BatchNorm


class PreciseStatistics:
    """Pools batch moments of unequal batches into those of all values together.

    With ``n_b`` values, mean ``m_b`` and population variance ``v_b`` in batch ``b``:
    ``mean = sum(n_b m_b) / n`` and ``variance = sum(n_b (v_b + (m_b - mean)^2)) / n``, the law of
    total variance, so that how the data are cut into batches does not matter. Kept in
    float64 with a running update (Chan et al. 1979), because ``E[x^2] - E[x]^2`` cancels.
    """

    def __init__(self, layers: Sequence[BatchNorm]) -> None:
        self.layers = list(layers)
        sizes = torch.tensor([layer.num_features for layer in layers])
        total = int(sizes.sum())
        device = layers[0].moving_mean.device
        self._sizes = sizes.to(device)
        self._mean = torch.zeros(total, dtype=torch.float64, device=device)
        self._sum_squares = torch.zeros(total, dtype=torch.float64, device=device)
        self._count = torch.zeros(total, dtype=torch.float64, device=device)

    @torch.no_grad()
    def update(self) -> None:
        """Absorb the layers' last batch moments."""
        mean, variance = batch_moments(self.layers).double()
        counts = [layer.batch_moments.count for layer in self.layers if layer.batch_moments]
        count = torch.tensor(counts, dtype=torch.float64, device=mean.device).repeat_interleave(self._sizes)
        total = self._count + count
        delta = mean - self._mean
        self._mean += delta * (count / total)
        self._sum_squares += variance * count + delta**2 * (self._count * count / total)
        self._count = total

    @torch.no_grad()
    def statistics(self) -> Tensor:
        """Return the pooled mean and population variance: [2, C_total], in the averages' dtype."""
        if not bool((self._count > 0).all()):
            raise RuntimeError("precise statistics have absorbed no batch yet; call update() first")
        statistics = torch.stack([self._mean, self._sum_squares / self._count])
        return statistics.to(self.layers[0].moving_mean.dtype)
