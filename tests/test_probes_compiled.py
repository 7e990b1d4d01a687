"""Probes see every layer of the article's network, also where its blocks run in one compiled pass."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from bnstudy.norm.fast import pooled
from bnstudy.probes import ActivationDrift, Gaussianity, InternalCovariateShift
from bnstudy.train.network import ArticleNet


@pytest.mark.parametrize("probe", [ActivationDrift, Gaussianity, InternalCovariateShift])
def test_every_layer_is_seen(probe):
    torch.manual_seed(0)
    net = ArticleNet().to(memory_format=torch.channels_last)
    x = torch.randn(4, 3, 32, 32).to(memory_format=torch.channels_last)
    y = torch.randint(10, (4,))
    if not pooled.serves(x):
        pytest.skip("numba is not installed")
    loss_fn = (F.cross_entropy,) if probe is InternalCovariateShift else ()
    looking = probe(net, *loss_fn)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with looking(x, y):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    layers = [f"blocks.conv{i}.{part}" for i in range(1, 6) for part in ("conv", "norm")]
    frame = looking.frame()
    assert set(frame["layer"]) - {""} == set(layers)
    if probe is Gaussianity:
        for stage in ("normalised", "output", "activated"):
            seen = frame[frame["quantity"] == f"{stage}_skewness"]["layer"]
            assert set(seen) >= {name for name in layers if name.endswith("norm")}, stage
