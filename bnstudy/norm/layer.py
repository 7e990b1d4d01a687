"""Batch normalization as a module, with TensorFlow 1's names and defaults."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from bnstudy.norm.kernel import BatchMoments, normalize_by_batch, normalize_by_statistics

Updates = Literal["in_place", "never"]


class BatchNorm(nn.Module):
    """Batch normalization over channel 1 of [N, C, ...] (any number of spatial axes).

    Names and defaults are those of ``tf.contrib.layers.batch_norm``. ``decay`` is the
    weight of the *old* moving value (PyTorch's momentum is ``1 - decay``); the moving
    variance averages the *population* variance, as TensorFlow's non-fused path does.

    In training mode the batch's own moments normalise; what they were is kept in
    ``batch_moments`` until the next forward. ``updates`` says when the moving averages
    absorb them: ``"in_place"`` during the forward (``updates_collections=None``) or
    ``"never"``. In evaluation mode ``moving_mean`` and ``moving_variance`` normalise.

    Source: Ioffe & Szegedy 2015, Algorithms 1 and 2.
    """

    moving_mean: Tensor
    moving_variance: Tensor

    def __init__(
        self,
        num_features: int,
        *,
        decay: float = 0.999,
        center: bool = True,
        scale: bool = False,
        epsilon: float = 0.001,
        updates: Updates = "in_place",
    ) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"num_features is {num_features}; allowed: an integer of at least 1")
        if not 0.0 <= decay <= 1.0:
            raise ValueError(
                f"decay is {decay}; allowed: 0 to 1 (the weight of the old value, 1 - PyTorch's momentum)"
            )
        if not epsilon > 0.0:
            raise ValueError(f"epsilon is {epsilon}; allowed: a number above 0")
        if updates not in ("in_place", "never"):
            raise ValueError(f"updates is {updates!r}; allowed: 'in_place', 'never'")
        self.num_features = num_features
        self.decay = decay
        self.epsilon = epsilon
        self.updates: Updates = updates
        self.beta = nn.Parameter(torch.zeros(num_features)) if center else None
        self.gamma = nn.Parameter(torch.ones(num_features)) if scale else None
        self.register_buffer("moving_mean", torch.zeros(num_features))
        self.register_buffer("moving_variance", torch.ones(num_features))
        self.batch_moments: BatchMoments | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` [N, C, ...]; the output has its shape and dtype."""
        if not self.training:
            return normalize_by_statistics(
                x, self.moving_mean, self.moving_variance, self.gamma, self.beta, self.epsilon
            )
        out, moments = normalize_by_batch(x, self.gamma, self.beta, self.epsilon)
        self.batch_moments = moments
        if self.updates == "in_place":
            self.moving_mean.sub_((self.moving_mean - moments.mean) * (1.0 - self.decay))
            self.moving_variance.sub_((self.moving_variance - moments.variance) * (1.0 - self.decay))
        return out

    def extra_repr(self) -> str:
        """Return the settings that ``repr`` shows."""
        return (
            f"{self.num_features}, decay={self.decay}, center={self.beta is not None}, "
            f"scale={self.gamma is not None}, epsilon={self.epsilon}, updates={self.updates!r}"
        )
