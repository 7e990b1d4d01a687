"""How a layer's moving averages absorb the moments of batches."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor

from bnstudy.norm import renorm as renormalization
from bnstudy.norm.ema import moved
from bnstudy.norm.kernel import BatchMoments, transformed
from bnstudy.norm.torch_face import TorchFace

Updates = Literal["in_place", "with_step", "after_step", "never"]

UPDATES: tuple[Updates, ...] = ("in_place", "with_step", "after_step", "never")

# Forwards that a layer remembers for those who follow it, should they never look.
MOST_SHOWN = 4096


class MovingAverages(TorchFace):
    """The part of ``BatchNorm`` that keeps ``moving_mean`` and ``moving_variance``; see there."""

    updates: Updates
    fused: bool
    zero_debias: bool
    renorm: bool
    renorm_decay: float
    renorm_algorithm: renormalization.Algorithm

    def __init__(self, num_features: int, decay: float, epsilon: float) -> None:
        super().__init__(num_features, decay, epsilon)
        self.absorbing = False
        self.pending = False
        self.batch_moments: BatchMoments | None = None
        # For those who follow the layer (see bnstudy.norm.following): the moments of each forward since
        # one of them last looked, None while there is none of them.
        self.followers = 0
        self.step_moments: tuple[BatchMoments, ...] | None = None
        self.step_is_read = False

    @torch.no_grad()
    def absorb_moments(self) -> None:
        """Let the moving averages absorb the last batch moments.

        Raises ``RuntimeError`` before the first forward in training mode.
        """
        if self.batch_moments is None:
            raise RuntimeError("no batch moments yet; run a forward in training mode first")
        self.pending = False
        self._absorb(self.batch_moments)

    def keep(self, batch: BatchMoments) -> None:
        """Note the moments that a forward in training mode used, and absorb them if it is time to."""
        in_pass = self.absorbing or self.updates != "after_step"
        if transformed():
            self.batch_moments = None  # what lives within a transform means nothing behind it
        else:
            self.batch_moments, self.pending = batch, True
            if self.step_moments is not None and in_pass:
                self._show(batch)
        # Cumulative averages are those of forwards, whoever wants them: PyTorch's update_bn.
        if self._cumulative or (in_pass and self.updates in {"in_place", "after_step"}):
            self._absorb(batch)

    @torch.no_grad()
    def reset_running_stats(self) -> None:
        """Set the moving mean to 0 and the moving variance to 1, as PyTorch does, and forget every batch."""
        super().reset_running_stats()
        if self.zero_debias:
            cast(Tensor, self.moving_mean_local_step).zero_()
        if self.track_running_stats:
            self.follow_averages()

    @torch.no_grad()
    def follow_averages(self) -> None:
        """Let what zero-debias and renorm hold beside the moving averages follow from their values.

        For whoever assigns the averages: the next batch then moves them from there.
        """
        if self.zero_debias:
            step = cast(Tensor, self.moving_mean_local_step)
            cast(Tensor, self.moving_mean_biased).copy_(self.moving_mean * self._unbias(step))
        if self.renorm and self.renorm_algorithm == "tf1.15":
            cast(Tensor, self.moving_stddev).copy_((self.moving_variance + self.epsilon).sqrt())

    def __getstate__(self) -> dict[str, Any]:
        # Who follows the layer doesn't follow its copies.
        return {**vars(self), "followers": 0, "step_moments": None, "step_is_read": False}

    def _show(self, batch: BatchMoments) -> None:
        before = () if self.step_is_read or self.step_moments is None else self.step_moments
        self.step_moments, self.step_is_read = (*before[1 - MOST_SHOWN :], batch), False

    @torch.no_grad()
    def _absorb(self, batch: BatchMoments) -> None:
        if not self.track_running_stats or batch.count == 0:
            return
        batches = cast(Tensor, self.num_batches_tracked).add_(1)
        decay = 1.0 - 1.0 / float(batches) if self._cumulative else self.decay
        if self.renorm:
            self._absorb_renorm(batch, decay)
            return
        variance = batch.variance
        if self.fused:
            variance = variance * (batch.count / max(batch.count - 1, 1))
        if self.zero_debias and not self._cumulative:
            self._absorb_debiased(batch.mean)
        else:
            self.moving_mean.sub_((self.moving_mean - batch.mean) * (1.0 - decay))
        self.moving_variance.sub_((self.moving_variance - variance) * (1.0 - decay))
        if self.zero_debias and self._cumulative:
            cast(Tensor, self.moving_mean_local_step).copy_(batches)
            self.follow_averages()

    def _absorb_debiased(self, mean: Tensor) -> None:
        biased = cast(Tensor, self.moving_mean_biased)
        step = cast(Tensor, self.moving_mean_local_step)
        biased.copy_(moved(biased, mean, self.decay))
        step.add_(1.0)
        self.moving_mean.copy_(biased / self._unbias(step))

    def _unbias(self, step: Tensor) -> Tensor:
        # In double precision: 1 - 0.999 keeps only four digits in float32.
        decay = torch.tensor(self.decay, dtype=torch.float64, device=step.device)
        return 1.0 - torch.pow(decay, step.double())

    def _absorb_renorm(self, batch: BatchMoments, decay: float) -> None:
        state = self._renorm_state()
        state["moving_mean"], state["moving_variance"] = self.moving_mean, self.moving_variance
        new = renormalization.updated(
            self.renorm_algorithm,
            state,
            batch.mean,
            batch.variance,
            decay=decay,
            renorm_decay=self.renorm_decay,
            epsilon=self.epsilon,
        )
        for name, value in new.items():
            state[name].copy_(value)

    def _renorm_state(self) -> dict[str, Tensor]:
        if self.renorm_algorithm == "tf1.15":
            names: tuple[str, ...] = ("renorm_mean", "renorm_stddev", "moving_stddev")
        else:
            names = ("renorm_mean", "renorm_mean_weight", "renorm_stddev", "renorm_stddev_weight")
        return {name: getattr(self, name) for name in names}
