"""The maps of batch normalization: by a batch, over PyTorch's native kernel, and by given statistics.

Ioffe & Szegedy 2015, Algorithm 1 (training) and Algorithm 2, line 11 (inference).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class BatchMoments(NamedTuple):
    """Per-channel moments of one batch, detached, in float32 or better.

    ``mean`` [C]; ``variance`` [C], the population variance (divisor ``count``, no
    Bessel's correction); ``count``, the number of values behind each channel. All are 0 for a batch without
    values. ``weight``: the sum of the weights, a scalar, where values were weighed.
    """

    mean: Tensor
    variance: Tensor
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    weight: Tensor | None = None


def statistics_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which moments of values of ``dtype`` are held: float32 or better."""
    return torch.promote_types(dtype, torch.float32)


def normalize_by_batch(
    x: Tensor, scale: Tensor | None, offset: Tensor | None, epsilon: float
) -> tuple[Tensor, BatchMoments]:
    """Normalise ``x`` [N, C, ...] by its own moments; gradients flow through them.

    Returns the output, of the shape and dtype of ``x``, and the moments. A channel
    with a single value has variance 0 and normalises to the offset, as in TensorFlow
    (``tf.nn.moments`` and ``tf.nn.batch_normalization``). A batch without values is
    returned as it is. ``scale`` and ``offset`` [C] in half precision count as float32.
    """
    channels = x.shape[1]
    count = x.numel() // channels
    dtype = statistics_dtype(x.dtype)
    scale, offset = _at_least_float32(scale), _at_least_float32(offset)
    if count <= 1:
        # PyTorch refuses one value per channel; TensorFlow defines it.
        zero = torch.zeros(channels, dtype=dtype, device=x.device)
        mean = x.detach().reshape(channels).to(dtype) if count else zero
        nothing = (x - x.detach()) * 0
        # Gamma has a gradient here too: 0.
        return _affine(nothing, scale, offset).to(x.dtype), BatchMoments(mean, zero, count)
    if transformed() or (torch.compiler.is_compiling() and _adds_one_by_one(x)):
        return _composed(x, scale, offset, epsilon, count)
    out, moments = _native(x, scale, offset, epsilon, count)
    shift = _needed_shift(x, moments)
    if shift is None:
        return out, moments
    out, shifted = _native(x - per_channel(shift, x).to(x.dtype), scale, offset, epsilon, count)
    return out, BatchMoments(shifted.mean + shift, shifted.variance, count)


def _native(
    x: Tensor, scale: Tensor | None, offset: Tensor | None, epsilon: float, count: int
) -> tuple[Tensor, BatchMoments]:
    # With momentum 1 the native kernel's running buffers receive exactly the moments it
    # computes on the way, so that they cost no pass over x of their own.
    channels, dtype = x.shape[1], statistics_dtype(x.dtype)
    mean = torch.zeros(channels, dtype=dtype, device=x.device)
    variance = torch.zeros(channels, dtype=dtype, device=x.device)
    scale = _there_on_a_gpu(scale, offset, x)
    out = F.batch_norm(x, mean, variance, scale, offset, training=True, momentum=1.0, eps=epsilon)
    # The kernel stores the Bessel-corrected variance.
    return out, BatchMoments(mean, variance * ((count - 1) / count), count)


def _there_on_a_gpu(scale: Tensor | None, offset: Tensor | None, x: Tensor) -> Tensor | None:
    # There PyTorch (2.11) raises in the backward pass of an offset without a scale, in either mode.
    return torch.ones_like(offset) if scale is None and offset is not None and x.is_cuda else scale


def _composed(
    x: Tensor, scale: Tensor | None, offset: Tensor | None, epsilon: float, count: int
) -> tuple[Tensor, BatchMoments]:
    # Centred twice: the second mean is what rounding left of the first one. No branch on values, which
    # neither a compiled graph nor a transform allows, and no buffer that a transform would have to know.
    values = x.to(statistics_dtype(x.dtype))
    axes = [axis for axis in range(x.dim()) if axis != 1]
    mean = values.mean(axes)
    values = values - per_channel(mean, x)
    rest = values.mean(axes)
    values = values - per_channel(rest, x)
    variance = values.square().mean(axes)
    out = _affine(values * per_channel((variance + epsilon).rsqrt(), x), scale, offset)
    return out.to(x.dtype), BatchMoments((mean + rest).detach(), variance.detach(), count)


def _affine(x: Tensor, scale: Tensor | None, offset: Tensor | None) -> Tensor:
    if scale is not None:
        x = x * per_channel(scale, x)
    return x if offset is None else x + per_channel(offset, x)


def _at_least_float32(parameter: Tensor | None) -> Tensor | None:
    return None if parameter is None else parameter.to(statistics_dtype(parameter.dtype))


def transformed() -> bool:
    """Return whether a transform of ``torch.func`` is at work, such as ``vmap``."""
    # Not "is not None", which torch.compile answers with yes.
    return isinstance(torch._C._functorch.peek_interpreter_stack(), torch._C._functorch.CInterpreter)


def _adds_one_by_one(x: Tensor) -> bool:
    """Return whether PyTorch's kernel adds up float32 one by one.

    On a CPU it does for channels-last and 2-D input, so that the mean of many values is off by up to
    ``count * 1e-8`` of itself, and the variance by the square of that. Its other kernels add in double
    precision or by Welford's method.
    """
    one_by_one = x.dim() == 2 or not x.is_contiguous()
    return x.device.type == "cpu" and statistics_dtype(x.dtype) == torch.float32 and one_by_one


@torch.no_grad()
def _needed_shift(x: Tensor, moments: BatchMoments) -> Tensor | None:
    """Return what to subtract from each channel [C] so that its variance keeps three digits, or None.

    Where one-by-one sums could show (0 elsewhere, which leaves the bits alone), the channel is centred first.
    """
    if torch.compiler.is_compiling() or not _adds_one_by_one(x):
        return None
    error = moments.mean.square() * (moments.count * 1e-8) ** 2
    lossy = error > 1e-3 * moments.variance
    if not bool(lossy.any()):
        return None
    axes = [axis for axis in range(x.dim()) if axis != 1]
    return torch.where(lossy, x.detach().to(moments.mean.dtype).mean(axes), 0.0)


def normalize_by_statistics(
    x: Tensor, mean: Tensor, variance: Tensor, scale: Tensor | None, offset: Tensor | None, epsilon: float
) -> Tensor:
    """Normalise ``x`` [N, C, ...] by given statistics [C]: ``tf.nn.batch_normalization`` per channel."""
    scale = _there_on_a_gpu(scale, offset, x)
    return F.batch_norm(x, mean, variance, scale, offset, training=False, eps=epsilon)


def batch_normalization(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    offset: Tensor | None,
    scale: Tensor | None,
    variance_epsilon: float,
    name: str | None = None,
) -> Tensor:
    """Return ``(x - mean) * scale / sqrt(variance + variance_epsilon) + offset``, in the dtype of ``x``.

    All tensors broadcast against each other in NumPy's way, so that channels-last input takes
    statistics of shape [C] and channels-first input [C, 1, 1]. ``None`` leaves scale or offset
    out. Half precision is computed in float32. ``name`` is ignored.

    ``x - mean`` comes first (TensorFlow folds the mean into the offset): with a mean of 10^4
    standard deviations the folded form loses half of float32's digits.

    Source: ``tf.nn.batch_normalization``; Ioffe & Szegedy 2015, Algorithm 1, line 3.
    """
    del name
    dtype = statistics_dtype(x.dtype)
    inverse = (variance.to(dtype) + variance_epsilon).rsqrt()
    if scale is not None:
        inverse = inverse * scale.to(dtype)
    out = (x.to(dtype) - mean.to(dtype)) * inverse
    if offset is not None:
        out = out + offset.to(dtype)
    return out.to(x.dtype)


def per_channel(values: Tensor, like: Tensor) -> Tensor:
    """Return ``values`` [C] shaped to broadcast over channel 1 of ``like`` [N, C, ...]."""
    return values.reshape(1, -1, *(1,) * (like.dim() - 2))
