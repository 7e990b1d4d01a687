"""Conversion to and from PyTorch's layers, the functions of ``bnstudy.norm``, and averages."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bnstudy.norm import (
    BatchNorm,
    ExponentialMovingAverage,
    batch_normalization,
    convert,
    decay_from_momentum,
    from_torch,
    moments,
    momentum_from_decay,
    to_torch,
    weighted_moments,
)

torch.set_num_threads(1)
LAYERS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def train_alike(one: nn.Module, other: nn.Module, dimensions: int) -> None:
    torch.manual_seed(1)
    for module in (one, other):
        module.train()
    for _ in range(3):
        x = torch.randn(4, 3, *[2] * dimensions) * 2 + 1
        assert torch.allclose(one(x), other(x), atol=1e-6)
    one.eval()
    other.eval()
    assert torch.allclose(one(x), other(x), atol=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("affine", [False, True])
def test_from_torch_and_back(dimensions: int, affine: bool) -> None:
    theirs = LAYERS[dimensions](3, momentum=0.3, eps=1e-4, affine=affine)
    if affine:
        nn.init.normal_(theirs.weight)
        nn.init.normal_(theirs.bias)
    theirs(torch.randn(4, 3, *[2] * dimensions))
    ours = from_torch(theirs)
    assert ours.decay == pytest.approx(0.7)
    back = to_torch(ours, dimensions)
    assert type(back) is LAYERS[dimensions]
    assert back.momentum == pytest.approx(0.3)
    twin = copy.deepcopy(theirs)
    train_alike(theirs, ours, dimensions)
    train_alike(twin, back, dimensions)


def test_back_conversion_trains_alike() -> None:
    ours = BatchNorm(3, decay=0.6, scale=True, fused=True)
    train_alike(ours, to_torch(ours, 2), 2)


def test_a_missing_gamma_becomes_a_frozen_one() -> None:
    theirs = to_torch(BatchNorm(3, fused=True), 1)
    assert theirs.weight.tolist() == [1.0] * 3
    assert not theirs.weight.requires_grad
    assert theirs.bias.requires_grad


@given(st.floats(0.0, 1.0))
def test_decay_is_one_minus_momentum(decay: float) -> None:
    assert momentum_from_decay(decay) == 1.0 - decay
    assert decay_from_momentum(momentum_from_decay(decay)) == pytest.approx(decay, abs=1e-15)


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        (nn.BatchNorm1d(3, momentum=None), ValueError, "momentum is None"),
        (nn.BatchNorm1d(3, track_running_stats=False), ValueError, "track_running_stats is False"),
        (nn.LayerNorm(3), TypeError, "layer is a LayerNorm; allowed: nn.BatchNorm1d"),
        (nn.BatchNorm1d(3, momentum=1.5), ValueError, "momentum is 1.5; allowed"),
    ],
)
def test_from_torch_refuses(layer: nn.Module, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        from_torch(layer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "fused is False; allowed: True"),
        ({"fused": True, "updates": "never"}, "updates is 'never'; allowed: 'in_place'"),
        ({"fused": True, "zero_debias": True}, "zero_debias is True; allowed: False"),
        ({"fused": True, "data_format": "NHWC"}, "data_format is 'NHWC'; allowed: 'NCHW'"),
        ({"fused": True, "activation": torch.relu}, "activation is .*; allowed: None"),
    ],
)
def test_to_torch_refuses_what_pytorch_has_not(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_torch(BatchNorm(3, **options), 2)


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.norm = self.first[1]
        self.second = nn.ModuleList([nn.BatchNorm2d(4)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.second[0](self.norm(self.first(x)))
        return out


def test_convert_swaps_every_layer_and_keeps_what_is_shared() -> None:
    torch.manual_seed(0)
    model = Shared()
    twin = convert(copy.deepcopy(model))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in twin.modules())
    assert twin.norm is twin.first[1]
    x = torch.randn(2, 3, 6, 6)
    assert torch.allclose(model(x), twin(x), atol=1e-5)
    assert torch.allclose(model.eval()(x), twin.eval()(x), atol=1e-5)


def test_convert_sets_what_it_is_asked_to() -> None:
    model = convert(Shared(), decay=0.5, updates="never", fused=False)
    layers = [m for m in model.modules() if isinstance(m, BatchNorm)]
    assert [(m.decay, m.updates, m.fused) for m in layers] == [(0.5, "never", False)] * 2
    assert isinstance(convert(nn.BatchNorm1d(3)), BatchNorm)


def test_convert_changes_nothing_if_one_layer_can_not_be() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3, momentum=None))
    with pytest.raises(ValueError, match="momentum is None"):
        convert(model)
    assert isinstance(model[0], nn.BatchNorm1d)
    with pytest.raises(ValueError, match=r"overrides has .*momentum"):
        convert(model, momentum=0.1)
    with pytest.raises(ValueError, match=r"decay is 1\.5; allowed"):
        convert(nn.Sequential(nn.BatchNorm1d(3)), decay=1.5)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    data=st.data(),
    keep=st.booleans(),
    weighted=st.booleans(),
)
def test_moments_equal_float64(shape: list[int], data: Any, keep: bool, weighted: bool) -> None:
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    x = rng.normal(3.0, 2.0, shape).astype(np.float32)
    w = rng.uniform(0.1, 2.0, shape).astype(np.float32) if weighted else np.ones(shape, np.float32)
    if weighted:
        mean, variance = weighted_moments(torch.from_numpy(x), axes, torch.from_numpy(w), keep)
    else:
        mean, variance = moments(torch.from_numpy(x), axes, keep_dims=keep)
    if not axes:
        expected_mean, expected_variance = x.astype(np.float64), np.zeros(shape)
    else:
        where = tuple(axes)
        total = w.astype(np.float64).sum(where, keepdims=True)
        centre = (w.astype(np.float64) * x).sum(where, keepdims=True) / total
        spread = (w * (x.astype(np.float64) - centre) ** 2).sum(where, keepdims=True) / total
        expected_mean = centre if keep else centre.squeeze(where)
        expected_variance = spread if keep else spread.squeeze(where)
    np.testing.assert_allclose(mean.numpy(), expected_mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance.numpy(), expected_variance, rtol=1e-4, atol=1e-5)


def test_functions_have_right_gradients() -> None:
    x = torch.randn(4, 3, 2, dtype=torch.float64, requires_grad=True)
    w = torch.rand(4, 1, 1, dtype=torch.float64) + 0.1
    p = [torch.rand(2, dtype=torch.float64, requires_grad=True) for _ in range(4)]
    assert torch.autograd.gradcheck(lambda v: moments(v, [0, 1]), (x,))
    assert torch.autograd.gradgradcheck(lambda v: moments(v, [0, 1])[1], (x,))
    assert torch.autograd.gradcheck(lambda v: weighted_moments(v, [0, 1], w), (x,))
    assert torch.autograd.gradcheck(lambda v, *q: batch_normalization(v, *q, 1e-3), (x, *p))


def test_moments_of_a_large_mean_and_of_half_precision() -> None:
    x = torch.randn(5000, dtype=torch.float64) + 1e4
    _, variance = moments(x.float(), [0])
    assert variance.item() == pytest.approx(x.var(unbiased=False).item(), rel=1e-3)
    half = (torch.randn(4096) * 100).half()
    mean, variance = moments(half, None)
    assert mean.dtype == torch.float16
    assert variance.item() == pytest.approx(half.double().var(unbiased=False).item(), rel=2e-3)


def test_a_variable_starts_at_its_value_and_a_tensor_at_zero() -> None:
    ema = ExponentialMovingAverage(0.9)
    ema.track({"w": torch.tensor([1.0])})
    for _ in range(2):
        ema.apply({"w": torch.tensor([2.0]), "loss": torch.tensor([2.0])})
    assert ema.average("w").item() == pytest.approx(2 - 0.81)  # type: ignore[union-attr]
    assert ema.average("loss").item() == pytest.approx(2 * 0.19)  # type: ignore[union-attr]
    assert ema.average("other") is None


@given(decay=st.floats(0.0, 0.95), values=st.lists(st.floats(-5, 5), min_size=1, max_size=6))
def test_debiased_average_is_the_weighted_mean(decay: float, values: list[float]) -> None:
    ema = ExponentialMovingAverage(decay, zero_debias=True)
    for value in values:
        ema.apply({"t": torch.tensor(value)})
    weights = np.array([decay**k for k in range(len(values))][::-1])
    got = ema.average("t")
    assert got is not None
    assert got.item() == pytest.approx(float(weights @ values / weights.sum()), abs=1e-4)


def test_num_updates_lowers_the_decay_and_states_travel() -> None:
    ema = ExponentialMovingAverage(0.99, num_updates=0)
    ema.apply({"t": torch.tensor(1.0)})
    assert ema.average("t").item() == pytest.approx(0.9)  # type: ignore[union-attr]
    other = ExponentialMovingAverage(0.99, num_updates=0)
    other.load_state_dict(ema.state_dict())
    for average in (ema, other):
        average.apply({"t": torch.tensor(3.0)}, num_updates=10)
    assert torch.equal(ema.average("t"), other.average("t"))  # type: ignore[arg-type]


def test_averages_refuse() -> None:
    with pytest.raises(ValueError, match=r"decay is 1\.5; allowed"):
        ExponentialMovingAverage(1.5)
    ema = ExponentialMovingAverage(0.5)
    with pytest.raises(TypeError, match=r"n has dtype torch\.int64; allowed: floating point"):
        ema.apply({"n": torch.tensor(1)})
    ema.track({"w": torch.ones(1)})
    with pytest.raises(ValueError, match="each name once"):
        ema.track({"w": torch.ones(1)})
