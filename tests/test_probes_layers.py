"""Which layers are measured, which axis counts their units, and the normalised value of any norm."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

from bnstudy.probes import (
    ActivationDrift,
    Gaussianity,
    GradientHealth,
    InternalCovariateShift,
    stepped,
)
from tests.small_net import data, net, values


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("3", {"3"}),
        (["0", "1"], {"0", "1"}),
        (nn.Linear, {"0", "3"}),
        ([nn.BatchNorm1d, "3"], {"1", "3"}),
        (lambda name, module: name == "1", {"1"}),
    ],
)
def test_layers_restrict_a_probe_and_change_no_value(layers, expected):
    model, ((x, y),) = net(), data(1)
    makes = [
        lambda **how: InternalCovariateShift(model, F.cross_entropy, **how),
        lambda **how: ActivationDrift(model, **how),
        lambda **how: Gaussianity(model, **how),
        lambda **how: GradientHealth(model, **how),
    ]
    some, every = [make(layers=layers) for make in makes], [make() for make in makes]
    with (
        some[0](x, y),
        some[1](x),
        some[2](x),
        some[3](),
        every[0](x, y),
        every[1](x),
        every[2](x),
        every[3](),
    ):
        F.cross_entropy(model(x), y).backward()
        torch.optim.SGD(model.parameters(), lr=0.5).step()
    for probe, whole in zip(some, every, strict=True):
        frame, full = probe.frame(), whole.frame()
        assert set(frame.layer) - {""} == expected
        part = full[full.layer.isin(expected)].reset_index(drop=True)
        assert frame[frame.layer != ""].reset_index(drop=True).equals(part)


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ("7", ValueError, "layers has '7', which no module is; allowed: for example '0'"),
        ([], ValueError, "layers is empty"),
        ([3], TypeError, "layers has 3; allowed: names, classes"),
        (nn.GRU, ValueError, "which no module is"),
    ],
)
def test_wrong_layers_are_named(layers, error, message):
    with pytest.raises(error, match=message):
        ActivationDrift(net(), layers=layers)


class Map(nn.Module):
    """A linear map of the last axis, by a parameter of its own."""

    def __init__(self, n, m):
        super().__init__()
        self.w = nn.Parameter(torch.randn(n, m))

    def forward(self, x):
        return x @ self.w


class RootMeanSquare(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(n) + 0.5)

    def forward(self, x):
        return x * x.square().mean(-1, keepdim=True).rsqrt() * self.weight


class LayerScale(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.gamma = nn.Parameter(torch.rand(n, 1, 1))

    def forward(self, x):
        return x * self.gamma


class ChannelsFirstLayerNorm(nn.LayerNorm):
    def forward(self, x):
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


UNITS = {
    "last axis": (lambda: Map(5, 7), (3, 4, 5), -1, False),
    "RMSNorm": (lambda: RootMeanSquare(5), (3, 4, 5), -1, False),
    "layer scale": (lambda: LayerScale(5), (3, 5, 5, 4), 1, False),
    "channels first": (lambda: ChannelsFirstLayerNorm(5), (3, 5, 4, 6), 1, False),
    "unbatched": (lambda: nn.Conv2d(5, 5, 1), (5, 4, 4), 0, False),
    "torch's own": (lambda: nn.Linear(4, 4), (3, 4, 4), -1, False),
    "several fit": (lambda: Map(4, 4), (3, 4, 4), 1, True),
    "none fits": (lambda: LayerScale(1), (3, 5, 6, 4), 1, True),
}


@pytest.mark.parametrize("kind", UNITS)
def test_the_axis_of_units_follows_from_shapes_or_is_said_to_be_guessed(kind):
    make, shape, axis, guessed = UNITS[kind]
    torch.manual_seed(0)
    layer = make()
    # Means differ by position on every axis, so that another axis gives another value.
    x = torch.randn(shape) + sum(
        torch.arange(n).float().reshape(-1, *[1] * i) for i, n in enumerate(shape[::-1])
    )
    model = nn.Sequential(layer)
    probe = ActivationDrift(model, values_per_unit=None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with probe(x):
            stepped()
    output = layer(x).detach().double().movedim(axis, 0)
    spread = output.reshape(output.shape[0], -1).var(1, correction=0).mean().sqrt().item()
    assert values(probe, "0", "output_std") == pytest.approx([spread], rel=1e-4)
    assert bool(caught) == guessed
    assert all("'0'" in str(w.message) and "unit_axis=" in str(w.message) for w in caught)


@pytest.mark.parametrize("told", [2, {"0": 2}, lambda name, module: 2])
def test_an_axis_that_is_told_is_taken(told):
    layer, x = Map(4, 4), torch.randn(3, 4, 4)
    probe = ActivationDrift(nn.Sequential(layer), unit_axis=told, values_per_unit=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with probe(x):
            stepped()
    expected = layer(x).detach().double().var((0, 1), correction=0).mean().sqrt().item()
    assert values(probe, "0", "output_std") == pytest.approx([expected], rel=1e-5)


@pytest.mark.parametrize(
    ("told", "error", "message"),
    [
        (1.5, TypeError, "unit_axis is 1.5; allowed: an integer"),
        ({"nowhere": 1}, ValueError, "unit_axis has 'nowhere', which no module"),
        (5, ValueError, r"unit_axis of '0' is 5; allowed: an axis of \(2, 4\)"),
    ],
)
def test_a_wrong_axis_is_named(told, error, message):
    def measure():
        with ActivationDrift(nn.Sequential(nn.Linear(4, 3)), unit_axis=told)(torch.ones(2, 4)):
            stepped()

    with pytest.raises(error, match=message):
        measure()


class WithActivation(nn.BatchNorm2d):
    """As timm's: a subclass with more behind the normalisation."""

    def __init__(self, n):
        super().__init__(n)
        self.drop, self.act = nn.Identity(), nn.ReLU(inplace=True)

    def forward(self, x):
        x = F.batch_norm(x, None, None, self.weight, self.bias, True, 0.1, self.eps)
        return self.act(self.drop(x))


NORMS = {
    "batch norm with activation": (lambda: WithActivation(4), (0, 2, 3), (4, 1, 1), True),
    "layer norm over several axes": (lambda: nn.LayerNorm([4, 5, 6]), (1, 2, 3), (4, 5, 6), False),
    "layer norm of channels": (lambda: ChannelsFirstLayerNorm(4), (1,), (4, 1, 1), False),
    "group norm": (lambda: nn.GroupNorm(2, 4), "groups", (4, 1, 1), False),
    "instance norm": (lambda: nn.InstanceNorm2d(4, affine=True), (2, 3), (4, 1, 1), False),
}


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.filterwarnings("ignore:which axis of")
def test_the_normalised_value_is_the_normalisation_s_own(kind):
    make, over, shape, activated = NORMS[kind]
    torch.manual_seed(0)
    layer = make()
    with torch.no_grad():
        layer.weight.uniform_(0.5, 2.0)
        layer.bias.normal_()
    x = torch.randn(8, 4, 5, 6).exp()
    z = x.double()
    if over == "groups":
        z, over = z.reshape(8, 2, 2, 5, 6), (2, 3, 4)
    z = (z - z.mean(over, keepdim=True)) / (z.var(over, correction=0, keepdim=True) + 1e-5).sqrt()
    z = z.reshape(x.shape)
    out = z * layer.weight.double().reshape(shape) + layer.bias.double().reshape(shape)
    probe = Gaussianity(nn.Sequential(layer), values_per_unit=None)
    with probe(x):
        pass
    stages = {"normalised": z, "output": out} | ({"activated": out.relu()} if activated else {})
    for stage, expected in stages.items():
        units = np.sort(expected.detach().movedim(1, 0).reshape(4, -1).numpy(), axis=1)
        n = units.shape[1]
        distance = np.abs(units - stats.norm.ppf((np.arange(n) + 0.5) / n)).mean()
        assert values(probe, "0", f"{stage}_normal_distance") == pytest.approx([distance], rel=1e-3), stage
        skewness = np.abs(stats.skew(units, axis=1)).mean()
        assert values(probe, "0", f"{stage}_skewness") == pytest.approx([skewness], rel=1e-3), stage
    assert activated == bool(values(probe, "0", "activated_skewness"))
