"""Noise of any dose, drawn anew or frozen, and what probes see of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

from bnstudy.norm.noise import FrozenNoise, draw_noise, noisy
from bnstudy.probes import Gaussianity, InternalCovariateShift
from bnstudy.probes.gaussianity import lilliefors_mean
from bnstudy.train.network import ArticleNet


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_dose_multiplies_what_the_published_noise_adds_and_takes():
    x = torch.randn(3, 4, 5, 5, dtype=torch.float64)
    published = noisy(x, source())
    torch.testing.assert_close(noisy(x, source(), dose=4.0), x + 4.0 * (published - x))
    assert torch.equal(noisy(x, source(), dose=1.0), published)


def test_published_noise_has_the_published_moments():
    factor, shift = draw_noise(torch.zeros(4000, 50), source())
    assert factor.std(0).mean().item() == pytest.approx(0.1, rel=0.05)
    assert factor.mean(0).min() > 0.98
    assert factor.mean(0).max() < 1.27
    assert shift.mean(0).abs().max() < 0.52
    assert (shift - shift.mean(0)).abs().max() < 0.11


def test_frozen_noise_is_the_same_at_every_call_and_follows_from_its_seed_alone():
    x, y = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    frozen, again = FrozenNoise(7, dose=4.0), FrozenNoise(7, dose=4.0)
    first = frozen(x) - x
    torch.manual_seed(3)
    torch.testing.assert_close(again(x) - x, first)
    assert not torch.equal(FrozenNoise(8, dose=4.0)(x) - x, first)
    factor, shift = draw_noise(y, source(7), dose=4.0)
    torch.testing.assert_close(frozen(y), factor * y + shift)


def shifts(net, x, y):
    """Return a probe's rows of one step, by layer and quantity."""
    probe = InternalCovariateShift(net, F.cross_entropy, redrawn=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with probe(x, y):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    return probe.frame().set_index(["layer", "quantity"])["value"]


@pytest.mark.parametrize(("kind", "frozen"), [("fresh", False), ("frozen", True)])
def test_redrawn_noise_is_a_shift_and_frozen_noise_is_none(kind, frozen):
    net = ArticleNet(
        norm="noisy", noise_frozen=frozen, noise_dose=4.0, generator=source(), noise_generator=source(1)
    )
    rows = shifts(net, torch.randn(8, 3, 32, 32), torch.arange(8))
    for layer in (f"blocks.conv{i}.conv" for i in range(2, 6)):
        same, other = rows[layer, "ics_relative"], rows[layer, "ics_relative_redrawn"]
        assert other == same if frozen else other > 1.2 * same


def test_redrawn_is_the_gradient_at_the_random_numbers_after_the_first_pass():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5), nn.Linear(6, 3)).double()
    x, y = torch.randn(4, 6, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
    before = {name: value.detach().clone() for name, value in net.named_parameters()}

    def gradient(weights):
        leaves = {name: value.clone().requires_grad_() for name, value in weights.items()}
        loss = F.cross_entropy(torch.func.functional_call(net, leaves, (x,)), y)
        return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, [leaves[f"2.{n}"] for n in WB])])

    state = torch.get_rng_state()
    rows = shifts(net, x, y)
    after = {name: value.detach().clone() for name, value in net.named_parameters()}
    torch.set_rng_state(state)
    first = gradient(before)  # and now the generator stands where the next pass would begin
    second = gradient({name: after[name] if name.startswith("0") else before[name] for name in before})
    expected = (first - second).norm() / first.norm()
    assert rows["2", "ics_relative_redrawn"] == pytest.approx(expected.item())


WB = ("weight", "bias")


def test_kolmogorovs_distance_is_scipys():
    torch.manual_seed(0)
    layer = nn.BatchNorm1d(3, affine=False)
    probe = Gaussianity(layer, kolmogorov=True, values_per_unit=None)
    x = torch.rand(200, 3) ** 2
    with probe(x):
        layer(x)
    rows = probe.frame().set_index("quantity")["value"]
    units = ((x - x.mean(0)) / x.std(0, correction=0)).numpy().T
    expected = np.mean([stats.kstest(unit, "norm").statistic for unit in units])
    assert rows["normalised_kolmogorov"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("n", [30, 200, 2000])
def test_what_a_gaussian_sample_would_give(n):
    z = np.random.default_rng(n).standard_normal((2000, n))
    z = (z - z.mean(1, keepdims=True)) / z.std(1, keepdims=True)
    found = np.mean([stats.kstest(row, "norm").statistic for row in z[:1000]])
    assert lilliefors_mean(n) == pytest.approx(found, rel=0.03)
