"""``tf.contrib.layers``' initializers, which keep the variance of what flows through a layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bnstudy.tf1.dtypes import DType, float32
from bnstudy.tf1.graph import Tensor
from bnstudy.tf1.initializers import Initializer, fans
from bnstudy.tf1.random import random_uniform, truncated_normal


class _VarianceScaling(Initializer):
    def __init__(self, factor: float, mode: str, uniform: bool, seed: int | None, dtype: Any) -> None:
        super().__init__(dtype)
        self.factor, self.mode, self.uniform, self.seed = factor, mode, uniform, seed

    def values(self, shape: Sequence[int], dtype: DType) -> Tensor:
        """Return the tensor."""
        fan_in, fan_out = fans(shape)
        n = {"FAN_IN": fan_in, "FAN_OUT": fan_out, "FAN_AVG": (fan_in + fan_out) / 2}[self.mode]
        if self.uniform:
            limit = math.sqrt(3.0 * self.factor / n)
            return random_uniform(shape, -limit, limit, dtype, self.seed)
        # What the truncation at two standard deviations takes away.
        return truncated_normal(shape, 0.0, math.sqrt(1.3 * self.factor / n), dtype, self.seed)


def variance_scaling_initializer(
    factor: float = 2.0,
    mode: str = "FAN_IN",
    uniform: bool = False,
    seed: int | None = None,
    dtype: Any = float32,
) -> Initializer:
    """Draw with variance ``factor`` over the number of inputs, of outputs or the mean of both (``mode``).

    Raises ``ValueError`` for another mode.

    Source: ``tf.contrib.layers.variance_scaling_initializer``; He et al. 2015.
    """
    if mode not in ("FAN_IN", "FAN_OUT", "FAN_AVG"):
        raise ValueError(f"mode is {mode!r}; allowed: 'FAN_IN', 'FAN_OUT', 'FAN_AVG'")
    return _VarianceScaling(factor, mode, uniform, seed, dtype)


def xavier_initializer(uniform: bool = True, seed: int | None = None, dtype: Any = float32) -> Initializer:
    """Draw with variance 2 / (inputs + outputs); Glorot & Bengio 2010."""
    return _VarianceScaling(1.0, "FAN_AVG", uniform, seed, dtype)


xavier_initializer_conv2d = xavier_initializer
