"""Joining tensors and cutting them: along an axis, by slices, with padding around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from bnstudy.tf1.constants import convert_to_tensor, static_value
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.infer import Static, make
from bnstudy.tf1.operators import MEANING
from bnstudy.tf1.shapes import Dimension, TensorShape


def concat(values: Any, axis: Any, name: str | None = None) -> Tensor:
    """Return the tensors joined along ``axis``.

    Raises ``ValueError`` for the order of arguments of TensorFlow before 1.0, ``concat(axis, values)``.
    """
    if isinstance(values, int) and isinstance(axis, (list, tuple)):
        raise ValueError(
            f"concat({values}, [...]) has the order of arguments of TensorFlow before 1.0; "
            f"allowed: concat([...], {values})"
        )
    graph = get_default_graph()
    with graph.name_scope(name or "concat") as scope:
        listed = [convert_to_tensor(v, name=f"values_{i}") for i, v in enumerate(values)]
        along = int(axis)
    same_type("concat", listed)
    result: Tensor = make(
        scope, scope, lambda *v: torch.cat(v, along), *listed, static=_joined(listed, along)
    )
    return result


def stack(values: Sequence[Any], axis: int = 0, name: str = "stack") -> Tensor:
    """Return the tensors, of equal shape, along a new axis."""
    graph = get_default_graph()
    kinds = [v.dtype for v in values if hasattr(v, "dtype") and hasattr(v, "op")]
    with graph.name_scope(name) as scope:
        kind = kinds[0] if kinds else None
        listed = [convert_to_tensor(v, kind, name=f"values_{i}") for i, v in enumerate(values)]
    same_type("stack", listed)
    result: Tensor = make(scope, scope, lambda *v: torch.stack(v, axis), *listed)
    if axis == 0:
        result.op.role = "packed"
    return result


def unstack(value: Any, num: int | None = None, axis: int = 0, name: str = "unstack") -> list[Tensor]:
    """Return the slices of ``value`` along ``axis``, whose size has to be known."""
    source = convert_to_tensor(value)
    count = num if num is not None else source.shape[axis].value
    if count is None:
        raise ValueError(f"Cannot infer argument `num` from shape {source.shape}")
    parts: Any = make(name, name, lambda v: v.unbind(axis), source)
    return list(parts) if isinstance(parts, tuple) else [parts]


def split(
    value: Any, num_or_size_splits: Any, axis: int = 0, num: int | None = None, name: str = "split"
) -> list[Tensor]:
    """Return ``value`` cut along ``axis`` into equal parts, or into parts of the given sizes."""
    del num
    source = convert_to_tensor(value)
    sizes = num_or_size_splits
    if isinstance(sizes, int):
        whole = source.shape[axis].value
        if whole is None:
            raise ValueError(f"The size of axis {axis} of {source.name} must be known to split it.")
        if whole % sizes:
            raise ValueError(
                f"Dimension size must be evenly divisible by {sizes} but is {whole} for {source.name}"
            )
        sizes = [whole // sizes] * sizes
    lengths = [int(s) for s in sizes]
    parts: Any = make(name, name, lambda v: torch.split(v, lengths, axis), source)
    return list(parts) if isinstance(parts, tuple) else [parts]


def strided_slice(x: Any, key: Any, name: str | None = None) -> Tensor:
    """Return ``x[key]``; bounds may be scalar tensors.

    Raises ``TypeError`` for a step below 1, ``ValueError`` for more indices than axes.
    """
    source = convert_to_tensor(x)
    tensors: list[Tensor] = []

    def held(bound: Any) -> Any:
        if bound is None or (not isinstance(bound, Tensor) and not hasattr(bound, "snapshot")):
            return None if bound is None else int(bound)
        tensors.append(convert_to_tensor(bound))
        return tensors[-1]

    plain: list[Any] = []
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, slice):
            step = held(part.step)
            if isinstance(step, int) and step < 1:
                raise TypeError(f"the step of a slice is {step}; allowed here: 1 and above")
            plain.append(slice(held(part.start), held(part.stop), step))
        else:
            plain.append(part if part is None or part is Ellipsis else held(part))

    def compute(run: Any, v: torch.Tensor, *bounds: torch.Tensor) -> torch.Tensor:
        known = {t: int(b) for t, b in zip(tensors, bounds, strict=True)}

        def value(bound: Any) -> Any:
            return known[bound] if isinstance(bound, Tensor) else bound

        parts = [
            slice(value(p.start), value(p.stop), value(p.step)) if isinstance(p, slice) else value(p)
            for p in plain
        ]
        return v[tuple(parts)]

    static = [(source.dtype, _sliced(source.shape, plain))]
    result = get_default_graph().add(name or "strided_slice", [source, *tensors], compute, static).outputs[0]
    if source.op.constant is not None and not tensors:
        result.op.constant = source.op.constant[tuple(plain)]
    return result


def _sliced(shape: TensorShape, parts: Sequence[Any]) -> TensorShape:
    if shape.ndims is None:
        return TensorShape(None)
    taken = sum(1 for p in parts if p is not None and p is not Ellipsis)
    if taken > shape.ndims:
        raise ValueError(
            f"Index out of range using input dim {shape.ndims}; input has only {shape.ndims} dims"
        )
    full = [slice(None)] * (shape.ndims - taken)
    where = next((i for i, p in enumerate(parts) if p is Ellipsis), len(parts))
    dims: list[int | None] = []
    axis = 0
    for part in [*parts[:where], *full, *parts[where + 1 :]]:
        if part is None:
            dims.append(1)
            continue
        size = shape[axis].value
        axis += 1
        if not isinstance(part, slice):
            if size is not None and isinstance(part, int) and not -size <= part < size:
                raise ValueError(f"slice index {part} of dimension {axis - 1} out of bounds; shape {shape}")
            continue
        bounds = (part.start, part.stop, part.step)
        if size is None or any(isinstance(b, Tensor) for b in bounds):
            whole = bounds in ((None, None, None), (0, None, None), (None, None, 1))
            dims.append(size if whole else None)
        else:
            dims.append(len(range(*part.indices(size))))
    return TensorShape(dims)


def pad(
    tensor: Any, paddings: Any, mode: str = "CONSTANT", name: str | None = None, constant_values: Any = 0
) -> Tensor:
    """Return ``tensor`` with ``paddings`` [[before, after], ...] around it.

    ``mode`` is ``"CONSTANT"``, ``"REFLECT"`` or ``"SYMMETRIC"``; raises ``ValueError`` for another.
    """
    held = static_value(paddings)
    pairs = [[int(p) for p in pair] for pair in (paddings if held is None else held.tolist())]
    kind = mode.upper()
    if kind not in ("CONSTANT", "REFLECT", "SYMMETRIC"):
        raise ValueError(f"mode is {mode!r}; allowed: 'CONSTANT', 'REFLECT', 'SYMMETRIC'")
    flat = [p for pair in reversed(pairs) for p in pair]

    def compute(v: torch.Tensor) -> torch.Tensor:
        if kind == "CONSTANT":
            return F.pad(v, flat, value=constant_values)
        for axis, (before, after) in enumerate(pairs):
            if before or after:
                v = v.index_select(axis, _mirrored(v.shape[axis], before, after, kind == "SYMMETRIC"))
        return v

    source = convert_to_tensor(tensor)
    dims = source.shape.dims
    static = None if dims is None else [d + sum(pair) for d, pair in zip(dims, pairs, strict=True)]
    name = name or ("PadV2" if constant_values else "Pad" if kind == "CONSTANT" else "MirrorPad")
    result: Tensor = make(name, name, compute, source, static=[(source.dtype, TensorShape(static))])
    return result


def tile(input: Any, multiples: Sequence[int], name: str | None = None) -> Tensor:
    """Return ``input`` repeated along each axis."""
    counts = [int(m) for m in multiples]
    result: Tensor = make(name, "Tile", lambda v: v.repeat(counts), convert_to_tensor(input))
    return result


def _joined(values: Sequence[Tensor], axis: int) -> Static:
    if any(v.shape.ndims is None for v in values):
        return [(values[0].dtype, TensorShape(None))]
    rank = len(values[0].shape)
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} is out of range for concatenation of tensors of rank {rank}")
    along = axis % rank
    open_ = TensorShape([None if a == along else d for a, d in enumerate(values[0].shape)])
    length: Any = Dimension(0)
    for v in values:
        open_ = open_.merge_with(TensorShape([None if a == along else d for a, d in enumerate(v.shape)]))
        length = length + v.shape[along]
    return [(values[0].dtype, TensorShape([length if a == along else d for a, d in enumerate(open_)]))]


def _mirrored(length: int, before: int, after: int, edge: bool) -> torch.Tensor:
    inner = list(range(length))
    start = 0 if edge else 1
    left = inner[start : before + start][::-1]
    right = inner[::-1][start : after + start]
    if len(left) != before or len(right) != after:
        raise ValueError(f"paddings [{before}, {after}] are more than an axis of size {length} can mirror")
    return torch.tensor([*left, *inner, *right])


def same_type(name: str, values: Sequence[Tensor]) -> None:
    """Raise ``TypeError`` unless the tensors have one type."""
    kinds = {v.dtype.name for v in values}
    if len(kinds) > 1:
        raise TypeError(
            f"Tensors in list passed to {name!r} have types {sorted(kinds)} that don't all match."
        )


MEANING["getitem"] = strided_slice
