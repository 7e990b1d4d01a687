"""Adam and SGD of networks side by side, against PyTorch's, one network at a time, in float64."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from bnstudy.train.network import ArticleNet
from bnstudy.train.optimize import SGD, Adam

SEEDS = (3, 5)
RATES = ((1e-2, 3e-3), (1e-2, 2e-3), (1e-2, 1e-3))  # of each step, of each member: constant, annealed
PENALTIES = (0.0, 0.1)


def network(seeds, **options):
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    # Batch normalization cancels biases: their gradients are rounding, which Adam would scale up.
    bias = options.get("norm") == "none"
    net = ArticleNet(members=len(seeds), generator=generators, conv_bias=bias, scale=True, **options).double()
    return net.to(memory_format=torch.channels_last)


def batch(step):
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(6, 3 * len(SEEDS), 32, 32, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, 10, (6, len(SEEDS)), generator=generator)


def ordinary(name, net, penalty, momentum):
    """Return PyTorch's optimizer with the penalty on the weights of convolutions alone."""
    weights = [p for p in net.parameters() if p.dim() == 4]
    others = [p for p in net.parameters() if p.dim() != 4]
    groups = [{"params": weights, "weight_decay": penalty}, {"params": others}]
    return torch.optim.SGD(groups, lr=1, momentum=momentum) if name == "sgd" else torch.optim.Adam(groups)


@pytest.mark.parametrize(("name", "momentum"), [("adam", 0.0), ("sgd", 0.0), ("sgd", 0.9)])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_each_member_takes_the_steps_of_pytorchs_optimizer(name, momentum, norm):
    wide = network(SEEDS, norm=norm)
    optimizer = SGD(wide, 2, PENALTIES, momentum) if name == "sgd" else Adam(wide, 2, PENALTIES)
    alone = [network([seed], norm=norm) for seed in SEEDS]
    theirs = [ordinary(name, net, penalty, momentum) for net, penalty in zip(alone, PENALTIES, strict=True)]
    for step, rates in enumerate(RATES):
        x, y = batch(step)
        optimizer.zero_grad()
        F.cross_entropy(wide(x).reshape(12, 10), y.reshape(12), reduction="sum").div(6).backward()
        optimizer.step(torch.tensor(rates, dtype=torch.float64))
        for i, (net, own) in enumerate(zip(alone, theirs, strict=True)):
            for group in own.param_groups:
                group["lr"] = rates[i]
            own.zero_grad()
            F.cross_entropy(net(x.chunk(2, 1)[i]), y[:, i]).backward()
            own.step()
    for i, net in enumerate(alone):
        for mine, his in zip(wide.parameters(), net.parameters(), strict=True):
            torch.testing.assert_close(mine.chunk(2)[i], his, rtol=1e-10, atol=1e-10)


def test_parameters_become_views_and_keep_value_and_layout():
    net, same = network(SEEDS), network(SEEDS)
    optimizer = Adam(net, 2, PENALTIES)
    for a, b in zip(net.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.stride() == b.stride()
    optimizer.values.zero_()
    assert not any(p.any() for p in net.parameters())
