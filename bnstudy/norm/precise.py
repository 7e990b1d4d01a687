"""Precise statistics: the population moments that a moving average tries to follow.

Wu & Johnson 2021 (arXiv 2105.07576), section 3: with the weights fixed, pool the moments
of many batches, each normalised by its own statistics as in training.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bnstudy.norm.bank import gather
from bnstudy.norm.following import Moments
from bnstudy.norm.kernel import BatchMoments
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
    """Pools batch moments of unequal batches into those of all values together, of a list of ``BatchNorm``.

    Those of ``PooledMoments``, so that how the data are cut into batches does not matter. Every forward in
    training mode counts, by its values or the sum of its ``batch_weights``. For a model's layers of PyTorch
    see ``recalibrate``.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self.layers: list[BatchNorm] = []
        for i, layer in enumerate(layers):
            if not isinstance(layer, BatchNorm):
                kind = type(layer).__name__
                raise TypeError(f"layers[{i}] is a {kind}; allowed: BatchNorm (see recalibrate for others)")
            self.layers.append(layer)
        mean = gather(self.layers, "running_mean").double()
        self._mean, self._sum_squares, self._count = (torch.zeros_like(mean) for _ in range(3))
        self._followers = [Moments(layer, f"layers[{i}]") for i, layer in enumerate(self.layers)]

    def reset(self) -> None:
        """Forget every batch."""
        for value in (self._mean, self._sum_squares, self._count):
            value.zero_()
        for follower in self._followers:
            follower.skip()

    @torch.no_grad()
    def update(self) -> None:
        """Absorb the layers' batch moments since the last call."""
        news = [[batch for batch in follower.take() if batch.count] for follower in self._followers]
        for batches in itertools.zip_longest(*news):
            self._absorb(batches)

    def _absorb(self, batches: Sequence[BatchMoments | None]) -> None:
        # Layers that have no batch in this round weigh 0 in it.
        sizes = [layer.num_features for layer in self.layers]
        like = self._mean
        pairs = list(zip(sizes, batches, strict=True))
        mean = torch.cat([like.new_zeros(size) if b is None else b.mean for size, b in pairs]).double()
        variance = torch.cat(
            [like.new_zeros(size) if b is None else b.variance for size, b in pairs]
        ).double()
        # Filled on the device: a copy from the host would wait for it.
        count = torch.cat([_weight(like, size, b) for size, b in pairs])
        total = self._count + count
        delta = mean - self._mean
        share = count / total
        if any(b is None for b in batches):
            share = torch.where(total > 0, share, 0.0)
        self._mean += delta * share
        self._sum_squares += variance * count + delta**2 * (self._count * share)
        self._count.copy_(total)

    @torch.no_grad()
    def statistics(self) -> Tensor:
        """Return the pooled mean and population variance: [2, C_total], in the averages' dtype."""
        if not bool((self._count > 0).all()):
            raise RuntimeError("precise statistics have absorbed no batch yet; call update() first")
        statistics = torch.stack([self._mean, self._sum_squares / self._count])
        return statistics.to(gather(self.layers, "running_mean").dtype)


def _weight(like: Tensor, size: int, batch: BatchMoments | None) -> Tensor:
    if batch is None:
        return like.new_zeros(size)
    return like.new_full((size,), batch.count) if batch.weight is None else batch.weight.to(like).expand(size)
