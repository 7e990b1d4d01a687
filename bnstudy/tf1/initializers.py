"""Initial values of variables, as functions of shape and type; the streams of random ones are PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bnstudy.tf1.constants import constant
from bnstudy.tf1.dtypes import DType, as_dtype, float32
from bnstudy.tf1.graph import Tensor
from bnstudy.tf1.random import random_normal, random_uniform, truncated_normal
from bnstudy.tf1.shapes import TensorShape


class Initializer:
    """Gives a tensor of a shape and a type: ``initializer(shape, dtype)``."""

    def __init__(self, dtype: Any = float32) -> None:
        self.dtype = as_dtype(dtype)

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        """Return the initial value; ``dtype`` None means the initializer's own."""
        del partition_info
        sizes = [int(d) for d in TensorShape(shape)]
        return self.values(sizes, self.dtype if dtype is None else as_dtype(dtype))

    def values(self, shape: Sequence[int], dtype: DType) -> Tensor:
        """Return the tensor."""
        raise NotImplementedError


class constant_initializer(Initializer):
    """Fill with ``value``; a list shorter than the shape repeats its last item."""

    def __init__(self, value: Any = 0, dtype: Any = float32, verify_shape: bool = False) -> None:
        del verify_shape
        super().__init__(dtype)
        self.value = value

    def values(self, shape: Sequence[int], dtype: DType) -> Tensor:
        """Return the tensor."""
        return constant(self.value, dtype, shape)


class zeros_initializer(Initializer):
    """Fill with 0."""

    def values(self, shape: Sequence[int], dtype: DType) -> Tensor:
        """Return the tensor."""
        return constant(0, dtype, shape, name="zeros")


class ones_initializer(Initializer):
    """Fill with 1."""

    def values(self, shape: Sequence[int], dtype: DType) -> Tensor:
        """Return the tensor."""
        return constant(1, dtype, shape, name="ones")


class truncated_normal_initializer(Initializer):
    """Draw from a normal distribution, again beyond two standard deviations."""

    def __init__(
        self, mean: float = 0.0, stddev: float = 1.0, seed: int | None = None, dtype: Any = float32
    ) -> None:
        super().__init__(dtype)
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def values(self, shape: Sequence[int], dtype: DType) -> Tensor:
        """Return the tensor."""
        return truncated_normal(shape, self.mean, self.stddev, dtype, self.seed)


class random_normal_initializer(Initializer):
    """Draw from a normal distribution."""

    def __init__(
        self, mean: float = 0.0, stddev: float = 1.0, seed: int | None = None, dtype: Any = float32
    ) -> None:
        super().__init__(dtype)
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def values(self, shape: Sequence[int], dtype: DType) -> Tensor:
        """Return the tensor."""
        return random_normal(shape, self.mean, self.stddev, dtype, self.seed)


class random_uniform_initializer(Initializer):
    """Draw uniformly between ``minval`` and ``maxval``."""

    def __init__(
        self, minval: float = 0.0, maxval: float = 1.0, seed: int | None = None, dtype: Any = float32
    ) -> None:
        super().__init__(dtype)
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def values(self, shape: Sequence[int], dtype: DType) -> Tensor:
        """Return the tensor."""
        return random_uniform(shape, self.minval, self.maxval, dtype, self.seed)


class glorot_uniform_initializer(Initializer):
    """Draw uniformly with variance 2 / (inputs + outputs): the default of ``get_variable``."""

    def __init__(self, seed: int | None = None, dtype: Any = float32) -> None:
        super().__init__(dtype)
        self.seed = seed

    def values(self, shape: Sequence[int], dtype: DType) -> Tensor:
        """Return the tensor."""
        fan_in, fan_out = fans(shape)
        limit = math.sqrt(6.0 / (fan_in + fan_out))
        return random_uniform(shape, -limit, limit, dtype, self.seed)


def fans(shape: Sequence[int]) -> tuple[float, float]:
    """Return the numbers of inputs and outputs of one unit of weights [..., inputs, outputs]."""
    if not shape:
        return 1.0, 1.0
    if len(shape) == 1:
        return float(shape[0]), float(shape[0])
    field = math.prod(shape[:-2])
    return float(field * shape[-2]), float(field * shape[-1])


def default_initializer(dtype: DType) -> Initializer:
    """Return what ``get_variable`` uses: Glorot's uniform for floating point, else 0."""
    return glorot_uniform_initializer(dtype=dtype) if dtype.is_floating else zeros_initializer(dtype)
