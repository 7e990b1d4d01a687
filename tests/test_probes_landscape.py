"""Gradient predictiveness on a quadratic, where every point of the line can be written down."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bnstudy.probes import GradientPredictiveness


def half_squared_error(output, target):
    return ((output[:, 0] - target) ** 2).mean() / 2


def quantities(probe):
    frame = probe.frame()
    assert set(frame.layer) == {""}
    return dict(zip(frame.quantity, frame.value, strict=True))


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rate=st.floats(1e-4, 1.0),
    lengths=st.lists(st.floats(0.5, 4.0), min_size=1, max_size=4),
)
def test_least_squares_in_closed_form(seed, rate, lengths):
    """L(w) = |Xw - y|^2 / 2n has the gradient Hw - X^T y / n with H = X^T X / n."""
    rng = np.random.default_rng(seed)
    x, y, w = rng.normal(size=(9, 4)), rng.normal(size=9), rng.normal(size=4)
    model = nn.Linear(4, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(w[None]))
    probe = GradientPredictiveness(model, half_squared_error, rate, lengths=lengths)
    with probe(torch.from_numpy(x), torch.from_numpy(y)):
        pass
    hessian = x.T @ x / 9
    g = hessian @ w - x.T @ y / 9
    steps = np.array(lengths) * rate
    losses = [((x @ (w - eta * g) - y) ** 2).mean() / 2 for eta in steps]
    differences = steps * np.linalg.norm(hessian @ g)
    expected = {
        "loss_min": min(losses),
        "loss_max": max(losses),
        "gradient_difference_min": min(differences),
        "gradient_difference_max": max(differences),
        "beta_smoothness": np.linalg.norm(hessian @ g) / np.linalg.norm(g),
    }
    assert quantities(probe) == pytest.approx(expected, rel=1e-9)


def test_the_default_lengths_span_a_half_to_four_learning_rates():
    model = nn.Linear(1, 1, bias=False).double()
    with torch.no_grad():
        model.weight.fill_(2.0)
    one, zero = torch.ones(1, 1).double(), torch.zeros(1).double()
    # L = w^2 / 2: the gradient is w, and L(w - eta w) = w^2 (1 - eta)^2 / 2.
    probe = GradientPredictiveness(model, half_squared_error, 0.1)
    with probe(one, zero):
        pass
    measured = quantities(probe)
    assert measured["loss_max"] == pytest.approx(2 * 0.95**2)
    assert measured["loss_min"] == pytest.approx(2 * 0.6**2)
    assert measured["beta_smoothness"] == pytest.approx(1.0)


def test_a_learning_rate_that_changes_is_read_at_each_step():
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = GradientPredictiveness(model, half_squared_error, lambda: optimizer.param_groups[0]["lr"])
    x, y = torch.ones(1, 1), torch.zeros(1)
    for lr in (0.1, 0.05):
        optimizer.param_groups[0]["lr"] = lr
        with probe(x, y):
            pass
    frame = probe.frame()
    first, second = frame[frame.quantity == "gradient_difference_max"].value
    assert second == pytest.approx(first / 2, rel=1e-5)


def test_at_a_minimum_the_gradient_predicts_everything():
    model = nn.Linear(2, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    probe = GradientPredictiveness(model, half_squared_error, 0.1)
    with probe(torch.ones(3, 2), torch.zeros(3)):
        pass
    assert set(quantities(probe).values()) == {0.0}


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_wrong_learning_rate_is_named(rate):
    with pytest.raises(ValueError, match=f"learning_rate is {rate}; allowed: above 0, or a function"):
        GradientPredictiveness(nn.Linear(1, 1), nn.MSELoss(), rate)


@pytest.mark.parametrize("lengths", [[], [1.0, 0.0]])
def test_wrong_lengths_are_named(lengths):
    with pytest.raises(ValueError, match=r"lengths is .*; allowed: one or more numbers above 0"):
        GradientPredictiveness(nn.Linear(1, 1), nn.MSELoss(), 0.1, lengths=lengths)
