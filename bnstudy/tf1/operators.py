"""Python's operators, for tensors and variables alike."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnstudy.tf1.graph import Tensor


class Operators:
    """Operators that build operations; ``==`` stays identity, as in TensorFlow 1."""

    def __add__(self, other: Any) -> Tensor:
        return _apply("add", self, other)

    def __radd__(self, other: Any) -> Tensor:
        return _apply("add", other, self)

    def __sub__(self, other: Any) -> Tensor:
        return _apply("subtract", self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return _apply("subtract", other, self)

    def __mul__(self, other: Any) -> Tensor:
        return _apply("multiply", self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return _apply("multiply", other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return _apply("divide", self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return _apply("divide", other, self)

    def __pow__(self, other: Any) -> Tensor:
        return _apply("pow", self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return _apply("pow", other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return _apply("matmul", self, other)

    def __lt__(self, other: Any) -> Tensor:
        return _apply("less", self, other)

    def __gt__(self, other: Any) -> Tensor:
        return _apply("greater", self, other)

    def __neg__(self) -> Tensor:
        return _apply("negative", self)

    def __invert__(self) -> Tensor:
        return _apply("logical_not", self)

    def __getitem__(self, key: Any) -> Tensor:
        return _apply("strided_slice", self, key)


def _apply(name: str, *operands: Any) -> Tensor:
    # Looked up when used: arithmetic builds on tensors, so it can't be imported before them.
    result: Tensor = getattr(importlib.import_module("bnstudy.tf1.math"), name)(*operands)
    return result
