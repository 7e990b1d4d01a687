"""Networks by name: the small ResNet against plain PyTorch, and a user's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnstudy import networks
from bnstudy.records.spec import RunSpec, SpecError, validate
from bnstudy.train import networks as named
from bnstudy.train.data import Dataset
from bnstudy.train.fleet import train_fleet, train_run
from bnstudy.train.networks import Asked, Network
from bnstudy.train.resnet import ResNet8


@pytest.fixture(scope="module")
def images(digits):
    return Dataset("digits", digits.x_train[:24], digits.y_train[:24], digits.x_test[:8], digits.y_test[:8])


def spec(**changes):
    looks = [{"epochs": [1], "statistics": ["batch", "moving", "precise"], "hits": True, "snapshot": True}]
    settings = {
        "dataset": "digits",
        "network": "resnet8",
        "batch_size": 8,
        "epochs": 1,
        "evaluations": 0,
        "zero_debias": ["none"],
        "precision": "float32",
        "looks": looks,
    }
    return validate(RunSpec, {**settings, **changes})


class Linear(Network):
    """A user's network: one normalisation and a linear layer."""

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self.norm = asked.norm_layer(asked.channels_in)
        self.linear = nn.Linear(asked.channels_in * 32 * 32, asked.classes)

    def forward(self, x):
        return self.linear(self.norm(x).float().flatten(1))


class Lazy(Network):
    """A network that doesn't know its sizes yet."""

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self.linear = nn.LazyLinear(asked.classes)


def seeded(count):
    return [torch.Generator().manual_seed(i) for i in range(count)]


def by_hand(net, x):
    """The same layers in plain PyTorch operations, in training mode."""

    def norm(y, layer):
        mean, variance = y.mean((0, 2, 3), keepdim=True), y.var((0, 2, 3), correction=0, keepdim=True)
        return (y - mean) / (variance + layer.epsilon).sqrt() + layer.beta[:, None, None]

    x = F.relu(norm(F.conv2d(x, net.stem.weight, padding=1), net.norm))
    for i, block in enumerate(net.blocks):
        stride = 1 if i == 0 else 2
        y = F.relu(norm(F.conv2d(x, block.conv1.weight, stride=stride, padding=1), block.norm1))
        y = norm(F.conv2d(y, block.conv2.weight, padding=1), block.norm2)
        if i > 0:
            x = norm(F.conv2d(x, block.around[0].weight, stride=stride), block.around[1])
        x = F.relu(x + y)
    return F.linear(x.mean((2, 3)), net.linear.weight[:, :, 0, 0], net.linear.bias)


def test_resnet8_is_what_its_docstring_says():
    net = ResNet8(Asked(generators=seeded(1))).double()
    x = torch.randn(5, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(net(x), by_hand(net, x))
    assert len([m for m in net.modules() if isinstance(m, nn.Conv2d)]) == 8 + 2  # and two ways around
    for conv in (net.blocks[0].conv1, net.blocks[2].conv2):
        assert conv.weight.var().item() == pytest.approx(2 / conv.weight[0].numel(), rel=0.1)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_members_side_by_side_compute_what_each_does_alone(norm):
    both = ResNet8(Asked(norm=norm, members=2, generators=seeded(2))).double()
    x = torch.randn(4, 6, 16, 16, dtype=torch.float64)
    for i, generator in enumerate(seeded(2)):
        alone = ResNet8(Asked(norm=norm, generators=[generator])).double()
        torch.testing.assert_close(both(x)[:, 10 * i : 10 * i + 10], alone(x[:, 3 * i : 3 * i + 3]))


def test_a_fleet_of_them_trains_as_each_alone(images):
    specs = [spec(seed=seed) for seed in (0, 1)]
    for it, found in zip(specs, train_fleet(specs, images, progress=False), strict=True):
        alone = train_run(it, images, progress=False)
        assert found.tables["training"]["loss"] == pytest.approx(alone.tables["training"]["loss"], rel=1e-2)
        np.testing.assert_allclose(
            found.tables["snapshot_averages"], alone.tables["snapshot_averages"], rtol=0.1, atol=1e-2
        )


def test_a_registered_network_trains(images):
    networks.register("linear", Linear)
    for name in ("linear", f"{__name__}:Linear"):
        found = train_run(spec(network=name), images, progress=False)
        assert found.outcome == "finished"
        assert len(found.tables["checkpoints"]["loss"]) == 3
    assert (
        train_run(spec(network="linear"), images, progress=False).tables["training"]
        == train_run(spec(network=f"{__name__}:Linear"), images, progress=False).tables["training"]
    )


def test_names_that_mean_no_network_are_refused(images):
    with pytest.raises(ValueError, match=r"network is 'nobody'.*allowed: 'article', 'resnet8'"):
        train_run(spec(network="nobody"), images, progress=False)
    with pytest.raises(ValueError, match=r"allowed: a bnstudy\.networks\.Network"):
        train_run(spec(network="torch.nn:Identity"), images, progress=False)
    networks.register("lazy", Lazy)
    with pytest.raises(ValueError, match="LazyModule"):
        train_run(spec(network="lazy"), images, progress=False)
    with pytest.raises(ValueError, match="name is 'article'; allowed"):
        networks.register("article", Linear)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dropout": 0.5}, "dropout is 0.5; allowed with network 'resnet8': 0.0"),
        ({"norm": "group"}, "norm is 'group'.*'batch' or 'none'"),
        ({"network": "no/path"}, "network is 'no/path'"),
    ],
)
def test_options_of_the_tutorials_network_alone_are_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        spec(**changes)


def test_the_pages_example_runs(monkeypatch):
    monkeypatch.setattr(named, "_REGISTERED", {})
    page = (Path(__file__).parents[1] / "book" / "api" / "records.md").read_text()
    [code] = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "Network" in block]
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    assert list(namespace["rows"]["statistics"]) == ["batch", "precise", "moving", "moving"]
