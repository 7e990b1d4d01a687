"""Static shapes: what is known of a tensor before a session runs."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any


class Dimension:
    """One axis: a size, or None where only the session knows it; arithmetic with None gives None."""

    def __init__(self, value: int | Dimension | None) -> None:
        self.value: int | None = value.value if isinstance(value, Dimension) else value

    def __int__(self) -> int:
        if self.value is None:
            raise TypeError("the size of this dimension is not known before the session runs")
        return self.value

    __index__ = __int__

    def __eq__(self, other: object) -> bool:
        return self.value == (other.value if isinstance(other, Dimension) else other)

    def __hash__(self) -> int:
        return hash(self.value)

    def __add__(self, other: Any) -> Any:
        return self._with(operator.add, self, other)

    def __sub__(self, other: Any) -> Any:
        return self._with(operator.sub, self, other)

    def __mul__(self, other: Any) -> Any:
        return self._with(operator.mul, self, other)

    def __floordiv__(self, other: Any) -> Any:
        return self._with(operator.floordiv, self, other)

    def __mod__(self, other: Any) -> Any:
        return self._with(operator.mod, self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._with(operator.sub, other, self)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._with(operator.floordiv, other, self)

    def __rmod__(self, other: Any) -> Any:
        return self._with(operator.mod, other, self)

    __radd__, __rmul__ = __add__, __mul__

    def __truediv__(self, other: Any) -> Any:
        raise TypeError("unsupported operand type(s) for /: 'Dimension' and 'int', please use // instead")

    def __lt__(self, other: Any) -> bool | None:
        return self._compared(operator.lt, other)

    def __le__(self, other: Any) -> bool | None:
        return self._compared(operator.le, other)

    def __gt__(self, other: Any) -> bool | None:
        return self._compared(operator.gt, other)

    def __ge__(self, other: Any) -> bool | None:
        return self._compared(operator.ge, other)

    def __str__(self) -> str:
        return "?" if self.value is None else str(self.value)

    def __repr__(self) -> str:
        return f"Dimension({self.value})"

    @staticmethod
    def _with(function: Callable[[Any, Any], Any], one: Any, other: Any) -> Any:
        if not isinstance(one, (Dimension, int)) or not isinstance(other, (Dimension, int, type(None))):
            return NotImplemented
        a, b = (v.value if isinstance(v, Dimension) else v for v in (one, other))
        return Dimension(None if a is None or b is None else function(a, b))

    def _compared(self, function: Callable[[Any, Any], bool], other: Any) -> bool | None:
        size = other.value if isinstance(other, Dimension) else other
        return None if self.value is None or size is None else function(self.value, size)


class TensorShape:
    """The sizes of all axes, or an unknown rank (``ndims`` None)."""

    def __init__(self, dims: Sequence[Any] | TensorShape | Dimension | int | None) -> None:
        if isinstance(dims, TensorShape):
            dims = dims.dims
        elif isinstance(dims, (Dimension, int)):
            dims = [dims]  # `get_variable("b", 4)` means a vector
        self.dims: list[Dimension] | None = (
            None
            if dims is None
            else [Dimension(d if d is None or isinstance(d, Dimension) else int(d)) for d in dims]
        )

    @property
    def ndims(self) -> int | None:
        """Return the rank, or None."""
        return None if self.dims is None else len(self.dims)

    rank = ndims

    def as_list(self) -> list[int | None]:
        """Return the sizes; raises ``ValueError`` for an unknown rank."""
        if self.dims is None:
            raise ValueError("as_list() is not defined on an unknown TensorShape.")
        return [d.value for d in self.dims]

    def is_fully_defined(self) -> bool:
        """Return whether every size is known."""
        return self.dims is not None and all(d.value is not None for d in self.dims)

    def num_elements(self) -> int | None:
        """Return the number of values, or None if a size is not known."""
        if self.dims is None or not self.is_fully_defined():
            return None
        count = 1
        for dim in self.dims:
            count *= int(dim)
        return count

    def merge_with(self, other: Any) -> TensorShape:
        """Return what both know together; raises ``ValueError`` if they contradict each other."""
        given = TensorShape(other)
        if not self.is_compatible_with(given):
            raise ValueError(f"Shapes {self} and {given} are not compatible")
        if self.dims is None or given.dims is None:
            return given if self.dims is None else self
        return TensorShape([b if a.value is None else a for a, b in zip(self.dims, given.dims, strict=True)])

    def common(self, other: TensorShape) -> TensorShape:
        """Return what holds for both."""
        if self.dims is None or other.dims is None or len(self.dims) != len(other.dims):
            return TensorShape(None)
        return TensorShape([a if a == b else None for a, b in zip(self.dims, other.dims, strict=True)])

    def concatenate(self, other: Any) -> TensorShape:
        """Return the sizes of this shape, then those of ``other``."""
        given = TensorShape(other)
        return TensorShape(None if self.dims is None or given.dims is None else [*self.dims, *given.dims])

    def is_compatible_with(self, other: Any) -> bool:
        """Return whether both can be the shape of one array."""
        other = TensorShape(other)
        if self.dims is None or other.dims is None:
            return True
        return len(self.dims) == len(other.dims) and all(
            a.value is None or b.value is None or a.value == b.value
            for a, b in zip(self.dims, other.dims, strict=True)
        )

    def __iter__(self) -> Iterator[Dimension]:
        return iter(self.dims or [])

    def __len__(self) -> int:
        if self.dims is None:
            raise ValueError("Cannot take the length of shape with unknown rank.")
        return len(self.dims)

    def __getitem__(self, key: Any) -> Any:
        if self.dims is None:
            return TensorShape(None) if isinstance(key, slice) else Dimension(None)
        return TensorShape(self.dims[key]) if isinstance(key, slice) else self.dims[key]

    def __eq__(self, other: object) -> bool:
        other_dims = other.dims if isinstance(other, TensorShape) else other
        return self.dims == (list(other_dims) if isinstance(other_dims, (list, tuple)) else other_dims)

    def __hash__(self) -> int:
        return hash(None if self.dims is None else tuple(self.dims))

    def __str__(self) -> str:
        if self.dims is None:
            return "<unknown>"
        inner = ", ".join("?" if d.value is None else str(d.value) for d in self.dims)
        return f"({inner},)" if len(self.dims) == 1 else f"({inner})"

    __repr__ = __str__


def broadcast(one: TensorShape, other: TensorShape) -> TensorShape:
    """Return the shape of two operands together, as NumPy broadcasts them; ``ValueError`` if they can't."""
    if one.dims is None or other.dims is None:
        return TensorShape(None)
    rank = max(len(one.dims), len(other.dims))
    pairs: list[list[int | None]] = []
    for dims in (one.dims, other.dims):
        ones: list[int | None] = [1] * (rank - len(dims))
        pairs.append(ones + [d.value for d in dims])
    sizes: list[int | None] = []
    for a, b in zip(*pairs, strict=True):
        if a is not None and b is not None and a != b and 1 not in (a, b):
            raise ValueError(f"Dimensions must be equal, but are {a} and {b}; shapes {one} and {other}.")
        # An unknown size beside one that is not 1 has to be the same, or 1.
        sizes.append(b if a == 1 else a if b in (1, None) and not (b is None and a is None) else b)
    return TensorShape(sizes)


def reduced(shape: TensorShape, axes: Sequence[int] | None, keep: bool) -> TensorShape:
    """Return what is left of ``shape`` after a reduction over ``axes`` (None: all)."""
    if axes is None and not keep:
        return TensorShape([])
    if shape.dims is None:
        return shape
    gone = set(range(len(shape.dims)) if axes is None else axes)
    kept = [1 if axis in gone else dim for axis, dim in enumerate(shape.dims) if keep or axis not in gone]
    return TensorShape(kept)
