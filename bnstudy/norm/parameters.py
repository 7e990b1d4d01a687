"""Initial values and penalties of a layer's parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Initializer = float | Sequence[float] | Tensor | Callable[[tuple[int, ...]], Tensor]
Regularizer = Callable[[Tensor], Tensor]

PARAMETER_NAMES = ("beta", "gamma", "moving_mean", "moving_variance")


class L2Regularizer:
    """``scale * sum(p^2) / 2``, as ``tf.contrib.layers.l2_regularizer``."""

    def __init__(self, scale: float) -> None:
        self.scale = check_scale(scale)

    def __call__(self, parameter: Tensor) -> Tensor:
        """Return the penalty, a scalar."""
        return self.scale * parameter.square().sum() / 2


class L1Regularizer:
    """``scale * sum(|p|)``, as ``tf.contrib.layers.l1_regularizer``."""

    def __init__(self, scale: float) -> None:
        self.scale = check_scale(scale)

    def __call__(self, parameter: Tensor) -> Tensor:
        """Return the penalty, a scalar."""
        return self.scale * parameter.abs().sum()


def check_scale(scale: float) -> float:
    """Return ``scale``, or raise ``ValueError`` as TensorFlow does for an integer or a negative number."""
    if isinstance(scale, int):
        raise ValueError(f"scale cannot be an integer: {scale}")
    if not scale >= 0.0:
        raise ValueError(f"Setting a scale less than 0 on a regularizer: {scale}.")
    return scale


def initial_value(name: str, initializer: Initializer, features: int) -> Tensor:
    """Return ``initializer`` as a float tensor [features].

    Raises ``ValueError`` if its size is neither 1 nor ``features`` (TensorFlow repeats the last value).
    """
    if callable(initializer) and not isinstance(initializer, Tensor):
        value = initializer((features,))
    else:
        value = torch.as_tensor(initializer, dtype=torch.get_default_dtype())
    if value.numel() not in (1, features):
        raise ValueError(f"initializers[{name!r}] has {value.numel()} values; allowed: 1 or {features}")
    return value.detach().reshape(-1).expand(features).clone()
