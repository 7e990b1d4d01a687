"""Python's operators, for tensors and variables alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# What an operator does builds on tensors, so that it is filled in by ``math``, which comes after them.
MEANING: dict[str, Callable[..., Any]] = {}


class Operators:
    """Operators that build operations; ``==`` stays identity, as in TensorFlow 1."""

    def __add__(self, other: Any) -> Any:
        return MEANING["add"](self, other)

    def __radd__(self, other: Any) -> Any:
        return MEANING["add"](other, self)

    def __sub__(self, other: Any) -> Any:
        return MEANING["sub"](self, other)

    def __rsub__(self, other: Any) -> Any:
        return MEANING["sub"](other, self)

    def __mul__(self, other: Any) -> Any:
        return MEANING["mul"](self, other)

    def __rmul__(self, other: Any) -> Any:
        return MEANING["mul"](other, self)

    def __truediv__(self, other: Any) -> Any:
        return MEANING["truediv"](self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return MEANING["truediv"](other, self)

    def __floordiv__(self, other: Any) -> Any:
        return MEANING["floordiv"](self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return MEANING["floordiv"](other, self)

    def __mod__(self, other: Any) -> Any:
        return MEANING["mod"](self, other)

    def __rmod__(self, other: Any) -> Any:
        return MEANING["mod"](other, self)

    def __pow__(self, other: Any) -> Any:
        return MEANING["pow"](self, other)

    def __rpow__(self, other: Any) -> Any:
        return MEANING["pow"](other, self)

    def __matmul__(self, other: Any) -> Any:
        return MEANING["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return MEANING["matmul"](other, self)

    def __and__(self, other: Any) -> Any:
        return MEANING["and"](self, other)

    def __rand__(self, other: Any) -> Any:
        return MEANING["and"](other, self)

    def __or__(self, other: Any) -> Any:
        return MEANING["or"](self, other)

    def __ror__(self, other: Any) -> Any:
        return MEANING["or"](other, self)

    def __lt__(self, other: Any) -> Any:
        return MEANING["lt"](self, other)

    def __le__(self, other: Any) -> Any:
        return MEANING["le"](self, other)

    def __gt__(self, other: Any) -> Any:
        return MEANING["gt"](self, other)

    def __ge__(self, other: Any) -> Any:
        return MEANING["ge"](self, other)

    def __neg__(self) -> Any:
        return MEANING["neg"](self)

    def __abs__(self) -> Any:
        return MEANING["abs"](self)

    def __invert__(self) -> Any:
        return MEANING["invert"](self)

    def __getitem__(self, key: Any) -> Any:
        return MEANING["getitem"](self, key)
