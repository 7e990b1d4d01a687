"""The statistics bank and precise statistics, against separate runs and float64."""

from __future__ import annotations

import copy
import gc
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from bnstudy.norm import (
    Arm,
    BatchNorm,
    PreciseStatistics,
    StatisticsBank,
    apply_updates,
    convert,
    recalibrate,
    update_pass,
)
from bnstudy.norm.bank import using
from bnstudy.probes import ActivationDrift
from bnstudy.train.network import ArticleNet

DECAYS = [0.0, 0.5, 0.6, 0.9, 0.99, 0.999, 0.9999]


def train(model, bank, steps=6):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(5)
    losses = []
    for _ in range(steps):
        x = torch.randn(12, 3, 32, 32, generator=generator)
        y = torch.randint(0, 10, (12,), generator=generator)
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if bank:
            bank.update()
    return losses


def test_every_arm_equals_a_run_of_its_own_bit_for_bit():
    together = ArticleNet(generator=torch.Generator().manual_seed(0))
    for layer in together.norm_layers():
        layer.updates = "never"
    bank = StatisticsBank(together.norm_layers(), [Arm(d) for d in DECAYS])
    losses = train(together, bank)
    for decay in DECAYS:
        alone = ArticleNet(decay=decay, generator=torch.Generator().manual_seed(0))
        assert train(alone, None) == losses
        for a, b in zip(alone.parameters(), together.parameters(), strict=True):
            assert torch.equal(a, b)
        own = torch.stack(
            [
                torch.cat([getattr(m, n) for m in alone.norm_layers()])
                for n in ("moving_mean", "moving_variance")
            ]
        )
        assert torch.equal(bank.statistics(Arm(decay)), own)


def test_every_arm_of_a_renormalising_layer_equals_a_layer_of_its_own_bit_for_bit():
    clipping = {"rmin": 0.5, "rmax": 2.0, "dmax": 1.0}
    together = BatchNorm(3, renorm=True, renorm_clipping=clipping)
    bank = StatisticsBank([together], [Arm(d) for d in DECAYS])
    own = [BatchNorm(3, decay=d, renorm=True, renorm_clipping=clipping) for d in DECAYS]
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        x = torch.randn(6, 3, 2, 2, generator=generator) * 2 + 1
        outputs = [layer(x) for layer in (together, *own)]
        assert all(torch.equal(out, outputs[0]) for out in outputs)  # decay doesn't enter training
        bank.update()
        for layer in own:
            moving = torch.stack([layer.moving_mean, layer.moving_variance])
            assert torch.equal(bank.statistics(Arm(layer.decay)), moving)


KINDS = {
    "in place": lambda: BatchNorm(3, decay=0.9),
    "fused": lambda: BatchNorm(3, decay=0.9, fused=True, epsilon=1e-5),
    "renorm": lambda: BatchNorm(3, decay=0.9, renorm=True, epsilon=1e-2),
    "converted": lambda: convert(nn.BatchNorm1d(3)),
    "with_step": lambda: BatchNorm(3, decay=0.9, updates="with_step"),
    "after_step": lambda: BatchNorm(3, decay=0.9, updates="after_step"),
    "nn.BatchNorm1d": lambda: nn.BatchNorm1d(3),
    "nn.BatchNorm1d, cumulative": lambda: nn.BatchNorm1d(3, momentum=None),
    "nn.SyncBatchNorm": lambda: nn.SyncBatchNorm(3),
}
OURS = ["in place", "fused", "renorm", "converted"]


def set_decay(layer, decay):
    if isinstance(layer, BatchNorm):
        layer.decay = decay
    else:
        layer.momentum = {0.9: 0.1, 0.5: 0.5, 0.99: 0.01}[decay]


def own(layers, *names):
    return torch.stack([torch.cat([getattr(layer, name) for layer in layers]) for name in names])


@settings(max_examples=40, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=4),
    # What each step does with each layer: forwards of so many rows, and None for evaluation mode.
    steps=st.lists(
        st.lists(
            st.lists(st.integers(0, 5).filter(lambda n: n != 1), max_size=3) | st.none(),
            min_size=4,
            max_size=4,
        ),
        min_size=1,
        max_size=4,
    ),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_arms_are_what_the_layers_would_hold_bit_for_bit(kinds, steps, dtype):
    """Called twice, skipped, frozen, empty, Bessel-corrected, of mixed epsilons, in half precision."""
    kinds = [kind for kind in kinds if kind != "renorm"] or ["fused"] if dtype == torch.bfloat16 else kinds
    decays = [0.9, 0.5, 0.99]
    nets = [nn.ModuleList([KINDS[kind]() for kind in kinds]).to(dtype) for _ in range(len(decays) + 1)]
    for net, decay in zip(nets[1:], decays, strict=True):
        for layer in net:
            set_decay(layer, decay)
    bank = StatisticsBank(nets[0], [Arm(decay) for decay in decays])
    generator = torch.Generator().manual_seed(0)
    for step in [[[4]] * 4, *steps]:
        for i, calls in enumerate(step[: len(kinds)]):
            for rows in [3] if calls is None else calls:
                x = (torch.randn(rows, 3, generator=generator) * 2 + 1).to(dtype)
                for net in nets:
                    with update_pass(net):
                        net[i].train(calls is not None)(x)
        bank.update()
        for net in nets:
            apply_updates(net)
    for net, decay in zip(nets[1:], decays, strict=True):
        assert torch.equal(bank.statistics(Arm(decay)), own(net, "running_mean", "running_var"))
    # And beside the bank each layer has what it has without.
    assert torch.equal(own(nets[0], "running_mean"), own(nets[1], "running_mean")) or "cumulative" in str(
        kinds
    )


def test_a_layer_that_was_skipped_is_debiased_by_its_own_batches():
    layers = [nn.BatchNorm1d(2), BatchNorm(2, fused=True)]
    bank = StatisticsBank(layers, [Arm(0.9, "both"), Arm(0.9, "mean")])
    generator = torch.Generator().manual_seed(0)
    sums, counts = np.zeros((2, 2, 2)), [0, 0]
    for called in [(0, 1), (0,), (0,), (1, 0)]:
        for i in called:
            x = torch.randn(5, 2, generator=generator) + 3
            layers[i](x)
            sums[i] = 0.9 * sums[i] + 0.1 * np.stack([x.double().mean(0), x.double().var(0)])
            counts[i] += 1
        bank.update()
    assert bank.steps == 4
    expected = np.concatenate([s / (1 - 0.9**n) for s, n in zip(sums, counts, strict=True)], axis=1)
    np.testing.assert_allclose(bank.statistics(Arm(0.9, "both")), expected, rtol=1e-5)
    np.testing.assert_allclose(bank.statistics(Arm(0.9, "mean"))[0], expected[0], rtol=1e-5)
    bank.reset()
    with pytest.raises(ValueError, match=r"no batch yet in \['layers\[0\]', 'layers\[1\]'\]"):
        bank.statistics(Arm(0.9, "mean"))


def steps_of(layers, bank, seed, count=3):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        for layer in layers:
            layer(torch.randn(6, 3, generator=generator))
        bank.update()


@pytest.mark.parametrize("kind", [*OURS, "nn.BatchNorm1d"])
def test_a_bank_goes_on_from_its_state(kind):
    arms = [Arm(0.9), Arm(0.5, "both")]
    one, two = (nn.ModuleList([KINDS[kind]()]) for _ in range(2))
    bank, other = StatisticsBank(one, arms), StatisticsBank(two, arms)
    steps_of(one, bank, seed=0)
    two[0](torch.randn(4, 3))
    two.load_state_dict(one.state_dict())
    other.load_state_dict(bank.state_dict())
    for layers, each in ((one, bank), (two, other)):
        steps_of(layers, each, seed=1)
    assert other.steps == 6
    for arm in arms:
        assert torch.equal(bank.statistics(arm), other.statistics(arm))
    with pytest.raises(ValueError, match=r"state has the arms \[\(0.9, 'none'\)\]; allowed"):
        bank.load_state_dict(StatisticsBank(one, arms[:1]).state_dict())
    with pytest.raises(ValueError, match=r"state has the layers .*; allowed"):
        bank.load_state_dict(StatisticsBank([KINDS[kind](), KINDS[kind]()], arms).state_dict())


@pytest.mark.parametrize("kind", [*OURS, "nn.BatchNorm1d"])
def test_a_copy_of_net_and_bank_follows_the_copy_alone(kind):
    layers = nn.ModuleList([KINDS[kind]()])
    bank = StatisticsBank(layers, [Arm(0.9)])
    copies, other = pickle.loads(pickle.dumps((layers, bank)))
    lone = copy.deepcopy(layers)
    steps_of(layers, bank, seed=0)
    assert other.steps == 0
    steps_of(copies, other, seed=0)
    assert torch.equal(other.statistics(Arm(0.9)), bank.statistics(Arm(0.9)))
    lone[0](torch.randn(9, 3))  # nobody hears
    steps_of(layers, bank, seed=1)
    steps_of(copies, other, seed=1)
    assert torch.equal(other.statistics(Arm(0.9)), bank.statistics(Arm(0.9)))


@pytest.mark.parametrize("kind", [*OURS, "nn.BatchNorm1d"])
def test_what_is_no_training_moves_no_arm(kind):
    layers = nn.ModuleList([KINDS[kind]()])
    bank = StatisticsBank(layers, [Arm(0.9)])
    twin = nn.ModuleList([KINDS[kind]()])
    steps_of(layers, bank, seed=0)
    layers[0](torch.randn(4, 3) + 9)
    bank.forget()
    recalibrate(layers[0], [torch.randn(4, 3) - 9], inplace=True)
    with ActivationDrift(nn.Sequential(*layers))(torch.randn(8, 3) - 9):
        pass
    steps_of(twin, other := StatisticsBank(twin, [Arm(0.9)]), seed=0)
    for each, bank_of_it in ((layers, bank), (twin, other)):
        for name, buffer in each[0].named_buffers():
            buffer.copy_(dict(twin[0].named_buffers())[name])
        steps_of(each, bank_of_it, seed=1)
    assert torch.equal(bank.statistics(Arm(0.9)), other.statistics(Arm(0.9)))


@pytest.mark.parametrize("kind", [*OURS, "nn.BatchNorm1d"])
def test_a_bank_that_is_gone_leaves_nothing_behind(kind):
    layer = KINDS[kind]()
    before = {name: str(value) for name, value in vars(layer).items()}
    bank = StatisticsBank([layer], [Arm(0.9)])
    steps_of([layer], bank, seed=0, count=1)
    del bank
    gc.collect()
    now = {name: str(value) for name, value in vars(layer).items()}
    moved = {"_buffers", "batch_moments", "pending", "step_is_read"}
    assert {n for n in now.keys() | before.keys() if now.get(n) != before.get(n)} <= moved


def test_a_bank_that_never_looks_costs_no_memory_and_says_so(monkeypatch):
    monkeypatch.setattr("bnstudy.norm.averages.MOST_SHOWN", 5)
    monkeypatch.setattr("bnstudy.norm.following.MOST_SHOWN", 5)
    layer, twin = (BatchNorm(3, decay=0.9) for _ in range(2))
    bank = StatisticsBank([layer], [Arm(0.9)])
    for _ in range(7):
        layer(torch.randn(4, 3))
    assert len(layer.step_moments) == 5
    with pytest.raises(RuntimeError, match=r"layers\[0\] had 5 forwards or more since the last update\(\)"):
        bank.update()
    for _ in range(4):
        x = torch.randn(4, 3)
        layer(x), twin(x)
    bank.update()
    assert torch.equal(bank.statistics(Arm(0.9)), own([twin], "running_mean", "running_var"))


def test_a_compiled_layer_is_followed():
    torch.compiler.reset()
    layer, twin = (BatchNorm(3, decay=0.9) for _ in range(2))
    bank = StatisticsBank([layer], [Arm(0.9)])
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    for _ in range(4):
        x = torch.randn(6, 3)
        compiled(x), compiled(x + 1), twin(x), twin(x + 1)
        bank.update()
    torch.testing.assert_close(bank.statistics(Arm(0.9)), own([twin], "running_mean", "running_var"))


def test_debiased_arms_equal_tensorflows_recurrence():
    """zero_debias: ``biased`` starts at 0, ``moving = biased / (1 - decay^step)``, in float64 beside it."""
    layer = BatchNorm(3, updates="never")
    arms = [Arm(0.9, z) for z in ("none", "mean", "both")]
    bank = StatisticsBank([layer], arms)
    mean, variance = np.zeros(3), np.ones(3)
    biased_mean, biased_variance = np.zeros(3), np.zeros(3)
    generator = torch.Generator().manual_seed(0)
    for step in range(1, 8):
        x = torch.randn(6, 3, generator=generator) * 2 + 1
        layer(x)
        bank.update()
        m, v = x.double().numpy().mean(0), x.double().numpy().var(0)
        for value, batch in ((mean, m), (variance, v), (biased_mean, m), (biased_variance, v)):
            value -= (value - batch) * 0.1
        debias = 1 - 0.9**step
        expected = [
            (mean, variance),
            (biased_mean / debias, variance),
            (biased_mean / debias, biased_variance / debias),
        ]
        for arm, values in zip(arms, expected, strict=True):
            np.testing.assert_allclose(bank.statistics(arm), np.stack(values), rtol=2e-6)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    channels=st.integers(1, 4),
    shift=st.sampled_from([0.0, 1.0, 1e4]),
    seed=st.integers(0, 2**16),
)
def test_precise_statistics_do_not_depend_on_how_the_data_are_cut(sizes, channels, shift, seed):
    rng = np.random.default_rng(seed)
    data = torch.from_numpy(rng.normal(shift, 1.0, (sum(sizes), channels, 2, 2))).double()
    layer = BatchNorm(channels).double()
    precise = PreciseStatistics([layer])
    for part in data.split(sizes):
        layer(part)
        precise.update()
    mean, variance = precise.statistics().numpy()
    flat = data.numpy().transpose(1, 0, 2, 3).reshape(channels, -1)
    np.testing.assert_allclose(mean, flat.mean(1), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(variance, flat.var(1), rtol=1e-5)


def test_float32_moments_survive_a_large_mean():
    x = torch.randn(256, 2, 8, 8, generator=torch.Generator().manual_seed(0)) + 1e4
    layer = BatchNorm(2)
    layer(x.contiguous(memory_format=torch.channels_last))
    expected = x.double().var((0, 2, 3), unbiased=False)
    np.testing.assert_allclose(layer.batch_moments.variance, expected, rtol=1e-3)


def test_statistics_are_lent_and_taken_back_even_on_error():
    layer = BatchNorm(2)
    before = copy.deepcopy(layer.state_dict())
    lent = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(KeyError), using([layer], lent):  # noqa: PT012 - the body is what raises
        assert torch.equal(layer.moving_mean, lent[0])
        assert torch.equal(layer.moving_variance, lent[1])
        layer(torch.randn(4, 2))
        raise KeyError
    for key, value in before.items():
        assert torch.equal(layer.state_dict()[key], value)


def test_misuse_is_named():
    layer = BatchNorm(2)
    with pytest.raises(ValueError, match="layers is empty"):
        StatisticsBank([], [Arm(0.9)])
    bank = StatisticsBank([layer], [Arm(0.9, "both")])
    with pytest.raises(ValueError, match="has absorbed no batch yet"):
        bank.statistics(Arm(0.9, "both"))
    with pytest.raises(ValueError, match=r"arm is Arm\(decay=0.5"):
        bank.statistics(Arm(0.5))
    with pytest.raises(RuntimeError, match="no batch moments yet"):
        bank.update()
    with pytest.raises(RuntimeError, match="absorbed no batch yet"):
        PreciseStatistics([layer]).statistics()
    with pytest.raises(TypeError, match=r"layers\[0\] is a BatchNorm1d; allowed: BatchNorm "):
        PreciseStatistics([nn.BatchNorm1d(2)])
    with pytest.raises(ValueError, match=r"decay is 1\.5; allowed: 0 to 1"):
        Arm(1.5)
    with pytest.raises(ValueError, match="zero_debias is 'all'; allowed"):
        Arm(0.5, "all")


class Subclass(nn.BatchNorm1d):
    pass


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        (nn.LayerNorm(2), TypeError, "is a LayerNorm; allowed: BatchNorm, nn.BatchNorm1d"),
        (Subclass(2), TypeError, "is a Subclass; allowed: .*no subclass"),
        (nn.LazyBatchNorm1d(), TypeError, "is a LazyBatchNorm1d; allowed"),
        (nn.BatchNorm1d(2, track_running_stats=False), ValueError, "without running statistics"),
        (BatchNorm(2, renorm=True, renorm_algorithm="tf1.12"), ValueError, "'tf1.12'; allowed: 'tf1.15'"),
        (BatchNorm(2, renorm=True).half(), ValueError, "renorm in torch.float16; allowed: float32"),
        (BatchNorm(2).double(), ValueError, "averages in torch.float64 on cpu; allowed: torch.float32"),
    ],
)
def test_a_layer_that_a_bank_can_not_follow_is_named(layer, error, message):
    with pytest.raises(error, match=r"layers\[1\] .*" + message):
        StatisticsBank([BatchNorm(2), layer], [Arm(0.9)])
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        with pytest.raises(error, match="b.0 .*" + message):
            StatisticsBank(nn.ModuleDict({"a": BatchNorm(2), "b": nn.Sequential(layer)}), [Arm(0.9)])


def _bottleneck() -> nn.Sequential:
    """A net whose last batch norm saves the last tensor of its pass, as a linear bottleneck's does."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6)
    )


def _trained_with(net: nn.Module, bank: StatisticsBank, **how: bool) -> None:
    for i in range(3):
        x = torch.randn(16, 3, 8, 8, requires_grad=True) + i
        checkpoint(net, x, **how).square().mean().backward()
        bank.update()


def test_forwards_that_end_early_are_refused_and_whole_ones_counted():
    net = _bottleneck()
    with pytest.raises(RuntimeError, match=r"4 moved its averages 2 times.*of which 1 could be seen"):
        _trained_with(net, StatisticsBank(net, [Arm(0.9)]), use_reentrant=False)
    for net in (_bottleneck(), convert(_bottleneck())):
        bank = StatisticsBank(net, [Arm(0.9)])
        _trained_with(net, bank, use_reentrant=isinstance(net[1], nn.BatchNorm2d))
        own = torch.stack(
            [torch.cat([getattr(net[i], f"running_{n}") for i in (1, 4)]) for n in ("mean", "var")]
        )
        assert torch.equal(bank.statistics(Arm(0.9)), own)


def test_a_count_that_is_loaded_is_no_forward():
    net, trained = _bottleneck(), _bottleneck()
    bank = StatisticsBank(net, [Arm(0.9)])
    for layer in (trained[1], trained[4]):
        layer.num_batches_tracked.fill_(1000)
    net(torch.randn(16, 3, 8, 8))
    net.load_state_dict(trained.state_dict())
    bank.update()
    assert bank.steps == 1
