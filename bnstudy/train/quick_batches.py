"""Test batches of every size, in a fraction of the time: compiled moments, and pooling before the norm.

What training records comes from ``bnstudy.train.by_batch``; this gives the same within rounding, and serves
questions that are asked afterwards.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from bnstudy.norm import Arm, BatchNorm
from bnstudy.norm.fast import pooled
from bnstudy.norm.kernel import statistics_dtype
from bnstudy.train.by_batch import Met, Scores, in_test_batches
from bnstudy.train.evaluate import losses_and_hits
from bnstudy.train.feed import Split
from bnstudy.train.network import ArticleNet, Block, max_pool_2x2

FORWARD_SIZE = 128  # images in a forward pass; a larger test batch is a pass of its own


@torch.no_grad()
def in_test_batches_quickly(
    net: ArticleNet, arm: Arm, moving: Tensor, test: Split, order: Tensor, size: int
) -> Met:
    """Evaluate a lone network on test batches of ``size``, each with its own moments.

    Arguments and result are those of ``in_test_batches``, which also does what this can't: several networks,
    a gamma, whose sign decides which value of a window is the largest, and other layouts and devices.
    """
    layers = net.norm_layers()
    if net.members > 1 or any(layer.gamma is not None for layer in layers):
        return in_test_batches(net, arm, moving, test, order, size)
    losses = torch.zeros(order.shape, dtype=torch.float64, device=order.device)
    hits = torch.zeros(order.shape, dtype=torch.bool, device=order.device)
    moved, rate = moving.clone(), 1.0 - arm.decay
    whole = len(order) // size
    most = max(1, FORWARD_SIZE // size)
    starts = [(first * size, min(most, whole - first)) for first in range(0, whole, most)]
    if whole * size < len(order):
        starts.append((whole * size, 1))
    for start, groups in starts:
        index = order[start : start + groups * size]
        images, labels = test.batch(index)
        if not pooled.serves(images):
            return in_test_batches(net, arm, moving, test, order, size)
        logits, moments = _forward(net, images, groups)
        each, right = losses_and_hits(logits, labels)
        losses.scatter_(0, index, each.double())
        hits.scatter_(0, index, right)
        for batch in moments:
            moved.sub_((moved - batch) * rate)
    return Met(Scores(losses, hits), moved)


def _forward(net: ArticleNet, x: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Return logits, and the moments of each group of images: [groups, 2, C_total]."""
    found: list[Tensor] = []
    for block in net.blocks:
        assert isinstance(block, Block)
        x = block.conv(x)
        layer = block.norm
        if isinstance(layer, BatchNorm):
            moments = torch.stack([torch.stack(_moments(part)) for part in x.chunk(groups)])
            found.append(moments)
            # A rising map, rounded or not, commutes with a maximum, and touches a quarter of the values.
            x = _normalised(max_pool_2x2(x) if block.pool else x, layer, moments)
            x = F.relu(x) if block.relu else x
        elif block.pool:
            x = max_pool_2x2(x, block.relu)
        else:
            x = F.relu(x) if block.relu else x
    return net.logits(x), torch.cat(found, 2)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    if pooled.serves(x):
        return pooled.batch_moments(x)
    variance, mean = torch.var_mean(x.to(statistics_dtype(x.dtype)), dim=(0, 2, 3), correction=0)
    return mean, variance


def _normalised(x: Tensor, layer: BatchNorm, moments: Tensor) -> Tensor:
    """Normalise [G * n, C, H, W] by the moments [G, 2, C] of each of G groups."""
    groups, n, channels = len(moments), len(x), x.shape[1]
    rows = x.permute(0, 2, 3, 1).reshape(groups, -1, channels).to(statistics_dtype(x.dtype))
    mean, variance = moments[:, :1], moments[:, 1:]
    out = (rows - mean).mul_((variance + layer.epsilon).rsqrt())
    if layer.beta is not None:
        out = out.add_(layer.beta)
    return out.to(x.dtype).view(n, *x.shape[2:], channels).permute(0, 3, 1, 2)
