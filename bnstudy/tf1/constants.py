"""Constants, placeholders and the conversion of values into tensors of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from bnstudy.tf1.dtypes import as_dtype
from bnstudy.tf1.errors import missing_feed
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.shapes import Dimension, TensorShape


def constant(
    value: Any, dtype: Any = None, shape: Sequence[int] | None = None, name: str = "Const"
) -> Tensor:
    """Return a tensor of fixed value; a list shorter than ``shape`` repeats its last item.

    Raises ``ValueError`` for None or too many items, ``TypeError`` for text.

    Source: ``tf.constant`` of TensorFlow 1.
    """
    held = _as_torch(value, dtype)
    if shape is not None:
        shape = [int(s) for s in TensorShape(shape)]
        size = int(np.prod(shape, dtype=np.int64))
        flat = held.reshape(-1)
        if flat.numel() > size:
            raise ValueError(
                f"Too many elements provided. Needed at most {size}, but received {flat.numel()}"
            )
        if flat.numel() < size:
            flat = torch.cat([flat, flat[-1:].expand(size - flat.numel())])
        held = flat.reshape(shape)
    op = get_default_graph().add(
        name,
        [],
        lambda run: held.to(run.session.device),
        [(as_dtype(held.dtype), TensorShape(list(held.shape)))],
    )
    op.constant = held
    return op.outputs[0]


def placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> Tensor:
    """Return a tensor whose value comes from ``feed_dict``; ``shape`` has None for sizes that vary."""

    def missing(run: Any) -> torch.Tensor:
        raise missing_feed(op.name)

    op = get_default_graph().add(name or "Placeholder", [], missing, [(as_dtype(dtype), TensorShape(shape))])
    return op.outputs[0]


def placeholder_with_default(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """Return a tensor that has the value of ``input`` unless one is fed."""
    graph = get_default_graph()
    with graph.name_scope(name or "PlaceholderWithDefault") as scope:
        source = convert_to_tensor(input, name="input")
    op = graph.add(scope, [source], lambda run, v: v, [(source.dtype, TensorShape(shape))])
    return op.outputs[0]


def convert_to_tensor(value: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """Return ``value`` as a tensor of the graph: itself, a variable's value, a stack of these or a constant.

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
    if isinstance(value, (list, tuple)) and any(_in_graph(item) for item in value):
        return _stacked(value, name)
    if isinstance(value, TensorShape):
        value = np.array(value.as_list(), np.int32)
    return constant(value, dtype, name=name or "Const")


def _in_graph(value: Any) -> bool:
    return isinstance(value, Tensor) or hasattr(value, "snapshot")


def _stacked(values: Sequence[Any], name: str | None) -> Tensor:
    # A list that mixes tensors and numbers, such as `[tf.shape(x)[0], 64]`.
    graph = get_default_graph()
    kind = next(v.dtype for v in values if _in_graph(v))
    with graph.name_scope(name or "packed") as scope:
        parts = [convert_to_tensor(v, kind, name=str(i)) for i, v in enumerate(values)]
    shape = TensorShape([len(parts)]).concatenate(parts[0].shape)
    op = graph.add(scope, parts, lambda run, *v: torch.stack(v), [(kind, shape)])
    op.role = "packed"
    return op.outputs[0]


def _as_torch(value: Any, dtype: Any) -> torch.Tensor:
    if value is None:
        raise ValueError("None values not supported.")
    if isinstance(value, torch.Tensor):
        return value.detach() if dtype is None else value.detach().to(as_dtype(dtype).torch)
    array = np.asarray(int(value) if isinstance(value, Dimension) else value)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"Expected {dtype or 'a number'}, but got {value!r} of type {type(value).__name__!r}."
        )
    if dtype is not None:
        kind = as_dtype(dtype)
        if (
            array.dtype.kind == "f"
            and not kind.is_floating
            and not isinstance(value, (np.ndarray, np.generic))
        ):
            raise TypeError(f"Expected {kind.name}, but got {value!r} of type {type(value).__name__!r}.")
        return torch.from_numpy(array.copy()).to(kind.torch)
    if not isinstance(value, (np.ndarray, np.generic)):
        # Python's numbers have no width of their own: TensorFlow takes 32 bits.
        array = array.astype(
            {"f": np.float32, "i": np.int32, "b": np.bool_}.get(array.dtype.kind, array.dtype)
        )
    return torch.from_numpy(array.copy())


def static_value(tensor: Any) -> Any:
    """Return the value of a constant tensor as NumPy has it, or None where only a session knows it."""
    held = tensor.op.constant if isinstance(tensor, Tensor) else None
    return None if held is None else held.numpy()


__all__ = ["constant", "convert_to_tensor", "placeholder", "placeholder_with_default", "static_value"]
