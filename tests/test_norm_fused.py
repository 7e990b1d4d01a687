"""The compiled passes for batch norm, ReLU and pooling against PyTorch's operations and float64."""

from __future__ import annotations

import copy
import os

import numpy as np
import pytest
import torch
import torch.utils.flop_counter
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from bnstudy.norm import BatchNorm, StatisticsBank, update_pass
from bnstudy.norm.bank import Arm
from bnstudy.norm.fast import normalize_and_pool, pooled
from bnstudy.train.network import ArticleNet

pytest.importorskip("numba")

DTYPES = [torch.float32, torch.float64, torch.bfloat16]
EPSILON = 1e-3


def images(shape, seed, dtype=torch.float64, ties=False):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    x = x.mul(2).round() if ties else x
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


def composed(x, scale, offset, relu, statistics=None):
    """What the passes replace, written out."""
    mean, variance = statistics or (x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False))
    y = (x - mean[:, None, None]) / (variance[:, None, None] + EPSILON).sqrt()
    y = y if scale is None else y * scale[:, None, None]
    y = y if offset is None else y + offset[:, None, None]
    return F.max_pool2d(F.relu(y) if relu else y, 2)


shapes = st.tuples(
    st.integers(1, 5),
    st.integers(1, 37),
    st.integers(1, 4).map(lambda k: 2 * k),
    st.integers(1, 4).map(lambda k: 2 * k),
)


@settings(max_examples=60, deadline=None)
@given(
    shape=shapes,
    dtype=st.sampled_from(DTYPES),
    relu=st.booleans(),
    has_scale=st.booleans(),
    has_offset=st.booleans(),
    seed=st.integers(0, 99),
)
def test_forward_and_backward_equal_the_operations_in_double_precision(
    shape, dtype, relu, has_scale, has_offset, seed
):
    x = images(shape, seed, dtype).requires_grad_()
    # Of both signs: a falling map turns maxima into minima.
    values = torch.randn(2, shape[1], generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    kind = torch.float64 if dtype == torch.float64 else torch.float32
    scale = values[0].to(kind).requires_grad_() if has_scale else None
    offset = values[1].to(kind).requires_grad_() if has_offset else None
    assert pooled.serves(x, scale, offset)
    y, moments = pooled.batch_norm_pool(x, scale, offset, EPSILON, relu)
    inputs = [t for t in (x, scale, offset) if t is not None]
    twins = [t.detach().double().requires_grad_() for t in inputs]
    rest = iter(twins[1:])
    expected = composed(twins[0], next(rest) if has_scale else None, next(rest) if has_offset else None, relu)
    digits = {torch.float64: 1e-10, torch.float32: 2e-4, torch.bfloat16: 2e-2}[dtype]
    torch.testing.assert_close(y.double(), expected, rtol=digits, atol=digits)
    torch.testing.assert_close(moments.mean.double(), twins[0].mean((0, 2, 3)).detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        moments.variance.double(), twins[0].var((0, 2, 3), unbiased=False).detach(), rtol=1e-5, atol=1e-7
    )
    assert moments.count == x.numel() // shape[1]
    weights = images(y.shape, seed + 2)
    found = torch.autograd.grad(y, inputs, weights.to(dtype))
    wanted = torch.autograd.grad(expected, twins, weights.to(dtype).double())
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=digits, atol=digits * max(1.0, float(b.abs().max())))


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("normalised", [True, False])
def test_first_and_second_derivatives_by_differences(relu, normalised):
    x = images((2, 3, 4, 4), 0).requires_grad_()
    scale = torch.tensor([1.5, -0.5, 0.7], dtype=torch.float64, requires_grad=True)
    offset = torch.tensor([0.3, 0.1, -0.2], dtype=torch.float64, requires_grad=True)

    def function(x, scale, offset):
        x = x.contiguous(memory_format=torch.channels_last)
        if normalised:
            return pooled.batch_norm_pool(x, scale, offset, EPSILON, relu)[0]
        return pooled.relu_pool(x, relu) * scale[:, None, None] + offset[:, None, None]

    assert torch.autograd.gradcheck(function, (x, scale, offset))
    assert torch.autograd.gradgradcheck(function, (x, scale, offset))


@settings(max_examples=40, deadline=None)
@given(shape=shapes, dtype=st.sampled_from(DTYPES), relu=st.booleans(), seed=st.integers(0, 99))
def test_pooling_alone_equals_pytorchs_bit_for_bit(shape, dtype, relu, seed):
    """Ties included: in each window the first of equal values takes the gradient."""
    x = images(shape, seed, dtype, ties=True).requires_grad_()
    twin = x.detach().clone().requires_grad_()
    y, expected = pooled.relu_pool(x, relu), F.max_pool2d(F.relu(twin) if relu else twin, 2)
    assert torch.equal(y, expected)
    weights = images(y.shape, seed + 1, dtype)
    (found,), (wanted,) = torch.autograd.grad(y, x, weights), torch.autograd.grad(expected, twin, weights)
    if relu:  # in a window of zeros and less, no pixel takes a gradient, whichever is the first
        assert torch.equal(found * (twin > 0), found)
    assert torch.equal(found, wanted)
    with torch.no_grad():
        assert torch.equal(pooled.relu_pool(x, relu), expected)


@settings(max_examples=40, deadline=None)
@given(shape=shapes, dtype=st.sampled_from(DTYPES), relu=st.booleans(), seed=st.integers(0, 99))
def test_given_statistics_equal_the_operations_in_double_precision(shape, dtype, relu, seed):
    generator = torch.Generator().manual_seed(seed)
    kind = torch.float64 if dtype == torch.float64 else torch.float32
    mean, offset = torch.randn(2, shape[1], generator=generator, dtype=kind)
    scale = torch.randn(shape[1], generator=generator, dtype=kind)
    variance = torch.rand(shape[1], generator=generator, dtype=kind) + 0.1
    x = images(shape, seed, dtype)
    found = pooled.statistics_pool(x, mean, variance, scale, offset, EPSILON, relu)
    exact = composed(x.double(), scale.double(), offset.double(), relu, (mean.double(), variance.double()))
    digits = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 4e-3}[dtype]
    torch.testing.assert_close(found.double(), exact, rtol=digits, atol=digits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", [{}, {"scale": True}, {"norm": "none"}, {"relu_on_logits": False}])
def test_the_shared_start_of_an_evaluation_changes_no_bit(dtype, options):
    net = ArticleNet(**options, generator=torch.Generator().manual_seed(0)).eval()
    net = net.to(memory_format=torch.channels_last)
    for layer in net.norm_layers():
        layer.moving_mean.normal_(generator=torch.Generator().manual_seed(2))
        layer.moving_variance.uniform_(0.1, 3, generator=torch.Generator().manual_seed(3))
    x = images((4, 3, 32, 32), 0, dtype)
    with torch.no_grad():
        expected = net(x)
        assert torch.equal(net.finish(net.start(x)), expected)
        assert pooled.serves(net.start(x))
        digits = 1e-4 if dtype == torch.float32 else 5e-2
        exact = net.double()(x.contiguous().double()).float()
        torch.testing.assert_close(expected, exact, rtol=digits, atol=digits * float(exact.abs().max()))


@pytest.mark.parametrize("ratio", [0.0, 1e2, 1e4])
def test_moments_survive_a_large_mean(ratio):
    x = images((16, 5, 32, 32), 0, torch.float32) + ratio
    x[0, :, 0, 0] = 0.0  # a first value far from all others
    exact = x.double()
    mean, variance = pooled.batch_moments(x)
    torch.testing.assert_close(mean.double(), exact.mean((0, 2, 3)), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(variance.double(), exact.var((0, 2, 3), unbiased=False), rtol=1e-3, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_nan_or_an_infinity_is_seen(dtype):
    for bad in (float("nan"), float("inf")):
        for position in [(0, 0), (0, 1), (1, 0), (1, 1)]:
            x = images((2, 3, 4, 4), 0, dtype)
            x[0, 1, position[0], position[1]] = bad
            y, moments = pooled.batch_norm_pool(x, None, None, EPSILON, relu=True)
            assert y[:, 1].isnan().all()
            assert moments.variance.isnan().tolist() == [False, True, False]
            x[0, 1, position[0], position[1]] = float("nan")
            assert pooled.relu_pool(x.requires_grad_(), relu=True)[0, 1, 0, 0].isnan()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bits_do_not_depend_on_the_number_of_threads(dtype):
    def run():
        x = images((9, 48, 32, 32), 0, dtype).requires_grad_()
        y, moments = pooled.batch_norm_pool(x, None, None, EPSILON, relu=True)
        (dx,) = torch.autograd.grad(y, x, images(y.shape, 1, dtype))
        return y, *moments[:2], dx

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = run()
        torch.set_num_threads(3)
        together = run()
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_bfloat16_rounds_to_nearest_even():
    bits = torch.arange(1 << 16, dtype=torch.int32).reshape(1, -1, 1, 1)
    x = (bits << 16).view(torch.float32).to(torch.bfloat16).expand(1, -1, 2, 2)
    x = x.contiguous(memory_format=torch.channels_last)
    y = pooled.relu_pool(x, relu=False)  # decodes and encodes each of the 65,536 values
    assert torch.equal(y.isnan(), x[:, :, :1, :1].isnan())
    assert torch.equal(y[~y.isnan()], x[:, :, :1, :1][~y.isnan()])
    # Maps through a shift, so that results lie between two bfloat16 values.
    mean = torch.rand(1 << 16, generator=torch.Generator().manual_seed(0))
    one = torch.ones_like(mean)
    finite = x[0, :, 0, 0].isfinite()
    found = pooled.statistics_pool(x, mean, one, None, None, EPSILON, relu=False).flatten()
    expected = ((x[0, :, 0, 0].float() - mean) * (one + EPSILON).rsqrt()).to(torch.bfloat16)
    assert torch.equal(found[finite], expected[finite])


def test_a_layer_keeps_its_moments_and_averages():
    plain, fused = (BatchNorm(4, decay=0.9, scale=True) for _ in range(2))
    for step in range(3):
        x = images((3, 4, 6, 4), step, torch.float32)
        expected = F.max_pool2d(F.relu(plain(x)), 2)
        torch.testing.assert_close(normalize_and_pool(fused, x, relu=True), expected)
        torch.testing.assert_close(fused.batch_moments[:2], plain.batch_moments[:2])
        torch.testing.assert_close(fused.moving_mean, plain.moving_mean)
        torch.testing.assert_close(fused.moving_variance, plain.moving_variance)
    plain.eval(), fused.eval()
    torch.testing.assert_close(normalize_and_pool(fused, x, relu=True), F.max_pool2d(F.relu(plain(x)), 2))


def test_after_step_layers_absorb_in_the_update_pass_alone():
    layer = BatchNorm(4, decay=0.5, updates="after_step")
    x = images((3, 4, 6, 4), 0, torch.float32) + 3
    normalize_and_pool(layer, x, relu=True)
    assert torch.equal(layer.moving_mean, torch.zeros(4))
    with update_pass(layer):
        normalize_and_pool(layer, x, relu=True)
    torch.testing.assert_close(layer.moving_mean, 0.5 * x.mean((0, 2, 3)))


def plainly(monkeypatch):
    monkeypatch.setattr(pooled, "serves", lambda *_: False)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_network_trains_alike_with_and_without(norm, monkeypatch):
    x = images((8, 3, 32, 32), 0)
    labels = torch.arange(8)

    def losses():
        net = ArticleNet(norm=norm, scale=True, generator=torch.Generator().manual_seed(0)).double()
        net = net.to(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        found = []
        for _ in range(4):
            loss = F.cross_entropy(net(x), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    fused = losses()
    plainly(monkeypatch)
    np.testing.assert_allclose(fused, losses(), rtol=1e-8)


def test_the_bank_reads_the_same_moments():
    net = ArticleNet(generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last)
    bank = StatisticsBank(net.norm_layers(), [Arm(0.9)])
    net(images((4, 3, 32, 32), 0, torch.float32))
    bank.update()
    layers = net.norm_layers()
    assert torch.equal(
        bank.statistics(Arm(0.9))[0], torch.cat([0.1 * layer.batch_moments.mean for layer in layers])
    )


def test_a_hook_on_the_layer_sees_its_input_and_output():
    net = ArticleNet(generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last)
    seen = []
    handles = [
        layer.register_forward_hook(lambda _, __, out: seen.append(out.shape)) for layer in net.norm_layers()
    ]
    net(images((2, 3, 32, 32), 0, torch.float32))
    for handle in handles:
        handle.remove()
    assert [tuple(s[1:]) for s in seen] == [(64, 32, 32), (64, 16, 16), (32, 8, 8), (16, 4, 4), (10, 2, 2)]


def test_transforms_and_copies_of_a_network():
    net = ArticleNet(generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last)
    for layer in net.norm_layers():
        layer.updates = "never"
    x = images((4, 3, 32, 32), 0, torch.float32)
    expected = net(x)
    torch.testing.assert_close(copy.deepcopy(net)(x), expected)
    parameters = {k: v.detach() for k, v in net.named_parameters()}
    torch.testing.assert_close(torch.func.functional_call(net, parameters, (x,)), expected)
    gradients = torch.func.grad(lambda p: torch.func.functional_call(net, p, (x,)).sum())(parameters)
    expected.sum().backward()
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-3, atol=1e-3)
    expected = net.eval()(x)
    stacked = torch.func.vmap(net)(torch.stack([x + 1, x]))
    torch.testing.assert_close(stacked[1], expected, rtol=1e-4, atol=1e-4)
    compiled = torch.compile(net.train(), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), net(x), rtol=1e-4, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        assert net(x).dtype == torch.float32


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(2, 3, 4, 4),
        torch.zeros(2, 3, 5, 4).contiguous(memory_format=torch.channels_last),
        torch.zeros(2, 3, 4, 4, dtype=torch.float16).contiguous(memory_format=torch.channels_last),
        torch.zeros(2, 3, 4, 4, device="meta").contiguous(memory_format=torch.channels_last),
        torch.zeros(0, 3, 4, 4).contiguous(memory_format=torch.channels_last),
        torch.zeros(2, 3),
    ],
    ids=["channels first", "odd height", "half", "not on the CPU", "empty", "not an image"],
)
def test_what_the_passes_leave_to_pytorch(x):
    assert not pooled.serves(x)


def test_a_dispatch_mode_sees_the_operations():
    x = images((2, 3, 4, 4), 0, torch.float32)
    with torch.utils.flop_counter.FlopCounterMode(display=False):
        assert not pooled.serves(x)
    with torch.autograd.forward_ad.dual_level():
        assert not pooled.serves(x)
    assert pooled.serves(x)


def test_a_fallback_gives_the_same(monkeypatch):
    layer = BatchNorm(3)
    x = images((2, 3, 4, 4), 0, torch.float32)
    fused = normalize_and_pool(layer, x, relu=True)
    torch.testing.assert_close(normalize_and_pool(layer, x.contiguous(), relu=True), fused)
    plainly(monkeypatch)
    torch.testing.assert_close(normalize_and_pool(layer, x, relu=True), fused)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_threads_come_back_after_a_fork():
    threads = torch.get_num_threads()
    x = images((16, 64, 32, 32), 0, torch.float32)
    try:
        torch.set_num_threads(2)
        expected = pooled.batch_moments(x)[0]
        child = os.fork()
        if child == 0:
            from bnstudy.norm.fast import threads as pool

            os._exit(0 if pool._pool is None and np.isfinite(pooled.batch_moments(x)[0].numpy()).all() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(pooled.batch_moments(x)[0], expected)
