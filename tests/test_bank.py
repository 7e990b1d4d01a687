"""The statistics bank and precise statistics, against separate runs and float64."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from bnstudy.norm import Arm, BatchNorm, PreciseStatistics, StatisticsBank
from bnstudy.norm.bank import using
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
        raise KeyError
    for key, value in before.items():
        assert torch.equal(layer.state_dict()[key], value)


def test_misuse_is_named():
    layer = BatchNorm(2)
    with pytest.raises(ValueError, match="layers is empty"):
        StatisticsBank([], [Arm(0.9)])
    with pytest.raises(ValueError, match="layers differ in renorm or epsilon"):
        StatisticsBank([layer, BatchNorm(2, renorm=True)], [Arm(0.9)])
    bank = StatisticsBank([layer], [Arm(0.9, "both")])
    with pytest.raises(ValueError, match="has absorbed no batch yet"):
        bank.statistics(Arm(0.9, "both"))
    with pytest.raises(ValueError, match=r"arm is Arm\(decay=0.5"):
        bank.statistics(Arm(0.5))
    with pytest.raises(RuntimeError, match="no batch moments yet"):
        bank.update()
    with pytest.raises(RuntimeError, match="absorbed no batch yet"):
        PreciseStatistics([layer]).statistics()
