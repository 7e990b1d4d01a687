"""The operation behind ``fused=True``: normalisation and moments in one."""

from __future__ import annotations

from typing import Any

import torch

from bnstudy.norm.kernel import (
    batch_normalization,
    normalize_by_batch,
    normalize_by_statistics,
    statistics_dtype,
)
from bnstudy.norm.moments import moments as batch_moments
from bnstudy.tf1 import versions
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.run import Run
from bnstudy.tf1.shapes import TensorShape


def fused_batch_norm(
    x: Tensor,
    scale: Any,
    offset: Any,
    mean: Any,
    variance: Any,
    epsilon: float | None,
    channel: int,
    training: bool,
    name: str | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the output, and the mean [C] and *Bessel-corrected* variance [C] for the averages.

    ``channel`` is the axis of C. Half precision is normalised in float32 by float32 statistics.
    In training ``mean`` and ``variance`` are not read; a batch of one value has the corrected
    variance 0, and an empty one NaN. Otherwise they normalise, and are returned.

    Source: ``tf.nn.fused_batch_norm`` (its operation divides by ``max(n - 1, 1)``).
    """
    tiny = 0.001 if epsilon is None else epsilon
    smallest = versions.current().minimal_epsilon
    if smallest:
        tiny = max(tiny, smallest)

    def train(run: Run, v: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> tuple[torch.Tensor, ...]:
        del run
        inner = v.movedim(channel, 1)
        if v.numel() == 0:
            nothing = torch.full_like(beta, float("nan"))
            return v * 1, nothing, nothing
        if not tiny > 0.0:
            return _composed(inner, gamma, beta, tiny, channel)
        out, moments = normalize_by_batch(inner.to(statistics_dtype(v.dtype)), gamma, beta, tiny)
        corrected = moments.variance * (moments.count / max(moments.count - 1, 1))
        return out.movedim(1, channel).to(v.dtype), moments.mean, corrected

    def infer(
        run: Run, v: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor, m: torch.Tensor, s: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        del run
        inner = v.movedim(channel, 1).to(statistics_dtype(v.dtype))
        out = normalize_by_statistics(inner, m, s, gamma, beta, tiny)
        return out.movedim(1, channel).to(v.dtype), m, s

    channels = TensorShape([x.shape[channel]])
    statistic = (scale.dtype, channels)
    inputs = [x, scale, offset] if training else [x, scale, offset, mean, variance]
    op = get_default_graph().add(
        name or versions.current().fused_operation,
        inputs,
        train if training else infer,
        [(x.dtype, x.shape), statistic, statistic],
    )
    out, used_mean, used_variance = op.outputs
    return out, used_mean, used_variance


def _composed(
    inner: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor, epsilon: float, channel: int
) -> tuple[torch.Tensor, ...]:
    # PyTorch's kernel refuses an epsilon that is not positive; TensorFlow's computes with it.
    axes = [axis for axis in range(inner.dim()) if axis != 1]
    mean, variance = batch_moments(inner.to(statistics_dtype(inner.dtype)), axes)
    shape = [1, -1, *[1] * (inner.dim() - 2)]
    m, v, shift, factor = (t.reshape(shape) for t in (mean, variance, beta, gamma))
    out = batch_normalization(inner, m, v, shift, factor, epsilon)
    count = inner.numel() // inner.shape[1]
    return out.movedim(1, channel), mean.detach(), variance.detach() * (count / max(count - 1, 1))
