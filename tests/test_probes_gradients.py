"""Gradient health: norms, zeros, what isn't finite, and the step of the explosion."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bnstudy.probes import GradientHealth, stepped


def rows(probe, layer, step=1):
    frame = probe.frame()
    part = frame[(frame.layer == layer) & (frame.step == step)]
    return dict(zip(part.quantity, part.value, strict=True))


entries = st.sampled_from([0.0, 1.0, -2.5, 1e30, 1e-30])


@settings(max_examples=50, deadline=None)
@given(weight=st.lists(entries, min_size=6, max_size=6), bias=st.lists(entries, min_size=2, max_size=2))
def test_norms_and_shares_are_those_of_numpy_also_where_squares_overflow(weight, bias):
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(1, 1).requires_grad_(False))
    probe = GradientHealth(model)
    with probe():
        model[0].weight.grad = torch.tensor(weight).reshape(2, 3)
        model[0].bias.grad = torch.tensor(bias)
        stepped()
    values = np.array(weight + bias)
    measured = rows(probe, "0")
    assert measured["gradient_norm"] == pytest.approx(np.linalg.norm(values), rel=1e-5)
    assert measured["zero_share"] == (values == 0).mean()
    assert measured["nonfinite_share"] == 0.0
    assert rows(probe, "")["total_norm"] == measured["gradient_norm"]
    assert set(probe.frame().layer) == {"0", ""}


def test_what_is_not_finite_is_counted_and_shows_in_the_norm():
    model = nn.Linear(2, 2)
    probe = GradientHealth(model)
    with probe():
        model.weight.grad = torch.tensor([[math.nan, 1.0], [0.0, 0.0]])
        model.bias.grad = torch.tensor([-math.inf, 1.0])
        stepped()
    measured = rows(probe, "")
    assert measured["nonfinite_share"] == pytest.approx(2 / 6)
    assert measured["zero_share"] == pytest.approx(2 / 6)
    assert not math.isfinite(measured["total_norm"])


def test_the_gradient_of_a_real_step_as_clipping_leaves_it_and_before_it_is_cleared():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = GradientHealth(model)
    for _ in range(2):
        with probe():
            (1e3 * model(torch.ones(5, 3)).square().sum()).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            optimizer.zero_grad()
    assert rows(probe, "", 2)["total_norm"] == pytest.approx(0.5, rel=1e-4)
    parts = [rows(probe, layer, 2)["gradient_norm"] for layer in ("0", "1")]
    assert math.hypot(*parts) == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize(
    ("norms", "step"),
    [
        ([1.0, 999.0, 1.0], None),
        ([1.0, 2.0, 1001.0, 1.0], 3),
        ([1.0, math.nan], 2),
        ([1.0, math.inf], 2),
        ([math.nan, 1.0], 1),
        ([], None),
    ],
)
def test_the_step_at_which_a_run_blew_up(norms, step):
    model = nn.Linear(1, 1, bias=False)
    probe = GradientHealth(model)
    for norm in norms:
        with probe():
            model.weight.grad = torch.tensor([[norm]])
            stepped()
    assert probe.blew_up_at == step


def test_a_deep_network_of_large_weights_blows_up_where_it_is_seen_to():
    """Thirty linear layers at a learning rate far too high: the factor is counted from the first norm."""
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(8, 8) for _ in range(30)))
    for layer in model:
        nn.init.orthogonal_(layer.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    probe = GradientHealth(model, explosion=10.0)
    totals = []
    for _ in range(8):
        with probe():
            optimizer.zero_grad()
            model(torch.ones(4, 8)).square().mean().backward()
            totals.append(math.sqrt(sum(float(p.grad.double().square().sum()) for p in model.parameters())))
            optimizer.step()
    expected = next(i for i, t in enumerate(totals, start=1) if not t <= 10 * totals[0])
    assert probe.blew_up_at == expected


def test_no_gradient_at_the_end_is_an_error_that_says_why():
    model = nn.Linear(1, 1)
    with (
        pytest.raises(RuntimeError, match="clear gradients at the beginning of the body"),
        GradientHealth(model)(),
    ):
        pass


def test_a_sparse_gradient_counts_its_zeros():
    model = nn.Embedding(10, 2, sparse=True)
    probe = GradientHealth(model)
    with probe():
        model(torch.tensor([1, 1, 4])).sum().backward()
        stepped()
    measured = rows(probe, "")
    assert measured["zero_share"] == pytest.approx(0.8)
    assert measured["gradient_norm"] == pytest.approx(math.sqrt(2 * 4 + 2 * 1))


def test_a_wrong_factor_is_named():
    with pytest.raises(ValueError, match=r"explosion is 1\.0; allowed: above 1"):
        GradientHealth(nn.Linear(1, 1), explosion=1.0)
