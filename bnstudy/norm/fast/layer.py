"""A layer's compiled passes: what ``BatchNorm``, ReLU and pooling give, in fewer passes over memory.

Where the loops don't fit, or somebody looks at what goes into the layer or comes out of it, the layer is
called as it is and PyTorch's operations do the rest. Moments, moving averages and gradients are the same.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules import module as torch_module

from bnstudy.norm.fast import pooled
from bnstudy.norm.layer import BatchNorm


def normalize_and_pool(layer: BatchNorm, x: Tensor, relu: bool) -> Tensor:
    """Return ``max_pool2d(relu(layer(x)), 2)`` of ``x`` [N, C, H, W], or without ReLU: [N, C, H/2, W/2]."""
    if not _fits(layer, x):
        y: Tensor = layer(x)
        return F.max_pool2d(F.relu(y) if relu else y, 2)
    layer.check_input(x)
    if not layer.training:
        return pooled.statistics_pool(
            x, layer.moving_mean, layer.moving_variance, layer.gamma, layer.beta, layer.epsilon, relu
        )
    y, batch = pooled.batch_norm_pool(x, layer.gamma, layer.beta, layer.epsilon, relu)
    layer.keep(batch)
    return y


def normalize_and_rectify(layer: BatchNorm, x: Tensor) -> Tensor:
    """Return ``relu(layer(x))``, in evaluation mode in one pass over [N, C, H, W].

    The bits are those of ``normalize_and_pool`` for values that are pooled already.
    """
    if layer.training or not _fits(layer, x):
        return F.relu(layer(x))
    layer.check_input(x)
    return pooled.statistics_relu(
        x, layer.moving_mean, layer.moving_variance, layer.gamma, layer.beta, layer.epsilon
    )


def _fits(layer: BatchNorm, x: Tensor) -> bool:
    tensors = (layer.gamma, layer.beta, layer.running_mean, layer.running_var)
    return (
        type(layer) is BatchNorm
        and layer.activation is None
        and layer.data_format == "NCHW"
        and layer.track_running_stats
        and not (layer.training and layer.renorm)
        and not _is_watched(layer)
        and pooled.serves(x, *tensors)
        and (layer.training or not _derives(x, *tensors))
    )


def _is_watched(layer: BatchNorm) -> bool:
    """Return whether a hook, or a forward of the instance's own, sees what the layer takes or gives."""
    # PyTorch has no public question for it. A hook that went unseen would make every probe wrong.
    hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks)
    return (
        any(hooks) or "forward" in vars(layer) or torch_module._has_any_global_hook()  # type: ignore[no-untyped-call]
    )


def _derives(*tensors: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
