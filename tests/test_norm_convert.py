"""Conversion to and from PyTorch's layers, the functions of ``bnstudy.norm``, and averages."""

from __future__ import annotations

import copy
import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bnstudy.norm import (
    BatchNorm,
    Conversion,
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
    assert sum(isinstance(m, BatchNorm) for m in twin.modules()) == 2
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
    with pytest.raises(ValueError, match=r"layer '1': updates is 'never', and momentum is None"):
        convert(model, updates="never")
    assert [type(layer) for layer in model] == [nn.BatchNorm1d] * 2
    assert convert(model, updates="never", decay=0.5)[1].momentum == 0.5
    with pytest.raises(ValueError, match=r"overrides has .*momentum"):
        convert(model, momentum=0.1)
    with pytest.raises(ValueError, match=r"decay is 1\.5; allowed"):
        convert(nn.Sequential(nn.BatchNorm1d(3)), decay=1.5)


class Activated(nn.BatchNorm2d):
    """As timm's: a subclass that does more."""


def mixed() -> nn.Sequential:
    torch.manual_seed(0)
    patched = nn.BatchNorm2d(4)
    patched.forward = lambda x: x  # type: ignore[method-assign]
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.SyncBatchNorm(4),
        nn.LazyBatchNorm2d(),
        Activated(4),
        patched,
    )


def test_convert_reports_what_it_leaves() -> None:
    left = {
        "2": "a SyncBatchNorm, .*",
        "3": "a LazyBatchNorm2d, lazy",
        "4": "a Activated",
        "5": ".* replaced",
    }
    reports: list[Conversion] = []
    model = convert(mixed(), report=reports.append)
    [report] = reports
    assert report.converted == ("1",)
    assert isinstance(model[1], BatchNorm)
    assert [type(model[int(name)]) for name in report.left] == [type(mixed()[int(name)]) for name in left]
    assert all(re.match(left[name], reason) for name, reason in report.left.items())
    with pytest.warns(UserWarning, match="1 of 5 batch-norm layers.*\n  left: '2', a SyncBatchNorm"):
        convert(mixed())
    strict = mixed()
    with pytest.raises(ValueError, match=r"strict is True(.|\n)*left: '5'"):
        convert(strict, strict=True)
    assert type(strict[1]) is nn.BatchNorm2d
    whole = nn.Sequential(nn.BatchNorm2d(4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convert(whole, strict=True)
    with pytest.raises(TypeError, match="report is 3; allowed"):
        convert(whole, report=3)  # type: ignore[arg-type]


def steps(model: nn.Module, optimiser: torch.optim.Optimizer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(3):
        optimiser.zero_grad()
        model(torch.randn(4, 3, 6, 6, generator=generator)).pow(3).mean().backward()
        optimiser.step()


def test_optimisers_hooks_and_checkpoints_go_on() -> None:
    torch.manual_seed(0)
    model = Shared()
    twin = copy.deepcopy(model)
    optimiser, other = (torch.optim.Adam(m.parameters(), lr=0.01) for m in (model, twin))
    for m, o in ((model, optimiser), (twin, other)):
        steps(m, o, seed=0)
    seen: list[nn.Module] = []
    handle = model.norm.register_forward_hook(lambda module, *_: seen.append(module))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    held, tensors = model.norm, [*model.parameters(), *model.buffers()]
    assert convert(model).norm is held
    assert all(a is b for a, b in zip(tensors, [*model.parameters(), *model.buffers()], strict=True))
    for m, o in ((model, optimiser), (twin, other)):
        steps(m, o, seed=1)
    for mine, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    assert seen
    assert set(seen) == {held}
    handle.remove()
    seen.clear()
    steps(model, optimiser, seed=2)
    assert not seen
    assert list(model.state_dict()) == list(before)
    model.load_state_dict(before)
    Shared().load_state_dict(model.state_dict())


def test_a_model_comes_back_as_it_was() -> None:
    torch.manual_seed(0)
    model = Shared()
    model.second[0].momentum = 0.01
    twin = copy.deepcopy(model)
    optimiser, other = (torch.optim.SGD(m.parameters(), lr=0.01) for m in (model, twin))
    assert to_torch(convert(model)) is model
    assert [type(m) for m in model.modules()] == [type(m) for m in twin.modules()]
    assert all(vars(a).keys() == vars(b).keys() for a, b in zip(model.modules(), twin.modules(), strict=True))
    for m, o in ((model, optimiser), (twin, other)):
        steps(m, o, seed=0)
    for name, value in twin.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_what_was_never_pytorchs_takes_its_dimensions() -> None:
    model = nn.Sequential(BatchNorm(3, fused=True, decay=0.5), nn.BatchNorm1d(3)).bfloat16()
    with pytest.raises(ValueError, match=r"layer '0': dimensions is None; allowed: 1, 2 or 3"):
        to_torch(convert(model))
    bias = model[0].bias
    assert [type(m) for m in to_torch(model, 2)] == [nn.BatchNorm2d, nn.BatchNorm1d]
    assert model[0].bias is bias
    assert model[0].momentum == 0.5
    assert model[0].weight.tolist() == [1.0] * 3
    assert model[0].weight.dtype == torch.bfloat16
    assert not model[0].weight.requires_grad
    with pytest.raises(ValueError, match="dimensions is 4; allowed: 1, 2, 3"):
        to_torch(model, 4)


def test_a_model_that_pytorch_has_not_is_left_whole() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Sequential(BatchNorm(3, renorm=True)))
    with pytest.raises(ValueError, match=r"layer '1.0': fused is False; allowed: True"):
        to_torch(convert(model), 1)
    assert isinstance(model[0], BatchNorm)


@pytest.mark.parametrize(
    "options",
    [{"momentum": None}, {"track_running_stats": False}, {"affine": False, "momentum": None}],
    ids=str,
)
def test_pytorchs_other_ways_to_average(options: dict[str, Any]) -> None:
    theirs = nn.BatchNorm1d(3, **options)
    ours = from_torch(theirs)
    train_alike(theirs, ours, 1)
    assert theirs.state_dict().keys() == ours.state_dict().keys()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)
    train_alike(to_torch(ours), copy.deepcopy(theirs), 1)
    converted = convert(copy.deepcopy(theirs))
    train_alike(converted, copy.deepcopy(theirs), 1)


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


@pytest.mark.parametrize("momentum", [0.1, None])
def test_tracking_that_was_switched_off_stays_off(momentum: float | None) -> None:
    """With averages there: still in training, and what evaluation normalises by."""
    theirs = nn.Sequential(nn.BatchNorm1d(3, momentum=momentum))
    theirs(torch.randn(8, 3) * 2 + 1)
    theirs[0].track_running_stats = False
    kept = {name: value.clone() for name, value in theirs.state_dict().items()}
    for ours in (convert(copy.deepcopy(theirs), strict=True), nn.Sequential(from_torch(theirs[0]))):
        train_alike(copy.deepcopy(theirs), ours, 1)
        back = to_torch(copy.deepcopy(ours), 1)
        assert back[0].track_running_stats is False
        for model in (ours, back):
            train_alike(copy.deepcopy(theirs), model, 1)
            for name, value in model.state_dict().items():
                assert torch.equal(value, kept[name]), name


def test_a_layer_that_has_no_twin_is_left_and_the_rest_converted() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3, eps=0.0), nn.BatchNorm1d(3))
    model[2].num_batches_tracked = None
    with pytest.raises(ValueError, match="num_batches_tracked None; allowed: a counter"):
        from_torch(model[2])
    twin = copy.deepcopy(model)
    with pytest.warns(UserWarning, match=r"1 of 3(.|\n)*'1', .*eps 0.0; allowed: above 0(.|\n)*'2', .*None"):
        convert(model)
    assert [type(layer) for layer in model] == [BatchNorm, nn.BatchNorm1d, nn.BatchNorm1d]
    for one in (twin, model):
        one[1].eval()  # PyTorch trains without eps no more than we do
    x = torch.randn(8, 3)
    assert torch.allclose(model(x), twin(x), atol=1e-6)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_scripted_layer_is_left_and_said_to_be_scripted() -> None:
    scripted = torch.jit.script(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))
    for model in (scripted, nn.Sequential(scripted, nn.BatchNorm1d(3))):
        with pytest.raises(ValueError, match=r"left: '(0\.)?1', scripted, .*before torch.jit sees it"):
            convert(model, strict=True)
