"""TensorFlow's data types over PyTorch's."""

from __future__ import annotations

import numpy as np
import torch


class DType:
    """A data type of the graph; compare with ``is`` or ``==``."""

    def __init__(self, name: str, torch_dtype: torch.dtype) -> None:
        self.name = name
        self.torch = torch_dtype

    @property
    def base_dtype(self) -> DType:
        """The type itself; reference types of TensorFlow's variables have no counterpart."""
        return self

    @property
    def is_floating(self) -> bool:
        """Return whether it is a floating point type."""
        return self.torch.is_floating_point

    @property
    def is_integer(self) -> bool:
        """Return whether it is a type of whole numbers, not that of flags."""
        return not self.torch.is_floating_point and self.torch is not torch.bool

    @property
    def as_numpy_dtype(self) -> type:
        """Return NumPy's type of the same name."""
        return np.dtype(self.name).type

    def __repr__(self) -> str:
        return f"tf.{self.name}"


float16 = DType("float16", torch.float16)
bfloat16 = DType("bfloat16", torch.bfloat16)
float32 = DType("float32", torch.float32)
float64 = DType("float64", torch.float64)
int32 = DType("int32", torch.int32)
int64 = DType("int64", torch.int64)
uint8 = DType("uint8", torch.uint8)
# Not named `bool`, which annotations of this package need.
boolean = DType("bool", torch.bool)

ALL = (float16, bfloat16, float32, float64, int32, int64, uint8, boolean)
_BY_TORCH = {d.torch: d for d in ALL}
_BY_NAME = {d.name: d for d in ALL}
# Names that programs of the time used, as TensorFlow understood them.
_SHORT = {"float": "float32", "double": "float64", "half": "float16"}
_BY_PYTHON: dict[type, DType] = {float: float32, int: int32, bool: boolean}


def as_dtype(value: object) -> DType:
    """Return the ``DType`` of a ``DType``, a name, a Python, NumPy or PyTorch type.

    Raises ``TypeError`` for anything else.
    """
    if isinstance(value, DType):
        return value
    if isinstance(value, str):
        value = _SHORT.get(value, value)
    if isinstance(value, torch.dtype) and value in _BY_TORCH:
        return _BY_TORCH[value]
    if isinstance(value, type) and value in _BY_PYTHON:
        return _BY_PYTHON[value]
    try:
        name = value if isinstance(value, str) else np.dtype(value).name  # type: ignore[call-overload]
    except TypeError:
        name = None
    if name not in _BY_NAME:
        raise TypeError(f"Cannot convert value {value!r} to a TensorFlow DType.")
    return _BY_NAME[name]
