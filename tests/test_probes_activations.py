"""Drift and Gaussianity of activations against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn
from torch.nn import functional as F

from bnstudy.norm import BatchNorm
from bnstudy.probes import ActivationDrift, Gaussianity, stepped
from bnstudy.train.network import ArticleNet


def rows(probe, layer):
    frame = probe.frame()
    part = frame[frame.layer == layer]
    assert part.quantity.is_unique
    return dict(zip(part.quantity, part.value, strict=True))


def by_unit(values, axis):
    """[U, n], in NumPy and float64."""
    array = np.moveaxis(values.detach().double().numpy(), axis, 0)
    return array.reshape(len(array), -1)


def expected_drift(before, after, axis, side):
    a, b = by_unit(before, axis), by_unit(after, axis)
    distances = [stats.wasserstein_distance(u, v) for u, v in zip(a, b, strict=True)]
    quantities = {
        "mean_shift": np.abs(a.mean(1) - b.mean(1)).mean(),
        "variance_shift": np.abs(a.var(1) - b.var(1)).mean(),
        "wasserstein": np.mean(distances),
        "std": np.sqrt(a.var(1).mean()),
    }
    quantities |= {f"p{p}": np.percentile(a, p) for p in (15, 50, 85)}
    return {f"{side}_{name}": value for name, value in quantities.items()}


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 5),
    size=st.integers(3, 6),
    channels=st.integers(1, 4),
)
def test_drift_of_convolutions_and_linear_layers_equals_scipys(seed, n, size, channels):
    torch.manual_seed(seed)
    conv, linear = nn.Conv2d(2, channels, 3, padding=1), nn.Linear(size, 5)
    model = nn.Sequential(conv, nn.ReLU(inplace=True), linear).double()
    x = torch.randn(n, 2, size, size, dtype=torch.float64)
    probe = ActivationDrift(model, values_per_unit=None)
    with torch.no_grad():
        before = [conv(x), F.relu(conv(x)), model(x)]
        with probe(x):
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        after = [conv(x), F.relu(conv(x)), model(x)]
    expected = expected_drift(x, x, 1, "input") | expected_drift(before[0], after[0], 1, "output")
    assert rows(probe, "0") == pytest.approx(expected, rel=1e-9, abs=1e-12)
    expected = expected_drift(before[1], after[1], -1, "input")
    expected |= expected_drift(before[2], after[2], -1, "output")
    assert rows(probe, "2") == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert set(probe.frame().layer) == {"0", "2"}


def test_a_shift_of_all_values_is_its_own_distance_also_on_a_sample():
    model = nn.Linear(3, 4)
    x = torch.randn(500, 3)
    probe = ActivationDrift(model, values_per_unit=10)
    with probe(x), torch.no_grad():
        model.bias += torch.tensor([1.0, -2.0, 3.0, 0.0])
    measured = rows(probe, "")
    assert measured["output_wasserstein"] == pytest.approx(1.5, rel=1e-5)
    assert measured["output_mean_shift"] == pytest.approx(1.5, rel=1e-5)
    assert measured["output_variance_shift"] == pytest.approx(0.0, abs=1e-5)
    assert measured["input_wasserstein"] == 0.0


def test_dropout_alone_is_no_drift():
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    probe = ActivationDrift(model)
    with probe(torch.randn(20, 3)):
        torch.rand(7)
        stepped()
    frame = probe.frame()
    assert not frame.empty
    assert (frame[frame.quantity.str.endswith(("shift", "wasserstein"))].value == 0).all()


def expected_shape(values, axis, stage):
    units = by_unit(values, axis)
    n = units.shape[1]
    quantiles = stats.norm.ppf((np.arange(n) + 0.5) / n)
    return {
        f"{stage}_skewness": np.abs(stats.skew(units, axis=1)).mean(),
        f"{stage}_excess_kurtosis": stats.kurtosis(units, axis=1).mean(),
        f"{stage}_normal_distance": np.abs(np.sort(units, axis=1) - quantiles).mean(),
    }


NORMS = {
    "BatchNorm": lambda: BatchNorm(4, scale=True, epsilon=1e-9),
    "activation": lambda: BatchNorm(4, scale=True, epsilon=1e-9, activation=torch.relu),
    "nhwc": lambda: BatchNorm(4, scale=True, epsilon=1e-9, data_format="NHWC"),
    "BatchNorm2d": lambda: nn.BatchNorm2d(4, eps=1e-9),
    "GroupNorm": lambda: nn.GroupNorm(4, 4, eps=1e-9),
    "LayerNorm": lambda: nn.LayerNorm(4, eps=1e-9),
}


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("relu", [nn.ReLU(), nn.ReLU(inplace=True)], ids=["relu", "in-place"])
def test_every_stage_of_a_normalisation_layer_equals_scipys(kind, relu):
    torch.manual_seed(0)
    layer = NORMS[kind]().double()
    model = nn.Sequential(layer, nn.Identity() if kind == "activation" else relu)
    scale, offset = list(layer.parameters())[:: -1 if isinstance(layer, BatchNorm) else 1]
    with torch.no_grad():
        scale.uniform_(0.5, 2.0)
        offset.normal_()
    last = kind in ("nhwc", "LayerNorm")
    x = torch.randn(6, 4, 4, 4, dtype=torch.float64).exp()
    axis = -1 if last else 1
    over = -1 if kind == "LayerNorm" else (2, 3) if kind == "GroupNorm" else (0, 1, 2) if last else (0, 2, 3)
    centred = x - x.mean(over, keepdim=True)
    normalised = centred / x.var(over, correction=0, keepdim=True).sqrt()
    shape = (4,) if last else (4, 1, 1)
    output = normalised * scale.reshape(shape) + offset.reshape(shape)
    probe = Gaussianity(model, values_per_unit=None)
    with probe(x):
        pass
    expected = expected_shape(normalised, axis, "normalised") | expected_shape(output, axis, "output")
    expected |= expected_shape(output.relu(), axis, "activated")
    assert rows(probe, "0") == pytest.approx(expected, rel=1e-6)


def test_a_standard_gaussian_is_at_zero_and_relu_leads_away():
    model = nn.Sequential(nn.BatchNorm1d(8), nn.ReLU())
    probe = Gaussianity(model, values_per_unit=None)
    with probe(torch.randn(20000, 8, generator=torch.Generator().manual_seed(0)) * 3 + 1):
        pass
    measured = rows(probe, "0")
    assert all(abs(measured[f"normalised_{q}"]) < 0.05 for q in ("skewness", "excess_kurtosis"))
    assert measured["normalised_normal_distance"] < 0.03
    # relu of a standard normal: skewness 1.64; E|relu(z) - z| = 1 / sqrt(2 pi).
    assert measured["activated_skewness"] == pytest.approx(1.64, abs=0.05)
    assert measured["activated_normal_distance"] == pytest.approx(1 / np.sqrt(2 * np.pi), rel=0.03)


def test_only_an_activation_of_the_very_output_counts():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.BatchNorm1d(3), nn.BatchNorm1d(3)

        def forward(self, x):
            y = self.a(x)
            y += x
            return F.gelu(self.b(F.relu(y)))

    probe = Gaussianity(Residual())
    with probe(torch.randn(9, 3)):
        pass
    assert "activated_skewness" not in rows(probe, "a")
    assert "activated_skewness" in rows(probe, "b")


def test_units_without_scale_or_spread_are_left_out():
    layer = nn.BatchNorm1d(3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.0, 1.0, 1.0]))
    x = torch.randn(50, 3)
    x[:, 2] = 7.0
    probe = Gaussianity(layer)
    with probe(x):
        pass
    assert np.isfinite(list(rows(probe, "").values())).all()
    alone = Gaussianity(nn.BatchNorm1d(1))
    with alone(x[:, 1:2]):
        pass
    measured, expected = rows(probe, "")["normalised_skewness"], rows(alone, "")["normalised_skewness"]
    assert measured == pytest.approx(expected, rel=1e-4)


def test_stages_of_the_articles_network():
    probe = Gaussianity(ArticleNet(initialisation="default"))
    with probe(torch.randn(4, 3, 32, 32)):
        pass
    for i in range(1, 6):
        stages = {q.split("_")[0] for q in rows(probe, f"blocks.conv{i}.norm")}
        assert stages == {"normalised", "output", "activated"}
        assert {q.split("_")[0] for q in rows(probe, f"blocks.conv{i}.conv")} == {"output"}


@pytest.mark.parametrize("probe", [ActivationDrift, Gaussianity])
@pytest.mark.parametrize("size", [1, True, 2.5])
def test_a_wrong_sample_size_is_named(probe, size):
    with pytest.raises(ValueError, match=f"values_per_unit is {size}; allowed: an integer of at least 2"):
        probe(nn.Linear(1, 1), values_per_unit=size)
