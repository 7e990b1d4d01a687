"""Static shapes: what is known of a tensor before a session runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


class Dimension:
    """One axis: a size, or None where only the session knows it."""

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

    def __repr__(self) -> str:
        return f"Dimension({self.value})"


class TensorShape:
    """The sizes of all axes, or an unknown rank (``ndims`` None)."""

    def __init__(self, dims: Sequence[Any] | TensorShape | None) -> None:
        if isinstance(dims, TensorShape):
            dims = dims.dims
        self.dims: list[Dimension] | None = (
            None
            if dims is None
            else [Dimension(d if d is None or isinstance(d, Dimension) else int(d)) for d in dims]
        )

    @property
    def ndims(self) -> int | None:
        """Return the rank, or None."""
        return None if self.dims is None else len(self.dims)

    def as_list(self) -> list[int | None]:
        """Return the sizes; raises ``ValueError`` for an unknown rank."""
        if self.dims is None:
            raise ValueError("as_list() is not defined on an unknown TensorShape.")
        return [d.value for d in self.dims]

    def is_fully_defined(self) -> bool:
        """Return whether every size is known."""
        return self.dims is not None and all(d.value is not None for d in self.dims)

    def is_compatible_with(self, other: TensorShape) -> bool:
        """Return whether both can be the shape of one array."""
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
