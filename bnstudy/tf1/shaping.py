"""Shapes of tensors: read, changed, and with axes added, dropped or put in another order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from bnstudy.tf1.constants import convert_to_tensor, static_value
from bnstudy.tf1.dtypes import as_dtype, int32
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.infer import make
from bnstudy.tf1.reductions import once
from bnstudy.tf1.shapes import Dimension, TensorShape


def shape(input: Any, name: str | None = None, out_type: Any = int32) -> Tensor:
    """Return the sizes of the axes, as the session finds them."""
    source, kind = convert_to_tensor(input), as_dtype(out_type)
    rank = source.shape.ndims
    result: Tensor = make(
        name,
        "Shape",
        lambda v: torch.tensor(v.shape, dtype=kind.torch),
        source,
        static=[(kind, TensorShape([rank]))],
    )
    result.op.differentiable, result.op.role = False, "shape"
    if source.shape.is_fully_defined():
        result.op.constant = torch.tensor(source.shape.as_list(), dtype=kind.torch)
    return result


def size(input: Any, name: str | None = None) -> Tensor:
    """Return the number of values."""
    result: Tensor = make(
        name,
        "Size",
        lambda v: torch.tensor(v.numel(), dtype=torch.int32),
        convert_to_tensor(input),
        static=[(int32, TensorShape([]))],
    )
    result.op.differentiable = False
    return result


def reshape(tensor: Any, shape: Any, name: str | None = None) -> Tensor:
    """Return ``tensor`` in another shape, a list of sizes or a tensor of them; -1 stands for what is left.

    Raises ``ValueError`` for sizes that the values, as far as they are known, do not fill.
    """
    graph = get_default_graph()
    source = convert_to_tensor(tensor)
    with graph.name_scope(name or "Reshape") as scope:
        sizes, dynamic = known_sizes(shape)
    target = _reshaped(source.shape, sizes)
    if dynamic is None:
        listed = [-1 if s is None else s for s in sizes or []]
        static = [(source.dtype, target)]
        return graph.add(scope, [source], lambda run, v: v.reshape(listed), static).outputs[0]
    return graph.add(
        scope, [source, dynamic], lambda run, v, s: v.reshape(s.tolist()), [(source.dtype, target)]
    ).outputs[0]


def transpose(a: Any, perm: Sequence[int] | None = None, name: str | None = None) -> Tensor:
    """Return ``a`` with its axes in the order ``perm``, by default reversed."""
    source = convert_to_tensor(a)
    if perm is None and source.shape.ndims is None:
        raise ValueError(f"The rank of {source.name} must be known to reverse its axes.")
    order = list(reversed(range(len(source.shape)))) if perm is None else [int(p) for p in perm]
    dims = None if source.shape.ndims is None else [source.shape[p] for p in order]
    static = [(source.dtype, TensorShape(dims))]
    result: Tensor = make(name, "transpose", lambda v: v.permute(order), source, static=static)
    return result


def expand_dims(
    input: Any, axis: int | None = None, name: str | None = None, dim: int | None = None
) -> Tensor:
    """Return ``input`` with a new axis of size 1 at ``axis`` (earlier name: ``dim``)."""
    where = once("axis", axis, "dim", dim)
    if where is None:
        raise ValueError("axis is None; allowed: an integer")
    result: Tensor = make(name, "ExpandDims", lambda v: v.unsqueeze(where), convert_to_tensor(input))
    return result


def squeeze(input: Any, axis: Any = None, name: str | None = None, squeeze_dims: Any = None) -> Tensor:
    """Return ``input`` without axes of size 1, or those in ``axis`` (earlier name: ``squeeze_dims``)."""
    source = convert_to_tensor(input)
    where = once("axis", axis, "squeeze_dims", squeeze_dims)
    dims = source.shape.dims
    if not where and where != 0:
        known = source.shape.is_fully_defined()
        static = TensorShape([d for d in dims or [] if d.value != 1] if known else None)
        result: Tensor = make(name, "Squeeze", torch.squeeze, source, static=[(source.dtype, static)])
        return result
    axes = [int(a) for a in (where if isinstance(where, (list, tuple)) else [where])]

    def compute(v: torch.Tensor) -> torch.Tensor:
        for a in axes:
            if v.shape[a] != 1:
                raise ValueError(f"Can not squeeze dim[{a}], expected a dimension of 1, got {v.shape[a]}")
        return v.squeeze(axes)

    gone = {a % len(dims) for a in axes} if dims is not None else set()
    for a in gone:
        if dims is not None and dims[a].value not in (1, None):
            raise ValueError(f"Can not squeeze dim[{a}], expected a dimension of 1, got {dims[a]}")
    kept = None if dims is None else [d for a, d in enumerate(dims) if a not in gone]
    result = make(name, "Squeeze", compute, source, static=[(source.dtype, TensorShape(kept))])
    return result


def known_sizes(given: Any) -> tuple[list[int | None] | None, Tensor | None]:
    """Return the sizes that are known (None: not known), and a tensor if only a session knows them."""
    held = static_value(given)
    if held is not None:
        given = held.tolist()
    if isinstance(given, Tensor):
        if given.op.role == "shape":
            known = given.op.inputs[0].shape
            return (None if known.ndims is None else known.as_list()), given
        parts = given.op.inputs if given.op.role == "packed" else []
        count = given.shape[0].value if given.shape.ndims == 1 else None
        if count is None or len(parts) != count:
            return (None if count is None else [None] * count), given
        return [_known(part) for part in parts], given
    if isinstance(given, TensorShape) and not given.is_fully_defined():
        raise ValueError(f"Cannot convert a partially known TensorShape {given} to a Tensor.")
    listed = list(given) if isinstance(given, (list, tuple, TensorShape)) else [given]
    sizes = [_known(item) for item in listed]
    if all(s is not None for s in sizes):
        return sizes, None
    return sizes, convert_to_tensor(
        [s if k is None else k for s, k in zip(listed, sizes, strict=True)], name="shape"
    )


def _known(item: Any) -> int | None:
    if isinstance(item, Dimension):
        return item.value
    if isinstance(item, Tensor):
        held = static_value(item)
        return None if held is None else int(held)
    return int(item)


def _reshaped(source: TensorShape, sizes: list[int | None] | None) -> TensorShape:
    if sizes is None:
        return TensorShape(None)
    total = source.num_elements()
    free = [axis for axis, s in enumerate(sizes) if s is None or s < 0]
    known = math.prod(s for s in sizes if s is not None and s >= 0)
    dims = [None if axis in free else s for axis, s in enumerate(sizes)]
    if total is not None:
        if (not free and known != total) or (free and known and total % known):
            raise ValueError(
                f"Cannot reshape a tensor with {total} elements, of shape {source}, to "
                f"{[-1 if d is None else d for d in dims]}"
            )
        if len(free) == 1 and known:
            dims[free[0]] = total // known
    return TensorShape(dims)
