"""What a layer seldom sees: half precision, no values, one value, vmap, padding, a large mean compiled."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from bnstudy.norm import BatchNorm, convert

torch.set_num_threads(1)


@settings(max_examples=30, deadline=None)
@given(
    dtype=st.sampled_from([torch.float16, torch.bfloat16]),
    shape=st.sampled_from([(16, 3), (5, 3, 4), (4, 3, 2, 3), (2, 3, 2, 2, 2)]),
    options=st.sampled_from(
        [{}, {"fused": True}, {"zero_debias": True}, {"renorm": True}, {"data_format": "NHWC"}]
    ),
    training=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_module_in_half_precision_computes_what_it_does_in_single(
    dtype: torch.dtype, shape: tuple[int, ...], options: dict[str, Any], training: bool, seed: int
) -> None:
    layer = BatchNorm(3, scale=True, decay=0.5, **options).train(training)
    twin = copy.deepcopy(layer)
    layer.to(dtype)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
    x = x.movedim(1, -1) if "data_format" in options else x
    mine, theirs = x.clone().requires_grad_(), x.float().requires_grad_()
    out, expected = layer(mine), twin(theirs)
    digits = 2 * torch.finfo(dtype).eps
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), expected, rtol=digits, atol=digits)
    weights = torch.arange(1.0, out.numel() + 1).reshape(out.shape) / out.numel()
    (out.float() * weights).sum().backward()
    (expected * weights).sum().backward()
    for a, b in [(mine, theirs), (layer.gamma, twin.gamma), (layer.beta, twin.beta)]:
        assert a is not None
        assert b is not None
        assert a.grad.dtype == dtype
        torch.testing.assert_close(a.grad.float(), b.grad, rtol=20 * digits, atol=20 * digits)
    for name, value in twin.state_dict().items():
        assert torch.isclose(layer.state_dict()[name].to(value.dtype), value, rtol=digits, atol=digits).all()


def pair(dimensions: int) -> tuple[nn.Module, nn.Module]:
    theirs = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dimensions](3)
    return convert(copy.deepcopy(theirs)), theirs


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 4), (2, 3, 0), (0, 3, 2, 2), (2, 3, 0, 2), (0, 3, 2, 2, 2)])
def test_a_batch_of_nothing_passes_through(shape: tuple[int, ...], training: bool) -> None:
    ours, theirs = pair(max(1, len(shape) - 2))
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    for model in (ours, theirs):
        x = torch.zeros(shape, requires_grad=True)
        out = model.train(training)(x)
        assert out.shape == shape
        out.sum().backward()
        assert x.grad is not None
        assert x.grad.shape == shape
        assert [p.grad.tolist() for p in model.parameters()] == [[0.0] * 3] * 2
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize(
    "options",
    [{"renorm": True}, {"zero_debias": True}, {"data_format": "NHWC"}, {"activation": torch.relu}],
    ids=lambda options: next(iter(options)),
)
def test_a_batch_of_nothing_moves_nothing(options: dict[str, Any]) -> None:
    layer = BatchNorm(3, **options)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    shape = (0, 2, 3) if "data_format" in options else (0, 3, 2)
    assert layer(torch.zeros(shape)).shape == shape
    assert layer(torch.zeros(shape), torch.zeros(0)).shape == shape
    assert layer.batch_moments is not None
    assert layer.batch_moments.count == 0
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def test_one_value_a_channel_is_said_aloud() -> None:
    layer = BatchNorm(3, scale=True, decay=0.5)
    x = torch.randn(1, 3, requires_grad=True)
    with pytest.warns(UserWarning, match="x has one value a channel"):
        out = layer(x)
    out.sum().backward()
    assert out.tolist() == [[0.0] * 3]
    # A parameter without a gradient would stop DistributedDataParallel.
    gradients = [t.grad for t in (x, layer.gamma, layer.beta) if t is not None]
    assert [g is not None and g.flatten().tolist() for g in gradients] == [[0.0] * 3, [0.0] * 3, [1.0] * 3]
    torch.testing.assert_close(layer.moving_mean, 0.5 * x[0].detach())
    assert layer.moving_variance.tolist() == [0.5] * 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(torch.randn(1, 3, 2))
        layer.eval()(torch.randn(1, 3))


@pytest.mark.parametrize(
    "options", [{}, {"zero_debias": True}, {"renorm": True}, {"updates": "never"}], ids=str
)
@pytest.mark.parametrize("shared", [True, False])
def test_an_ensemble_under_vmap_is_its_members(options: dict[str, Any], shared: bool) -> None:
    torch.manual_seed(0)
    members = [nn.Sequential(nn.Linear(3, 3), BatchNorm(3, scale=True, **options)) for _ in range(3)]
    base = copy.deepcopy(members[0])
    parameters, buffers = stack_module_state(members)
    x = torch.randn(8, 3) if shared else torch.randn(3, 8, 3)

    def call(p: dict[str, Tensor], b: dict[str, Tensor], x: Tensor) -> Tensor:
        out: Tensor = functional_call(base, (p, b), (x,))
        return out

    out = vmap(call, (0, 0, None if shared else 0))(parameters, buffers, x)
    for i, member in enumerate(members):
        torch.testing.assert_close(out[i], member(x if shared else x[i]))
        for name, buffer in member.named_buffers():
            torch.testing.assert_close(buffers[name][i], buffer)
    assert base[1].batch_moments is None


@pytest.mark.parametrize(
    ("backend", "layout"), [("aot_eager", "rows"), ("eager", "channels last"), ("eager", "channels first")]
)
def test_a_large_mean_is_safe_in_a_compiled_layer(backend: str, layout: str) -> None:
    x = torch.randn(100_000, 2, generator=torch.Generator().manual_seed(0)) + 30_000
    if layout != "rows":
        x = x.reshape(100, 50, 20, 2).movedim(-1, 1)
        x = x.contiguous() if layout == "channels first" else x
    torch.compiler.reset()
    layer = BatchNorm(2, decay=0.0)
    compiled = torch.compile(layer, backend=backend, fullgraph=True)
    out = compiled(x.requires_grad_())
    exact = x.detach().double()
    axes = [axis for axis in range(x.dim()) if axis != 1]
    variance, mean = torch.var_mean(exact, axes, correction=0, keepdim=True)
    torch.testing.assert_close(layer.moving_variance.double(), variance.flatten(), rtol=1e-3, atol=0)
    torch.testing.assert_close(out.double(), (exact - mean) / (variance + 1e-3).sqrt(), rtol=0, atol=5e-3)
    assert layer.batch_moments is not None
    torch.testing.assert_close(layer.batch_moments.mean.double(), mean.flatten(), rtol=1e-6, atol=0)


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    space=st.sampled_from([(5,), (5, 2)]),
    last=st.booleans(),
    renorm=st.booleans(),
    seed=st.integers(0, 99),
)
def test_padding_weighs_nothing(
    lengths: list[int], space: tuple[int, ...], last: bool, renorm: bool, seed: int
) -> None:
    """Weights of 0 and 1 a position are the values without the padding, in outputs and in gradients."""
    lengths = [max(lengths[0], 1), *lengths[1:]]
    x = torch.randn(
        len(lengths), 3, *space, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    mask = (torch.arange(space[0]) < torch.tensor(lengths)[:, None]).reshape(
        -1, space[0], *[1] * (len(space) - 1)
    )
    mask = mask.expand(-1, *space).clone()
    layer = BatchNorm(3, decay=0.5, renorm=renorm, data_format="NHWC" if last else "NCHW").double()
    twin = BatchNorm(3, decay=0.5, renorm=renorm).double()
    given_x, rows = x.clone().requires_grad_(), x.movedim(1, -1)[mask].requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one value left
        out = layer(given_x.movedim(1, -1) if last else given_x, mask)
        expected = twin(rows)
    out = out if last else out.movedim(1, -1)
    torch.testing.assert_close(out[mask], expected)
    out[mask].pow(3).sum().backward()
    expected.pow(3).sum().backward()
    assert given_x.grad is not None
    torch.testing.assert_close(given_x.grad.movedim(1, -1)[mask], rows.grad)
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(layer.state_dict()[name], value)
    assert layer.batch_moments is not None
    assert layer.batch_moments.weight == mask.sum()


def test_weights_of_another_shape_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"shape \(3, 4\); allowed: \(3,\), one a sample, or \(3, 5\), one a pos"
    ):
        BatchNorm(2)(torch.zeros(3, 2, 5), torch.ones(3, 4))
