"""The flag ``is_training`` at test time: True, False, and False after it was True by mistake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bnstudy.norm.bank import Arm, StatisticsBank, using
from bnstudy.train.evaluate import CPU_FORWARD_SIZE
from bnstudy.train.feed import Split
from bnstudy.train.network import ArticleNet

ORDERS = ("shuffled", "sorted by class")

Table = dict[str, list[Any]]


@torch.no_grad()
def flag_table(
    net: ArticleNet,
    arm: Arm,
    moving: Tensor,
    test: Split,
    sizes: Sequence[int],
    generator: torch.Generator,
) -> Table:
    """Return loss and accuracy on the test images by order, size of the test batches and flag.

    ``statistics`` is ``"moving"`` (``is_training=False``; the same for all orders and sizes), ``"batch"``
    (True: each test batch's own moments) or ``"leaked"``: False, after one pass over the test images with
    True, which moves the averages in place (``updates_collections=None``).

    Args:
        net: a lone network; left as it is.
        arm: how its moving averages average.
        moving: their values [2, C_total].
        test: the test images.
        sizes: images in a test batch; the last batch of a pass may have fewer.
        generator: source of the shuffled order.
    """
    table: Table = {name: [] for name in ("order", "test_batch_size", "statistics", "loss", "accuracy")}
    was_training = net.training
    orders = (torch.randperm(len(test), generator=generator), test.labels.cpu().argsort(stable=True))
    try:
        net.eval()
        fixed = _fixed(net, moving, test)
        for name, order in zip(ORDERS, orders, strict=True):
            for size in sizes:
                batch, leaked = _pass(net, arm, moving, test, order.to(test.labels.device), size)
                found = {"moving": fixed, "batch": batch, "leaked": _fixed(net, leaked, test)}
                for statistics, (loss, accuracy) in found.items():
                    for column, value in zip(table, (name, size, statistics, loss, accuracy), strict=True):
                        table[column].append(value)
    finally:
        net.train(was_training)
    return table


def _pass(
    net: ArticleNet, arm: Arm, moving: Tensor, test: Split, order: Tensor, size: int
) -> tuple[tuple[float, float], Tensor]:
    """Return loss and accuracy with each batch's own moments, and where the averages are afterwards."""
    layers = net.norm_layers()
    with using(layers, moving):
        averages = StatisticsBank(layers, [arm])  # starts where the layers are
        for layer in layers:
            layer.train()
        try:
            scores = _scores(net, test, torch.split(order, size), averages.update)
        finally:
            for layer in layers:
                layer.eval()
    return scores, averages.statistics(arm)


def _fixed(net: ArticleNet, statistics: Tensor, test: Split) -> tuple[float, float]:
    everything = torch.arange(len(test), device=test.labels.device)
    with using(net.norm_layers(), statistics):
        return _scores(net, test, torch.split(everything, CPU_FORWARD_SIZE))


def _scores(
    net: ArticleNet, test: Split, batches: Sequence[Tensor], after: Any = lambda: None
) -> tuple[float, float]:
    losses, hits = 0.0, 0
    for logits, labels in _forwards(net, test, batches):
        after()
        losses += float(F.cross_entropy(logits, labels, reduction="sum"))
        hits += int((logits.argmax(1) == labels).sum())
    return losses / len(test), hits / len(test)


def _forwards(net: ArticleNet, test: Split, batches: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    for index in batches:
        images, labels = test.batch(index[:, None])
        yield net(images), labels[:, 0]
