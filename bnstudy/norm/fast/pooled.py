"""Batch norm, ReLU and 2x2 max pooling in as few passes over memory as it takes.

PyTorch's separate operations read and write the whole image about ten times for a forward and a
backward. Here the forward reads it twice (moments; pooling), and what follows the maximum happens on a
quarter of the values: a rising affine map and ReLU commute with a maximum, and a falling one turns it into
a minimum. The backward reads the image once and writes its gradient once.

The loops are compiled by numba and serve channels-last float32, float64 and bfloat16 on a CPU. ``serves``
says whether they fit a tensor; elsewhere the caller composes PyTorch's operations.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional as F

from bnstudy.norm.fast.threads import share
from bnstudy.norm.kernel import BatchMoments, normalize_by_batch, statistics_dtype, transformed

DTYPES = (torch.float32, torch.float64, torch.bfloat16)

# Values whose sums are added up in the precision of the statistics; their totals are added in double.
BLOCK = 1 << 14


@cache
def _compiled() -> ModuleType | None:
    """Return the compiled loops, or None where numba is not installed or has nowhere to keep them."""
    try:
        from bnstudy.norm.fast import compiled
    except (ImportError, RuntimeError):
        return None
    return compiled


def serves(x: Tensor, *parameters: Tensor | None) -> bool:
    """Return whether the compiled loops can take ``x`` [N, C, H, W] and per-channel ``parameters`` [C].

    They need plain channels-last tensors on the CPU, with H and W even, parameters in the dtype of the
    statistics, and nothing that traces, transforms or watches the operations (``torch.compile``,
    ``torch.func``, forward-mode derivatives, function and dispatch modes).
    """
    return (
        not torch.compiler.is_compiling()
        and not transformed()
        and torch._C._len_torch_function_stack() == 0
        and forward_ad._current_level < 0
        and torch._C._len_torch_dispatch_stack() == 0
        and type(x) is Tensor
        and x.device.type == "cpu"
        and x.dtype in DTYPES
        and x.dim() == 4
        and x.numel() > 0
        and x.shape[2] % 2 == 0
        and x.shape[3] % 2 == 0
        and x.is_contiguous(memory_format=torch.channels_last)
        and all(p is None or p.dtype == statistics_dtype(x.dtype) for p in parameters)
        and _compiled() is not None
    )


def batch_norm_pool(
    x: Tensor, scale: Tensor | None, offset: Tensor | None, epsilon: float, relu: bool
) -> tuple[Tensor, BatchMoments]:
    """Return ``max_pool2d(relu(batch_norm(x)))`` [N, C, H/2, W/2] and the moments of ``x`` [N, C, H, W].

    ``serves(x, scale, offset)`` must hold. Gradients flow through the moments. Of equal values in a window
    the first takes the gradient, as in PyTorch; values count as equal before normalisation rounds them.
    A NaN in a channel makes all of it NaN.
    """
    count = x.numel() // x.shape[1]
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, scale, offset)):
        y, mean, variance = _BatchNormPool.apply(x, scale, offset, epsilon, relu)  # type: ignore[no-untyped-call]
    else:
        mean, variance = batch_moments(x)
        y = _pool(x, _coefficients(mean, variance, scale, offset, epsilon), scale, relu)
    return y, BatchMoments(mean, variance, count)


def statistics_pool(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    scale: Tensor | None,
    offset: Tensor | None,
    epsilon: float,
    relu: bool,
) -> Tensor:
    """Return ``max_pool2d(relu(batch_norm(x)))`` [N, C, H/2, W/2] by given statistics [C], without gradients.

    ``serves(x, mean, variance, scale, offset)`` must hold. The mean is taken off first, as in
    ``batch_normalization``; PyTorch folds it into the offset, which costs digits when it is large.
    """
    return _pool(x, _coefficients(mean, variance, scale, offset, epsilon), scale, relu)


def statistics_relu(
    x: Tensor, mean: Tensor, variance: Tensor, scale: Tensor | None, offset: Tensor | None, epsilon: float
) -> Tensor:
    """Return ``relu(batch_norm(x))`` of ``x`` [N, C, H, W]: ``statistics_pool`` without the pooling."""
    y = torch.empty_like(x)
    coefficients = _coefficients(mean, variance, scale, offset, epsilon).detach().numpy()
    _share("affine_relu", x.numel() // x.shape[1], x.numel(), _flat(x), _flat(y), coefficients)
    return y


def relu_pool(x: Tensor, relu: bool) -> Tensor:
    """Return ``max_pool2d(relu(x))`` [N, C, H/2, W/2] of ``x`` [N, C, H, W], or without ReLU.

    ``serves(x)`` must hold.
    """
    if torch.is_grad_enabled() and x.requires_grad:
        return _ReluPool.apply(x, relu)  # type: ignore[no-any-return,no-untyped-call]
    return _pool(x, _identity(x), None, relu)


@torch.no_grad()
def batch_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and population variance [C] of ``x`` [N, C, H, W] over all but the channels.

    Each block is summed around its own mean and the blocks are combined in double precision, so that
    no mean is too large for the variance. Source: Chan, Golub & LeVeque 1983, eq. 2.1.
    """
    channels = x.shape[1]
    pixels = x.numel() // channels
    block = max(1, BLOCK // channels)
    parts = np.empty((-(-pixels // block), 2, channels))
    dtype = statistics_dtype(x.dtype)
    numpy_dtype = np.dtype(np.float64 if dtype == torch.float64 else np.float32)
    _share("moments", len(parts), x.numel(), _flat(x), pixels, block, parts, numpy_dtype)
    counts = np.full((len(parts), 1), float(block))
    counts[-1] = pixels - block * (len(parts) - 1)
    means = parts[:, 0]
    mean = (means * counts).sum(0) / pixels
    variance = (parts[:, 1] + counts * (means - mean) ** 2).sum(0) / pixels
    return torch.from_numpy(mean).to(dtype), torch.from_numpy(variance).to(dtype)


class _BatchNormPool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor | None, offset: Tensor | None, epsilon: float, relu: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = batch_moments(x)
        y, extreme, index = _pool_and_remember(
            x, _coefficients(mean, variance, scale, offset, epsilon), scale, relu
        )
        ctx.save_for_backward(x, scale, offset, mean, variance, extreme, index)
        ctx.epsilon, ctx.relu = epsilon, relu
        ctx.mark_non_differentiable(mean, variance)
        ctx.set_materialize_grads(False)
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        x, scale, offset, mean, variance, extreme, index = ctx.saved_tensors
        gradient = gradients[0]
        if gradient is None:
            return None, None, None, None, None
        if torch.is_grad_enabled():  # a derivative of this gradient is wanted
            y = normalize_by_batch(x, scale, offset, ctx.epsilon)[0]
            y = F.max_pool2d(F.relu(y) if ctx.relu else y, 2)
            return *_replayed(y, (x, scale, offset), gradient), None, None
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        total, product = _gradient_sums(gradient, extreme, index, mean)
        inverse = (variance + ctx.epsilon).rsqrt()
        slope = inverse if scale is None else inverse * scale
        dx = None
        if ctx.needs_input_grad[0]:
            count = x.numel() // x.shape[1]
            factor = -slope * inverse.square() * product / count
            coefficients = torch.stack([slope, -slope * total / count, factor, mean])
            dx = torch.empty_like(x)
            _share(
                "input_gradient",
                _rows(gradient),
                x.numel(),
                _flat(x),
                _flat(dx),
                _flat(gradient),
                _flat(index),
                x.shape[3],
                coefficients.numpy(),
            )
        return (
            dx,
            product * inverse if ctx.needs_input_grad[1] else None,
            total if ctx.needs_input_grad[2] else None,
            None,
            None,
        )


class _ReluPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, relu: bool) -> Tensor:
        y, _, index = _pool_and_remember(x, _identity(x), None, relu)
        ctx.save_for_backward(index)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None]:
        (index,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # a derivative of this gradient is wanted
            return _scattered(gradients[0], index), None
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        n, c, h, w = gradient.shape
        shape = (n, c, 2 * h, 2 * w)
        dx = torch.empty(shape, dtype=gradient.dtype, memory_format=torch.channels_last)
        _share("scatter", n * h, dx.numel(), _flat(dx), _flat(gradient), _flat(index), 2 * w, c)
        return dx, None


def _scattered(gradient: Tensor, index: Tensor) -> Tensor:
    n, c, h, w = gradient.shape
    windows = torch.stack([torch.where(index == at, gradient, 0) for at in range(4)], dim=-1)
    return windows.reshape(n, c, h, w, 2, 2).permute(0, 1, 2, 4, 3, 5).reshape(n, c, 2 * h, 2 * w)


def _replayed(y: Tensor, inputs: tuple[Tensor | None, ...], gradient: Tensor) -> list[Tensor | None]:
    # PyTorch's own operations, since their gradients have gradients.
    wanted = [t for t in inputs if t is not None and t.requires_grad]
    found = iter(torch.autograd.grad(y, wanted, gradient, create_graph=True))
    return [next(found) if t is not None and t.requires_grad else None for t in inputs]


def _pool(x: Tensor, coefficients: Tensor, scale: Tensor | None, relu: bool) -> Tensor:
    y = _pooled_like(x)
    _share(
        "pool",
        _rows(y),
        x.numel(),
        _flat(x),
        _flat(y),
        x.shape[3],
        coefficients.detach().numpy(),
        _sign(scale, coefficients),
        relu,
    )
    return y


def _pool_and_remember(
    x: Tensor, coefficients: Tensor, scale: Tensor | None, relu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    y, extreme = _pooled_like(x), _pooled_like(x)
    index = torch.empty_like(y, dtype=torch.uint8)
    _share(
        "pool_and_remember",
        _rows(y),
        x.numel(),
        _flat(x),
        _flat(y),
        _flat(extreme),
        _flat(index),
        x.shape[3],
        coefficients.numpy(),
        _sign(scale, coefficients),
        relu,
    )
    return y, extreme, index


def _gradient_sums(gradient: Tensor, extreme: Tensor, index: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    channels = gradient.shape[1]
    pixels = gradient.numel() // channels
    block = max(1, BLOCK // channels)
    parts = np.empty((-(-pixels // block), 2, channels))
    _share(
        "gradient_sums",
        len(parts),
        gradient.numel(),
        _flat(gradient),
        _flat(extreme),
        _flat(index),
        pixels,
        block,
        mean.numpy(),
        parts,
    )
    total, product = torch.from_numpy(parts.sum(0)).to(mean.dtype)
    return total, product


def _coefficients(
    mean: Tensor, variance: Tensor, scale: Tensor | None, offset: Tensor | None, epsilon: float
) -> Tensor:
    inverse = (variance + epsilon).rsqrt()
    slope = inverse if scale is None else inverse * scale
    return torch.stack([mean, slope, torch.zeros_like(mean) if offset is None else offset])


def _identity(x: Tensor) -> Tensor:
    channels, dtype = x.shape[1], statistics_dtype(x.dtype)
    return torch.tensor([[0.0], [1.0], [0.0]], dtype=dtype).repeat(1, channels)


def _sign(scale: Tensor | None, like: Tensor) -> NDArray[Any]:
    sign = torch.ones_like(like[0]) if scale is None else torch.where(scale < 0, -1.0, 1.0).to(like.dtype)
    return sign.detach().numpy()


def _pooled_like(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return torch.empty((n, c, h // 2, w // 2), dtype=x.dtype, memory_format=torch.channels_last)


def _rows(pooled: Tensor) -> int:
    return pooled.shape[0] * pooled.shape[2]


def _flat(x: Tensor) -> NDArray[Any]:
    """Return the memory of a channels-last tensor, channels fastest; bfloat16 as its bits."""
    flat = x.detach().permute(0, 2, 3, 1).view(-1)
    array: NDArray[Any] = (flat.view(torch.uint16) if x.dtype == torch.bfloat16 else flat).numpy()
    return array


def _share(name: str, *arguments: Any) -> None:
    share(getattr(_compiled(), name), *arguments)
