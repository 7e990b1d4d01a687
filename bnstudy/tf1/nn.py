"""``tf.nn``: layers of the article's network, in NHWC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from bnstudy.norm.affine import batch_normalization as normalized
from bnstudy.norm.moments import moments as batch_moments
from bnstudy.norm.moments import reduced_axes
from bnstudy.norm.moments import weighted_moments as weighted_batch_moments
from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.dtypes import float32
from bnstudy.tf1.graph import Tensor, get_default_graph, make
from bnstudy.tf1.initializers import random
from bnstudy.tf1.math import unary


def relu(features: Any, name: str | None = None) -> Tensor:
    """Return ``max(features, 0)``."""
    return unary(name or "Relu", F.relu, features)


def tanh(x: Any, name: str | None = None) -> Tensor:
    """Return the hyperbolic tangent."""
    return unary(name or "Tanh", torch.tanh, x)


def sigmoid(x: Any, name: str | None = None) -> Tensor:
    """Return ``1 / (1 + exp(-x))``."""
    return unary(name or "Sigmoid", torch.sigmoid, x)


def softmax(logits: Any, name: str | None = None) -> Tensor:
    """Return probabilities over the last axis."""
    return unary(name or "Softmax", lambda v: v.softmax(-1), logits)


def bias_add(value: Any, bias: Any, name: str | None = None) -> Tensor:
    """Add ``bias`` [C] to the last axis."""
    result: Tensor = make(name, "BiasAdd", torch.add, convert_to_tensor(value), convert_to_tensor(bias))
    return result


def conv2d(
    input: Any, filter: Any, strides: Sequence[int], padding: str, name: str | None = None, **ignored: Any
) -> Tensor:
    """Convolve ``input`` [N, H, W, C] with ``filter`` [h, w, C, C_out]: ``"SAME"`` or ``"VALID"``.

    ``use_cudnn_on_gpu`` is accepted and ignored; other layouts raise ``ValueError``.
    """
    _check_layout(ignored)
    steps = _spatial(strides, "strides")

    def compute(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        inner = _padded(x.permute(0, 3, 1, 2), w.shape[:2], steps, padding, 0.0)
        return F.conv2d(inner, w.permute(3, 2, 0, 1), stride=steps).permute(0, 2, 3, 1)

    result: Tensor = make(name, "Conv2D", compute, convert_to_tensor(input), convert_to_tensor(filter))
    return result


def max_pool(
    value: Any,
    ksize: Sequence[int],
    strides: Sequence[int],
    padding: str,
    name: str | None = None,
    **ignored: Any,
) -> Tensor:
    """Return the maximum of each window of ``value`` [N, H, W, C]."""
    _check_layout(ignored)
    window, steps = _spatial(ksize, "ksize"), _spatial(strides, "strides")

    def compute(x: torch.Tensor) -> torch.Tensor:
        inner = _padded(x.permute(0, 3, 1, 2), window, steps, padding, float("-inf"))
        return F.max_pool2d(inner, window, steps).permute(0, 2, 3, 1)

    return unary(name or "MaxPool", compute, value)


def avg_pool(
    value: Any,
    ksize: Sequence[int],
    strides: Sequence[int],
    padding: str,
    name: str | None = None,
    **ignored: Any,
) -> Tensor:
    """Return the mean of each window of ``value`` [N, H, W, C]; padding does not count."""
    _check_layout(ignored)
    window, steps = _spatial(ksize, "ksize"), _spatial(strides, "strides")

    def compute(x: torch.Tensor) -> torch.Tensor:
        channels_first = x.permute(0, 3, 1, 2)
        inner = _padded(channels_first, window, steps, padding, 0.0)
        inside = _padded(torch.ones_like(channels_first[:1, :1]), window, steps, padding, 0.0)
        pooled = F.avg_pool2d(inner, window, steps) / F.avg_pool2d(inside, window, steps)
        return pooled.permute(0, 2, 3, 1)

    return unary(name or "AvgPool", compute, value)


def dropout(x: Any, keep_prob: float, seed: int | None = None, name: str = "dropout") -> Tensor:
    """Keep each element with probability ``keep_prob``, a number, and divide by it."""
    source = convert_to_tensor(x)
    if not 0.0 < keep_prob <= 1.0:
        raise ValueError(f"keep_prob must be a scalar tensor or a float in the range (0, 1], got {keep_prob}")
    shape = source.shape.as_list()
    if None in shape:
        # One draw per element needs the batch size, which only the session knows.
        def masked(run: Any, v: torch.Tensor) -> torch.Tensor:
            return v * torch.empty_like(v).bernoulli_(keep_prob) / keep_prob

        return get_default_graph().add(name, [source], masked, [(source.dtype, source.shape)]).outputs[0]
    mask = random(
        name, [int(s or 0) for s in shape], float32, seed, lambda t, g: t.bernoulli_(keep_prob, generator=g)
    )
    result: Tensor = make(name, name, lambda v, m: v * m.to(v.dtype) / keep_prob, source, mask)
    return result


def softmax_cross_entropy_with_logits(
    _sentinel: Any = None, labels: Any = None, logits: Any = None, dim: int = -1, name: str | None = None
) -> Tensor:
    """Return the cross-entropy [N] of ``logits`` [N, K] against the distributions ``labels`` [N, K].

    Raises ``ValueError`` for positional arguments, as TensorFlow does from 1.0 on.
    """
    if _sentinel is not None or labels is None or logits is None:
        raise ValueError(
            "Only call `softmax_cross_entropy_with_logits` with named arguments (labels=..., logits=..., ...)"
        )
    result: Tensor = make(
        name,
        "SoftmaxCrossEntropyWithLogits",
        lambda y, z: -(y.to(z.dtype) * z.log_softmax(dim)).sum(dim),
        convert_to_tensor(labels),
        convert_to_tensor(logits),
    )
    return result


softmax_cross_entropy_with_logits_v2 = softmax_cross_entropy_with_logits


def sparse_softmax_cross_entropy_with_logits(
    _sentinel: Any = None, labels: Any = None, logits: Any = None, name: str | None = None
) -> Tensor:
    """Return the cross-entropy [N] of ``logits`` [N, K] against the classes ``labels`` [N]."""
    if _sentinel is not None or labels is None or logits is None:
        raise ValueError(
            "Only call `sparse_softmax_cross_entropy_with_logits` with named arguments "
            "(labels=..., logits=..., ...)"
        )
    result: Tensor = make(
        name,
        "SparseSoftmaxCrossEntropyWithLogits",
        lambda y, z: -z.log_softmax(-1).gather(-1, y.long()[..., None])[..., 0],
        convert_to_tensor(labels),
        convert_to_tensor(logits),
    )
    return result


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
    if source.shape.ndims is not None:
        axes = reduced_axes(axes, source.shape.ndims)
    mean, variance = make(name, "moments", lambda v: batch_moments(v, axes, keep_dims=keep), source)
    return mean, variance


def weighted_moments(
    x: Any, axes: Any, frequency_weights: Any, name: str | None = None, keep_dims: bool = False
) -> tuple[Tensor, Tensor]:
    """Return weighted mean and population variance over ``axes``; weights broadcast against ``x``."""
    mean, variance = make(
        name,
        "weighted_moments",
        lambda v, w: weighted_batch_moments(v, axes, w, keep_dims),
        convert_to_tensor(x),
        convert_to_tensor(frequency_weights),
    )
    return mean, variance


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

    def compute(v: torch.Tensor, m: torch.Tensor, s: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        shift = rest[0] if has_offset else None
        factor = rest[-1] if has_scale else None
        return normalized(v, m, s, shift, factor, variance_epsilon)

    result: Tensor = make(name, "batchnorm", compute, *given, *[t for t in extra if t is not None])
    return result


def _spatial(sizes: Sequence[int], argument: str) -> tuple[int, int]:
    if len(sizes) != 4 or sizes[0] != 1 or sizes[3] != 1:
        raise ValueError(f"{argument} is {list(sizes)}; allowed: [1, height, width, 1]")
    return int(sizes[1]), int(sizes[2])


def _check_layout(options: dict[str, Any]) -> None:
    if options.pop("data_format", "NHWC") != "NHWC":
        raise ValueError("data_format must be 'NHWC' here")
    options.pop("use_cudnn_on_gpu", None)
    if options:
        raise TypeError(f"unexpected keyword arguments {sorted(options)}")


def _padded(
    x: torch.Tensor, window: Sequence[int], steps: Sequence[int], padding: str, value: float
) -> torch.Tensor:
    if padding == "VALID":
        return x
    if padding != "SAME":
        raise ValueError(f"padding is {padding!r}; allowed: 'SAME', 'VALID'")
    pads: list[int] = []
    for size, length, step in zip(reversed(x.shape[2:]), reversed(window), reversed(steps), strict=True):
        total = max((-(-size // step) - 1) * step + length - size, 0)
        # An odd padding is larger at the end, unlike PyTorch's.
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value) if any(pads) else x
