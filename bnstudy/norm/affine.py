"""The affine map of batch normalization with given statistics: ``tf.nn.batch_normalization``."""

from __future__ import annotations

from torch import Tensor

from bnstudy.norm.kernel import statistics_dtype


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
