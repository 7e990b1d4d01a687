"""The gap between moving and precise statistics, and the noise behind batch normalization."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from bnstudy.norm import Arm, BatchNorm, StatisticsBank, convert
from bnstudy.probes import NoisyBatchNorm, StatisticsGap


def rows(probe, layer):
    frame = probe.frame()
    part = frame[frame.layer == layer]
    return dict(zip(part.quantity, part.value, strict=True))


def expected_gap(mean, variance, precise_mean, precise_variance, epsilon, suffix=""):
    mean_gap = (mean - precise_mean) / np.sqrt(precise_variance + epsilon)
    log_gap = np.log((variance + epsilon) / (precise_variance + epsilon))
    return {
        f"mean_gap{suffix}": np.sqrt((mean_gap**2).mean()),
        f"log_variance_gap{suffix}": np.sqrt((log_gap**2).mean()),
    }


LAYERS = {
    "BatchNorm2d": lambda: nn.BatchNorm2d(3, eps=0.01),
    "BatchNorm": lambda: BatchNorm(3, epsilon=0.01),
    "nhwc": lambda: BatchNorm(3, epsilon=0.01, data_format="NHWC"),
}


@pytest.mark.parametrize("kind", LAYERS)
@settings(max_examples=10, deadline=None)
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=st.integers(0, 10**6))
def test_precise_statistics_are_those_of_all_values_together(kind, sizes, seed):
    rng = np.random.default_rng(seed)
    layer = LAYERS[kind]().double()
    mean, variance = rng.normal(size=3), rng.uniform(0.5, 2.0, 3)
    for buffer, value in zip(list(layer.buffers())[:2], (mean, variance), strict=True):
        buffer.copy_(torch.from_numpy(value))
    batches = [rng.normal(1e3, 2.0, (n, 3, 4, 2)) for n in sizes]
    every = np.concatenate(batches)
    inputs = [torch.from_numpy(np.moveaxis(b, 1, -1).copy() if kind == "nhwc" else b) for b in batches]
    probe = StatisticsGap(layer.eval(), inputs)
    with probe():
        pass
    expected = expected_gap(mean, variance, every.mean((0, 2, 3)), every.var((0, 2, 3)), 0.01)
    assert rows(probe, "") == pytest.approx(expected, rel=1e-9)


def test_deeper_layers_see_what_batch_statistics_made_of_the_input():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 4), nn.BatchNorm1d(4))
    model.double().eval()
    batches = [torch.randn(n, 3, dtype=torch.float64) for n in (5, 9)]
    hidden = []
    for x in batches:
        z = model[0](x)
        z = (z - z.mean(0)) / (z.var(0, correction=0) + 1e-5).sqrt()
        hidden.append(model[3](z.relu()))
    every = torch.cat(hidden).detach().numpy()
    probe = StatisticsGap(model, batches)
    with probe():
        pass
    expected = expected_gap(np.zeros(4), np.ones(4), every.mean(0), every.var(0), 1e-5)
    assert rows(probe, "4") == pytest.approx(expected, rel=1e-9)


def test_converged_averages_have_no_gap_and_a_slow_decay_keeps_one():
    gaps = {}
    for decay in (0.5, 0.999):
        layer = BatchNorm(4, decay=decay)
        x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)) * 3 + 5
        for _ in range(60):
            layer(x)
        probe = StatisticsGap(layer, [x])
        with probe():
            pass
        gaps[decay] = rows(probe, "")
    assert gaps[0.5]["mean_gap"] < 1e-5
    assert gaps[0.5]["log_variance_gap"] < 1e-5
    # The initial 0 still weighs 0.999^60 of the mean 5, in standard deviations of 3.
    assert gaps[0.999]["mean_gap"] == pytest.approx(0.999**60 * 5 / 3, rel=0.2)


def trained(model, bank=None):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(1)
    for _ in range(4):
        x, y = torch.randn(16, 3, generator=generator), torch.randint(0, 5, (16,), generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        if bank:
            bank.update()
    return model


def small(decay=0.9):
    torch.manual_seed(0)
    norms = [BatchNorm(5, decay=decay) for _ in range(2)]
    return nn.Sequential(nn.Linear(3, 5), norms[0], nn.ReLU(), nn.Linear(5, 5), norms[1])


def test_every_arm_of_a_bank_has_the_gap_of_a_run_of_its_own():
    model = small()
    arms = [Arm(0.5), Arm(0.99), Arm(0.99, "both")]
    bank = StatisticsBank([model[4], model[1]], arms)  # in an order of its own
    trained(model, bank)
    data = [torch.randn(200, 3)]
    probe = StatisticsGap(model, data, bank=bank)
    with probe():
        pass
    assert len(probe.frame()) == 2 * len(arms) * 2
    for decay in (0.5, 0.99):
        alone = StatisticsGap(trained(small(decay)), data)
        with alone():
            pass
        for layer in ("1", "4"):
            for quantity, value in rows(alone, layer).items():
                assert rows(probe, layer)[f"{quantity}[decay={decay},zero_debias=none]"] == value
    debiased = rows(probe, "1")["mean_gap[decay=0.99,zero_debias=both]"]
    assert debiased < rows(probe, "1")["mean_gap[decay=0.99,zero_debias=none]"]


def test_both_kinds_of_layer_give_the_same_gap():
    torch.manual_seed(0)
    model = trained(nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 5)))
    data = [torch.randn(30, 3)]
    probes = [StatisticsGap(m, data) for m in (model, convert(copy.deepcopy(model)))]
    for probe in probes:
        with probe():
            pass
    assert rows(probes[0], "1") == pytest.approx(rows(probes[1], "1"), rel=1e-6)


def test_layers_that_track_nothing_have_no_rows():
    probe = StatisticsGap(nn.BatchNorm1d(3, track_running_stats=False), [torch.randn(4, 3)])
    with probe():
        pass
    assert probe.frame().empty


def test_no_batches_and_a_foreign_bank_are_refused():
    with pytest.raises(ValueError, match="batches is empty; allowed: at least one input"):
        StatisticsGap(nn.BatchNorm1d(3), [])
    with pytest.raises(ValueError, match="bank has layers that are not in model"):
        StatisticsGap(nn.Linear(1, 1), [torch.ones(1, 1)], bank=StatisticsBank([BatchNorm(3)], [Arm(0.9)]))


def noise(layer, x, seed=0):
    return NoisyBatchNorm(layer, generator=torch.Generator().manual_seed(seed))(x)


def test_noise_has_the_published_distribution():
    """Behind an identity, zeros show the shift m, and the difference that ones make shows the scale s."""
    zeros = torch.zeros(200, 2000)
    m = noise(nn.Identity(), zeros).double().numpy()
    s = (noise(nn.Identity(), zeros + 1)).double().numpy() - m
    mu = m.mean(0)
    assert abs(m).max() <= 0.6
    assert mu.var() == pytest.approx(1 / 12, rel=0.1)
    assert (m - mu).var() == pytest.approx(0.2**2 / 12, rel=0.03)
    assert abs(m - mu).max() < 0.13
    sigma = s.mean(0)
    assert sigma.mean() == pytest.approx(1.125, abs=0.01)
    assert sigma.var() == pytest.approx(0.25**2 / 12, rel=0.1)
    assert (s - sigma).std() == pytest.approx(0.1, rel=0.03)


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_height_and_width_count_as_batch(data_format):
    axis = 1 if data_format == "NCHW" else -1
    shape = (8, 5, 6, 6) if axis == 1 else (8, 6, 6, 5)
    layer = BatchNorm(5, data_format=data_format)
    wrapped = NoisyBatchNorm(layer, generator=torch.Generator().manual_seed(0))
    x = torch.zeros(shape)
    m = wrapped(x).movedim(axis, 0).reshape(5, -1)  # a constant normalises to 0
    spread = m.max(1).values - m.min(1).values
    assert (spread > 0.15).all()
    assert (spread < 0.2).all()
    assert m.mean(1).std() > 0.1


def test_noise_is_drawn_anew_at_each_step_repeats_by_seed_and_stops_in_evaluation():
    x = torch.randn(6, 4)
    layer = NoisyBatchNorm(nn.BatchNorm1d(4), generator=torch.Generator().manual_seed(3))
    first, second = layer(x), layer(x)
    assert not torch.equal(first, second)
    assert torch.equal(first, noise(nn.BatchNorm1d(4), x, seed=3))
    plain = copy.deepcopy(layer.layer).eval()
    assert torch.equal(layer.eval()(x), plain(x))


def test_the_default_generator_serves_without_one_and_gradients_are_scaled():
    x = torch.randn(6, 4, requires_grad=True)
    torch.manual_seed(1)
    a = NoisyBatchNorm(nn.Identity())(x)
    torch.manual_seed(1)
    b = NoisyBatchNorm(nn.Identity())(x)
    assert torch.equal(a, b)
    a.sum().backward()
    shift = a.detach() - x.grad * x.detach()
    assert abs(shift).max() <= 0.6 + 1e-6
    assert 0.5 < float(x.grad.min()) < float(x.grad.max()) < 1.8


def test_a_wrong_layer_is_named():
    with pytest.raises(TypeError, match=r"layer is a int; allowed: a torch\.nn\.Module"):
        NoisyBatchNorm(3)
