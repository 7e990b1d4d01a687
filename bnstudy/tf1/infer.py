"""Adding operations whose types and static shapes follow from the function that they compute."""

from __future__ import annotations

from typing import Any

import torch

from bnstudy.tf1.dtypes import DType, as_dtype
from bnstudy.tf1.graph import Compute, Tensor, get_default_graph
from bnstudy.tf1.shapes import TensorShape

# Stand-ins for unknown sizes: an output size that differs between the two is unknown too. They
# have many divisors, so that reshapes of unknown batches divide.
_STAND_INS = (720, 1440)

Static = list[tuple[DType, TensorShape]]


def make(
    name: str | None, default: str, function: Compute, *inputs: Tensor, static: Static | None = None
) -> Any:
    """Add a stateless operation ``function(*input values)``; return its tensor or tuple of tensors.

    ``static`` are types and static shapes of the outputs. Without it they come from running ``function`` on
    tensors without data. Raises ``ValueError`` if it refuses inputs whose shapes are fully known.
    """
    outputs, several = (static, len(static) > 1) if static else infer(function, inputs)
    op = get_default_graph().add(name or default, inputs, lambda run, *values: function(*values), outputs)
    return tuple(op.outputs) if several else op.outputs[0]


def infer(function: Compute, inputs: tuple[Tensor, ...]) -> tuple[Static, bool]:
    """Return type and static shape of each output, and whether there are several."""
    known = all(t.shape.is_fully_defined() for t in inputs)
    ranked = all(t.shape.ndims is not None for t in inputs)
    results = []
    for size in _STAND_INS[: 1 if known else 2]:
        sizes = [[size if d.value is None else d.value for d in t.shape] for t in inputs]
        fakes = [
            torch.empty(s, dtype=t.dtype.torch, device="meta") for s, t in zip(sizes, inputs, strict=True)
        ]
        try:
            result = function(*fakes)
        except (RuntimeError, IndexError) as error:
            if known:
                raise ValueError(
                    f"{error}; input shapes: {', '.join(str(t.shape) for t in inputs)}"
                ) from error
            return [(inputs[0].dtype, TensorShape(None))], False
        several = isinstance(result, tuple)
        results.append(result if several else (result,))
    outputs = []
    for versions in zip(*results, strict=True):
        dims = [
            s if len(set(sizes)) == 1 else None
            for sizes in zip(*(v.shape for v in versions), strict=True)
            for s in sizes[:1]
        ]
        outputs.append((as_dtype(versions[0].dtype), TensorShape(dims if ranked else None)))
    return outputs, several
