"""The layer as PyTorch's own tools see it: its names and checkpoints, update_bn, SyncBatchNorm, functorch."""

from __future__ import annotations

import copy
import inspect
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, replace_all_batch_norm_modules_
from torch.optim.swa_utils import AveragedModel, update_bn

from bnstudy.norm import BatchNorm, convert, from_torch
from bnstudy.norm.torch_face import parameters_by_tensorflow_name

torch.set_num_threads(1)
ALIASES = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "epsilon": "eps",
}


def network(**options: Any) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), BatchNorm(3, scale=True, **options), nn.Linear(3, 2))


def data(count: int = 4, seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(8, 4, generator=generator) * 2 + 1 for _ in range(count)]


def test_names_are_of_the_same_tensors() -> None:
    layer = BatchNorm(3, scale=True)
    for ours, theirs in ALIASES.items():
        assert getattr(layer, ours) is getattr(layer, theirs)
    names = ["bias", "weight", "running_mean", "running_var", "num_batches_tracked"]
    assert list(layer.state_dict()) == names  # in the order in which earlier versions' optimisers count
    assert layer.state_dict().keys() == nn.BatchNorm1d(3).state_dict().keys()
    layer.gamma = nn.Parameter(torch.full((3,), 2.0))
    layer.moving_mean = torch.full((3,), 3.0)
    layer.beta = None
    layer.epsilon = 0.5
    assert layer.weight.tolist() == [2.0] * 3
    assert layer.running_mean.tolist() == [3.0] * 3
    assert layer.bias is None
    assert layer.eps == 0.5
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert [name for name, _ in layer.named_buffers()] == names[2:]
    with pytest.raises(ValueError, match="epsilon is 0; allowed: a number above 0"):
        layer.epsilon = 0
    lent = functional_call(
        BatchNorm(3, scale=True), {"gamma": torch.full((3,), 2.0)}, (x := torch.randn(4, 3),)
    )
    torch.testing.assert_close(lent, 2 * BatchNorm(3)(x))


def test_old_checkpoints_load() -> None:
    model = network(zero_debias=True)
    for x in data():
        model(x)
    old = {}
    for name, value in model.state_dict().items():
        owner, _, own = name.rpartition(".")
        old[f"{owner}.{ {v: k for k, v in ALIASES.items()}.get(own, own) }" if owner == "1" else name] = value
    assert "1.gamma" in old
    del old["1.num_batches_tracked"]  # earlier versions had none
    fresh = network(zero_debias=True)
    fresh.load_state_dict(old)
    assert fresh[1].num_batches_tracked == 0
    for name, value in model.state_dict().items():
        assert name == "1.num_batches_tracked" or torch.equal(fresh.state_dict()[name], value)
    both = {**old, "1.weight": torch.zeros(3)}
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "1.gamma"'):
        fresh.load_state_dict(both)


def test_tables_name_parameters_as_tensorflow_does() -> None:
    names = [name for name, _ in parameters_by_tensorflow_name(network())]
    assert names == ["0.weight", "0.bias", "1.beta", "1.gamma", "2.weight", "2.bias"]
    assert [name for name, _ in parameters_by_tensorflow_name(BatchNorm(3))] == ["beta"]


def test_momentum_is_what_was_assigned() -> None:
    layer = BatchNorm(3, decay=0.9)
    assert layer.momentum == 1 - 0.9
    layer.momentum = layer.momentum
    assert layer.decay == 0.9
    layer.momentum = 0.1
    assert (layer.momentum, layer.decay) == (0.1, 0.9)
    layer.decay = 0.5
    assert layer.momentum == 0.5
    layer.momentum = None
    assert layer.momentum is None
    layer.momentum = 0.5
    assert (layer.momentum, layer.decay) == (0.5, 0.5)
    with pytest.raises(ValueError, match=r"momentum is 1\.5; allowed: 0 to 1"):
        layer.momentum = 1.5


@pytest.mark.parametrize(
    "options",
    [{}, {"fused": True}, {"updates": "never"}, {"updates": "with_step"}, {"zero_debias": True}],
    ids=str,
)
def test_update_bn_takes_the_mean_over_the_batches(options: dict[str, Any]) -> None:
    model = network(decay=0.7, **options)
    for x in data(seed=0):
        model(x)
    update_bn(batches := data(), model)
    layer = model[1]
    with torch.no_grad():
        inputs = [model[0](x) for x in batches]
    mean = torch.stack([x.mean(0) for x in inputs]).mean(0)
    variance = torch.stack([x.var(0, correction=int(layer.fused)) for x in inputs]).mean(0)
    torch.testing.assert_close(layer.moving_mean, mean)
    torch.testing.assert_close(layer.moving_variance, variance)
    assert layer.momentum == pytest.approx(0.3)
    assert layer.num_batches_tracked == len(batches)
    if layer.updates == "in_place":  # and training goes on from there
        model(x := data(1, seed=2)[0])
        old, new, total = (0.7 * (1 - 0.7**4), 0.3, 1 - 0.7**5) if layer.zero_debias else (0.7, 0.3, 1.0)
        seen = model[0](x).mean(0)
        torch.testing.assert_close(layer.moving_mean, (old * mean + new * seen).detach() / total)


def test_an_average_of_models_has_its_statistics_measured() -> None:
    average = AveragedModel(network(fused=True))
    update_bn(data(), average)
    theirs = AveragedModel(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)))
    theirs.load_state_dict({**theirs.state_dict(), "module.0.weight": average.module[0].weight})
    theirs.module[0].load_state_dict(average.module[0].state_dict())
    update_bn(data(), theirs)
    torch.testing.assert_close(average.module[1].running_var, theirs.module[1].running_var)


def test_convert_sync_batchnorm() -> None:
    model = network(fused=True, decay=0.9, epsilon=1e-4)
    layer = model[1]
    x = data(1)[0]
    expected = copy.deepcopy(model)(x)
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(model)[1]
    assert type(synced) is nn.SyncBatchNorm
    assert all(getattr(synced, name) is getattr(layer, name) for name in layer.state_dict())
    assert (synced.eps, synced.momentum, synced.training) == (1e-4, 1 - 0.9, True)
    torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "fused is False; allowed: True"),
        ({"fused": True, "updates": "with_step"}, "updates is 'with_step'; allowed: 'in_place'"),
        ({"fused": True, "zero_debias": True}, "zero_debias is True"),
        ({"fused": True, "activation": torch.relu}, "activation is .*; allowed: None"),
        ({"fused": True, "regularizers": {"beta": torch.sum}}, "regularizers is .*; allowed: {}"),
        ({"fused": True, "data_format": "NHWC"}, "data_format is 'NHWC'; allowed: 'NCHW'"),
    ],
)
def test_what_another_layer_can_not_do_is_named_to_who_asks(options: dict[str, Any], message: str) -> None:
    model = network(**options)
    with pytest.raises(ValueError, match=message):
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert isinstance(model[1], BatchNorm)
    inspect.getmembers(model[1])  # looking is not asking
    assert "no answer" in repr(model[1].affine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is on its way out
        traced = torch.jit.trace(model.eval(), data(1)[0])
    torch.testing.assert_close(traced(data(1)[0]), model(data(1)[0]))


def test_functorchs_patch_gives_gradients_of_each_sample() -> None:
    model = replace_all_batch_norm_modules_(network().double())
    parameters = {k: v.detach() for k, v in model.named_parameters()}
    x = torch.stack(data(3)).double()

    def loss(p: dict[str, Tensor], x: Tensor) -> Tensor:
        out: Tensor = functional_call(model, p, (x,))
        return out.pow(3).sum()

    each = torch.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
    for i in range(3):
        model.zero_grad()
        loss(dict(model.named_parameters()), x[i]).backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(each[name][i], parameter.grad)
    batch = model.eval()(x[0])  # by its own moments, as PyTorch's layers then do
    torch.testing.assert_close(batch, model.train()(x[0]))


def test_reset() -> None:
    layer = convert(nn.BatchNorm1d(3))
    layer(torch.randn(4, 3))
    nn.init.normal_(layer.weight)
    layer.reset_parameters()
    fresh = nn.BatchNorm1d(3).state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in layer.state_dict().items())
    with pytest.raises(ValueError, match=r"initializers of \['beta'\] were given"):
        BatchNorm(3, initializers={"beta": 1.0}).reset_parameters()
    debiased = BatchNorm(3, decay=0.5, zero_debias=True)
    x = torch.randn(4, 3)
    debiased(x + 5)
    debiased.reset_running_stats()
    debiased(x)
    torch.testing.assert_close(debiased.moving_mean, x.mean(0))
    assert from_torch(nn.BatchNorm1d(3)).affine is True
