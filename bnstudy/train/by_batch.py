"""Test batches of every size, each normalised by its own moments: many of them in one forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from bnstudy.norm import Arm, BatchNorm
from bnstudy.norm.bank import using
from bnstudy.norm.kernel import statistics_dtype
from bnstudy.train.evaluate import losses_and_hits
from bnstudy.train.feed import Split
from bnstudy.train.network import ArticleNet, Block, max_pool_2x2

FORWARD_SIZE = 250  # images, times members, in a forward pass; a larger test batch is a pass of its own


class Scores(NamedTuple):
    """Cross-entropy, and whether the largest logit is the label's, of each image and member: [N, R]."""

    losses: Tensor
    hits: Tensor


class Met(NamedTuple):
    """What one pass over the test images in batches gave.

    ``scores`` are in the order of the split; ``moved`` [2, C_total] is where the moving averages are
    afterwards, had each batch moved them in place (``updates_collections=None``).
    """

    scores: Scores
    moved: Tensor


@torch.no_grad()
def in_test_batches(net: ArticleNet, arm: Arm, moving: Tensor, test: Split, order: Tensor, size: int) -> Met:
    """Evaluate a network on test batches of ``size``, each with its own moments (``is_training=True``).

    Equal, within rounding, to a forward in training mode for each batch by itself, and much cheaper: the
    convolutions see many batches at once, and only the moments are those of each.

    Args:
        net: R networks side by side; left as they are. Batch normalization without renorm.
        arm: how the moving averages average.
        moving: their values [2, C_total] before the pass.
        test: the test images.
        order: in which each member meets them, indices [N, R]; the last batch may have fewer.
        size: images in a test batch.
    """
    losses = torch.zeros(order.shape, dtype=torch.float64, device=order.device)
    hits = torch.zeros(order.shape, dtype=torch.bool, device=order.device)
    moved = moving.clone()
    rate = 1.0 - arm.decay
    for index, groups in _passes(order, size):
        images, labels = test.batch(index)
        logits, moments = _forward(net, images, groups)
        each, right = losses_and_hits(logits, labels)
        losses.scatter_(0, index, each.double())
        hits.scatter_(0, index, right)
        for batch in moments:
            moved.sub_((moved - batch) * rate)
    return Met(Scores(losses, hits), moved)


@torch.no_grad()
def with_statistics(net: ArticleNet, statistics: Tensor, test: Split) -> Scores:
    """Evaluate a network on all test images with fixed statistics [2, C_total]; it is left as it was."""
    every = torch.arange(len(test), device=test.labels.device)
    found: list[tuple[Tensor, Tensor]] = []
    was_training = net.training
    net.eval()
    try:
        with using(net.norm_layers(), statistics):
            for index in torch.split(every, max(1, FORWARD_SIZE // (2 * net.members))):
                images, labels = test.batch(index[:, None].expand(-1, net.members))
                found.append(losses_and_hits(net(images), labels))
    finally:
        net.train(was_training)
    losses, hits = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Scores(losses.double(), hits)


def _passes(order: Tensor, size: int) -> Iterator[tuple[Tensor, int]]:
    """Yield the images of each forward pass, and how many batches of equal size they are."""
    whole = len(order) // size
    most = max(1, FORWARD_SIZE // (size * order.shape[1]))
    for start in range(0, whole, most):
        groups = min(most, whole - start)
        yield order[start * size : (start + groups) * size], groups
    if len(order) > whole * size:
        yield order[whole * size :], 1


def _forward(net: ArticleNet, x: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Return logits, and the moments of each group of images: [groups, 2, C_total]."""
    moments: list[Tensor] = []
    for block in net.blocks:
        assert isinstance(block, Block)
        x = block.conv(x)
        if isinstance(block.norm, BatchNorm):
            x, found = _normalised(x, block.norm, groups)
            moments.append(found)
        if block.relu:
            x = F.relu(x)
        if block.pool:
            x = max_pool_2x2(x)
    return net.logits(x), torch.cat(moments, 2)


def _normalised(x: Tensor, layer: BatchNorm, groups: int) -> tuple[Tensor, Tensor]:
    """Normalise [G * n, C, H, W] by the moments of each of G groups, which are returned too: [G, 2, C]."""
    channels = x.shape[1]
    rows = x.permute(0, 2, 3, 1).reshape(groups, -1, channels).to(statistics_dtype(x.dtype))
    variance, mean = torch.var_mean(rows, dim=1, correction=0, keepdim=True)
    factor: Any = (variance + layer.epsilon).rsqrt()
    if layer.gamma is not None:
        factor = factor * layer.gamma
    out = (rows - mean).mul_(factor)
    if layer.beta is not None:
        out = out.add_(layer.beta)
    n, _, height, width = x.shape
    out = out.to(x.dtype).view(n, height, width, channels).permute(0, 3, 1, 2)
    return out, torch.cat([mean, variance], 1)
