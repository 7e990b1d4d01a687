"""Constants, placeholders and the conversion of values into tensors of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from bnstudy.tf1.dtypes import as_dtype
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.session import missing_feed
from bnstudy.tf1.shapes import TensorShape


def constant(
    value: Any, dtype: Any = None, shape: Sequence[int] | None = None, name: str = "Const"
) -> Tensor:
    """Return a tensor of fixed value; a list shorter than ``shape`` repeats its last item.

    Raises ``ValueError`` for None or too many items, ``TypeError`` for text.

    Source: ``tf.constant`` of TensorFlow 1.
    """
    held = _as_torch(value, dtype)
    if shape is not None:
        size = int(np.prod(list(shape), dtype=np.int64))
        flat = held.reshape(-1)
        if flat.numel() > size:
            raise ValueError(
                f"Too many elements provided. Needed at most {size}, but received {flat.numel()}"
            )
        if flat.numel() < size:
            flat = torch.cat([flat, flat[-1:].expand(size - flat.numel())])
        held = flat.reshape(list(shape))
    graph = get_default_graph()
    # A constant waits for nothing, so that initial values can use one made anywhere.
    with graph.control_dependencies(None):
        op = graph.add(
            name,
            [],
            lambda run: held.to(run.session.device),
            [(as_dtype(held.dtype), TensorShape(list(held.shape)))],
        )
    op.constant = held
    return op.outputs[0]


def placeholder(dtype: Any, shape: Sequence[int | None] | None = None, name: str = "Placeholder") -> Tensor:
    """Return a tensor whose value comes from ``feed_dict``."""

    def missing(run: Any) -> torch.Tensor:
        raise missing_feed(op.name)

    op = get_default_graph().add(name, [], missing, [(as_dtype(dtype), TensorShape(shape))])
    return op.outputs[0]


def placeholder_with_default(value: Any, shape: Sequence[int | None] | None, name: str = "input") -> Tensor:
    """Return a tensor that has the value of ``value`` unless one is fed."""
    source = convert_to_tensor(value)
    op = get_default_graph().add(name, [source], lambda run, v: v, [(source.dtype, TensorShape(shape))])
    return op.outputs[0]


def convert_to_tensor(value: Any, dtype: Any = None, name: str = "Const") -> Tensor:
    """Return ``value`` as a tensor of the graph: itself, a variable's value or a constant.

    Raises ``ValueError`` for None, and for a tensor of another type than ``dtype``.
    """
    tensor = getattr(value, "snapshot", value)
    if isinstance(tensor, Tensor):
        if dtype is not None and as_dtype(dtype) is not tensor.dtype:
            raise ValueError(
                f"Tensor conversion requested dtype {as_dtype(dtype).name} for Tensor with dtype "
                f"{tensor.dtype.name}: {tensor!r}"
            )
        return tensor
    return constant(value, dtype, name=name)


def _as_torch(value: Any, dtype: Any) -> torch.Tensor:
    if value is None:
        raise ValueError("None values not supported.")
    if isinstance(value, torch.Tensor):
        return value.detach() if dtype is None else value.detach().to(as_dtype(dtype).torch)
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"Expected {dtype or 'a number'}, but got {value!r} of type {type(value).__name__!r}."
        )
    if dtype is not None:
        return torch.from_numpy(array.copy()).to(as_dtype(dtype).torch)
    if not isinstance(value, (np.ndarray, np.generic)):
        # Python's numbers have no width of their own: TensorFlow takes 32 bits.
        array = array.astype(
            {"f": np.float32, "i": np.int32, "b": np.bool_}.get(array.dtype.kind, array.dtype)
        )
    return torch.from_numpy(array.copy())


__all__ = ["constant", "convert_to_tensor", "placeholder", "placeholder_with_default"]
