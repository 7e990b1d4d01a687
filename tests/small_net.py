"""A small network with batch norm, batches for it, and what a probe measured: what tests of probes share."""

from __future__ import annotations

import torch
from torch import nn


def values(probe, layer="", quantity=None):
    frame = probe.frame()
    frame = frame[(frame.layer == layer) & (frame.quantity == quantity)]
    return frame.value.tolist()


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def data(count, n=6):
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(n, 4, generator=generator), torch.randint(3, (n,), generator=generator))
        for _ in range(count)
    ]
