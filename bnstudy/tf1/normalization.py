"""``tf.nn``'s moments and normalisations."""

from __future__ import annotations

from typing import Any

import torch

from bnstudy.norm.kernel import batch_normalization as normalized
from bnstudy.norm.moments import moments as batch_moments
from bnstudy.norm.moments import reduced_axes
from bnstudy.norm.moments import weighted_moments as weighted_batch_moments
from bnstudy.tf1.constants import constant, convert_to_tensor
from bnstudy.tf1.fused import fused_batch_norm as fused_operation
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.infer import make
from bnstudy.tf1.math import identity
from bnstudy.tf1.run import Run
from bnstudy.tf1.shapes import TensorShape, reduced


def moments(
    x: Any,
    axes: Any,
    shift: Any = None,
    name: str | None = None,
    keep_dims: bool | None = None,
    keepdims: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """Return mean and population variance over ``axes``; ``shift`` is ignored, as in TensorFlow.

    Raises ``ValueError`` for an axis out of range, or if both ``keep_dims`` and ``keepdims`` are given.
    """
    del shift
    if keep_dims is not None and keepdims is not None:
        raise ValueError("Cannot specify both 'keep_dims' and 'keepdims'.")
    keep = bool(keep_dims if keepdims is None else keepdims)
    source = convert_to_tensor(x)

    def compute(run: Run, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        dims = _listed(axes, source)
        mean, variance = batch_moments(v, dims, keep_dims=keep)
        if run.plan.higher and v.requires_grad and dims != []:
            # TensorFlow takes the mean in the variance for a constant. That leaves first derivatives as
            # they are, and
            # changes second ones.
            centre, _ = batch_moments(v.detach(), dims, keep_dims=True)
            variance = batch_moments((v - centre).square(), dims, keep_dims=keep)[0]
        return mean, variance

    return _both(
        name or "moments",
        "statistics",
        [source],
        compute,
        _after(source, axes, keep),
        ("mean", "variance") if keep else ("Squeeze", "Squeeze_1"),
    )


def weighted_moments(
    x: Any, axes: Any, frequency_weights: Any, name: str | None = None, keep_dims: bool = False
) -> tuple[Tensor, Tensor]:
    """Return weighted mean and population variance over ``axes``; weights broadcast against ``x``."""
    source, weights = convert_to_tensor(x), convert_to_tensor(frequency_weights)
    return _both(
        name or "weighted_moments",
        "statistics",
        [source, weights],
        lambda run, v, w: weighted_batch_moments(v, _listed(axes, source), w, keep_dims),
        _after(source, axes, keep_dims),
        ("mean", "variance") if keep_dims else ("Squeeze", "Squeeze_1"),
    )


def batch_normalization(
    x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: Any, name: str | None = None
) -> Tensor:
    """Return ``(x - mean) * scale / sqrt(variance + variance_epsilon) + offset``.

    Raises ``ValueError`` for shapes that do not broadcast, ``TypeError`` without an epsilon.
    """
    if variance_epsilon is None:
        raise TypeError("unsupported operand type(s) for +: 'float' and 'NoneType'")
    given = [convert_to_tensor(t) for t in (x, mean, variance)]
    extra = [None if t is None else convert_to_tensor(t) for t in (offset, scale)]
    has_offset, has_scale = extra[0] is not None, extra[1] is not None
    # A tensor as epsilon comes last.
    late = [convert_to_tensor(variance_epsilon)] if hasattr(variance_epsilon, "op") else []

    def compute(v: torch.Tensor, m: torch.Tensor, s: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        shift = rest[0] if has_offset else None
        factor = rest[int(has_offset)] if has_scale else None
        tiny: Any = rest[-1] if late else variance_epsilon
        return normalized(v, m, s, shift, factor, tiny)

    with get_default_graph().name_scope(name or "batchnorm"):
        result: Tensor = make("add_1", "add_1", compute, *given, *[t for t in extra if t is not None], *late)
    return result


def batch_norm_with_global_normalization(
    t: Any = None,
    m: Any = None,
    v: Any = None,
    beta: Any = None,
    gamma: Any = None,
    variance_epsilon: Any = None,
    scale_after_normalization: bool | None = None,
    name: str | None = None,
) -> Tensor:
    """Return ``t`` [N, H, W, C] normalised by ``m`` and ``v`` [C]; gamma counts with
    ``scale_after_normalization``.

    Source: ``tf.nn.batch_norm_with_global_normalization``, deprecated in TensorFlow 0.9.
    """
    return batch_normalization(
        t, m, v, beta, gamma if scale_after_normalization else None, variance_epsilon, name
    )


def fused_batch_norm(
    x: Any,
    scale: Any,
    offset: Any,
    mean: Any = None,
    variance: Any = None,
    epsilon: float = 0.001,
    data_format: str = "NHWC",
    is_training: bool = True,
    name: str | None = None,
    exponential_avg_factor: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the output, and the batch's mean and *Bessel-corrected* variance [C] (evaluating: those given).

    Raises ``ValueError`` for another layout, without ``mean`` and ``variance`` where they are needed, and
    for an ``exponential_avg_factor`` that is not 1.

    Source: ``tf.nn.fused_batch_norm``.
    """
    if data_format not in ("NHWC", "NCHW"):
        raise ValueError(f"data_format is {data_format!r}; allowed: 'NHWC', 'NCHW'")
    if exponential_avg_factor != 1.0:
        raise NotImplementedError(f"exponential_avg_factor is {exponential_avg_factor}; allowed here: 1.0")
    if not is_training and (mean is None or variance is None):
        raise ValueError("Both `mean` and `variance` must be a 1D tensor when `is_training` is False.")
    source = convert_to_tensor(x, name="input")
    factor, shift = convert_to_tensor(scale, name="scale"), convert_to_tensor(offset, name="offset")
    nothing = constant([]) if mean is None else convert_to_tensor(mean)
    unused = constant([]) if variance is None else convert_to_tensor(variance)
    channel = len(source.shape) - 1 if data_format == "NHWC" else 1
    return fused_operation(source, factor, shift, nothing, unused, epsilon, channel, bool(is_training), name)


def _both(
    name: str, inner: str, inputs: list[Tensor], compute: Any, shape: TensorShape, names: tuple[str, str]
) -> tuple[Tensor, Tensor]:
    # Two operations, each under its name: averages and slots are named after the operation that they follow.
    graph = get_default_graph()
    with graph.name_scope(name):
        op = graph.add(inner, inputs, compute, [(inputs[0].dtype, shape)] * 2)
        mean, variance = (identity(t, n) for t, n in zip(op.outputs, names, strict=True))
    return mean, variance


def _after(source: Tensor, axes: Any, keep: bool) -> TensorShape:
    return (
        TensorShape(None)
        if source.shape.ndims is None
        else reduced(source.shape, _listed(axes, source), keep)
    )


def _listed(axes: Any, source: Tensor) -> Any:
    if source.shape.ndims is None:
        return axes
    return reduced_axes(
        [int(a) for a in axes] if isinstance(axes, (list, tuple)) else axes, source.shape.ndims
    )
