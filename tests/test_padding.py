"""Blank images beside a batch: with weights they count for nothing, without them they move the moments."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bnstudy.records.spec import RunSpec, SpecError, validate
from bnstudy.train.fleet import train_fleet, train_run
from bnstudy.train.network import ArticleNet
from tests.reference import Look, averaged, forward, fresh

# Sums run over more values with padding, and training lets rounding grow; see test_fleet.
FLOAT64, FLOAT32 = 1e-8, 1e-4


def spec(**changes):
    settings = {
        "dataset": "digits",
        "batch_size": 8,
        "epochs": 1,
        "zero_debias": ["none"],
        "statistics": ["batch", "moving"],
        "evaluations": 1,
        "precision": "float64",
    }
    return RunSpec(**{**settings, **changes})


def run(twenty_digits, watch=None, **changes):
    return train_run(spec(**changes), twenty_digits, progress=False, watch=watch)


def losses(result, table="training"):
    return result.tables[table]["loss"]


@pytest.mark.parametrize("changes", [{}, {"scale": True, "norm_last": False, "conv_bias": False}])
def test_weighted_padding_is_no_padding(twenty_digits, changes):
    plain = run(twenty_digits, **changes)
    padded = run(twenty_digits, padding=5, batch_weights=True, **changes)
    for table in ("training", "evaluation"):
        np.testing.assert_allclose(losses(padded, table), losses(plain, table), rtol=FLOAT64)
        assert padded.tables[table]["accuracy"] == plain.tables[table]["accuracy"]


def test_weighted_padding_is_no_padding_in_float32(twenty_digits):
    short = {"precision": "float32", "batch_size": 10}
    found = losses(run(twenty_digits, padding=10, batch_weights=True, **short))
    np.testing.assert_allclose(found, losses(run(twenty_digits, **short)), rtol=FLOAT32)


@pytest.mark.parametrize("weighted", [True, False])
def test_the_first_loss_and_all_averages_are_those_by_hand(twenty_digits, weighted):
    first, averages = [], []

    def look(net, x, y):
        blank = torch.zeros(5, *x.shape[1:], dtype=x.dtype)
        logits, moments = forward(net, torch.cat([x, blank]), count=len(x) if weighted else None)
        first.append(F.cross_entropy(logits[: len(x)], y).item())
        averages.append(averaged(averages[-1] if averages else fresh(net), moments))

    own = {"padding": 5, "batch_weights": weighted, "updates": "in_place"}
    watch = Look(before=look)
    result = run(twenty_digits, watch, **own)
    np.testing.assert_allclose(losses(result), first, rtol=1e-9)
    for found, expected in zip(watch.statistics(), averages[-1], strict=True):
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_padding_without_weights_is_another_training(twenty_digits):
    plain, padded = losses(run(twenty_digits)), losses(run(twenty_digits, padding=5))
    assert all(abs(a - b) > 1e-3 for a, b in zip(plain, padded, strict=True))


def test_members_of_a_fleet_are_padded_alike(twenty_digits):
    specs = [spec(padding=4, batch_weights=True, seed=seed) for seed in (3, 5)]
    for own, result in zip(specs, train_fleet(specs, twenty_digits, progress=False), strict=True):
        np.testing.assert_allclose(
            losses(result), losses(train_run(own, twenty_digits, progress=False)), rtol=FLOAT64
        )


def test_a_weight_of_two_is_the_image_twice():
    net = ArticleNet(scale=True, generator=torch.Generator().manual_seed(0)).double()
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weighted = net(x, torch.tensor([1.0, 2.0, 1.0]).double())
    torch.testing.assert_close(weighted, net(torch.cat([x, x[1:2]]))[:3])
    torch.testing.assert_close(net(x, torch.full((3,), 0.3).double()), net(x))
    weighted.square().sum().backward()
    gradients = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    net(torch.cat([x, x[1:2]]))[:3].square().sum().backward()
    for found, parameter in zip(gradients, net.parameters(), strict=True):
        torch.testing.assert_close(found, parameter.grad)


def test_weights_leave_an_evaluation_alone():
    net = ArticleNet(norm="noisy", generator=torch.Generator().manual_seed(0)).eval()
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(net(x, torch.tensor([0.0, 2.0, 1.0])), net(x))
    none = ArticleNet(norm="none", generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(none(x, torch.tensor([0.0, 2.0, 1.0])), none(x))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"padding": -1}, "padding is -1; allowed: an integer of at least 0"),
        (
            {"padding": 4, "norm": "none"},
            "padding is 4; allowed: 0, or norm='batch' or norm='noisy' with it",
        ),
        ({"batch_weights": True}, "batch_weights is True; allowed: False, or padding above 0 with it"),
    ],
)
def test_errors_name_parameter_value_and_what_is_allowed(parameters, message):
    with pytest.raises(SpecError, match=message):
        validate(RunSpec, parameters)
