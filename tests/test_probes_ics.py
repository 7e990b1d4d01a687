"""Internal covariate shift against closed forms, a hand calculation and the straightforward way."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bnstudy.probes import InternalCovariateShift, stepped
from tests.straightforward import Straightforward
from tests.zoo import ZOO, built


def table(frame, step=1):
    """{layer: {quantity: value}} of one step, layers in the frame's order."""
    rows = frame[frame.step == step]
    return {
        layer: dict(zip(part.quantity, part.value, strict=True))
        for layer, part in rows.groupby("layer", sort=False)
    }


def half_squared_error(output, target):
    return ((output - target) ** 2).sum() / (2 * len(target))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", ZOO)
def test_equals_the_straightforward_way_on_the_zoo(name, dtype):
    specimen = ZOO[name]
    model = built(name).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=specimen.learning_rate, momentum=0.9)
    probe = InternalCovariateShift(model, specimen.loss)
    generator = torch.Generator().manual_seed(3)
    bare = getattr(model, "_orig_mod", model)
    for step in (1, 2) if dtype == torch.float32 else (1,):
        x, y = specimen.batch(generator)
        x = x.to(dtype) if x.is_floating_point() else x
        with specimen.context():
            twin = Straightforward(bare)
            with probe(x, y):
                optimizer.zero_grad()
                specimen.loss(model(x), y).backward()
                optimizer.step()
            with torch.compiler.set_stance("force_eager"):
                expected = twin.shift(bare, specimen.loss, x, y, specimen.layers)
        measured = table(probe.frame(), step)
        assert list(measured) == list(expected)
        exact = 1e-10 if dtype == torch.float64 else 1e-5
        for layer, quantities in expected.items():
            assert measured[layer] == pytest.approx(quantities, rel=exact, abs=exact), layer
        assert len(expected) >= 3
        assert sum(q["ics"] > 0 for q in expected.values()) >= len(expected) - 2


def test_two_scalar_layers_by_hand():
    """f = v w x, L = (f - y)^2 / 2, one step of gradient descent: everything can be written down."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)).double()
    w, v, x, y, lr = 2.0, 3.0, 1.5, 7.0, 0.01
    with torch.no_grad():
        model[0].weight.fill_(w)
        model[1].weight.fill_(v)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    probe = InternalCovariateShift(model, half_squared_error)
    inputs, targets = torch.tensor([[x]]).double(), torch.tensor([[y]]).double()
    with probe(inputs, targets):
        optimizer.zero_grad()
        half_squared_error(model(inputs), targets).backward()
        optimizer.step()
    # f = 9, so that dL/dw = (9 - 7) v x = 9 and w becomes 1.91; dL/dv = (9 - 7) w x = 6.
    shifted = (v * 1.91 * x - y) * 1.91 * x
    measured = table(probe.frame())
    assert measured["0"] == {"ics": 0.0, "ics_relative": 0.0, "cosine": 1.0}
    assert measured["1"]["ics"] == pytest.approx(abs(6 - shifted), rel=1e-12)
    assert measured["1"]["ics_relative"] == pytest.approx(abs(6 - shifted) / 6, rel=1e-12)
    assert measured["1"]["cosine"] == pytest.approx(1.0, rel=1e-12)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6), lr=st.floats(1e-3, 0.2), adam=st.booleans())
def test_twenty_five_linear_layers_in_closed_form(seed, lr, adam):
    """With P = W_k...W_1: dL/dW_i = (W_k...W_{i+1})^T (P x - y) (W_{i-1}...W_1 x)^T / n."""
    rng = np.random.default_rng(seed)
    depth, width, n = 25, 4, 7
    model = nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(depth))).double()
    old = [np.linalg.qr(rng.normal(size=(width, width)))[0] * 1.02 for _ in range(depth)]
    with torch.no_grad():
        for layer, weight in zip(model, old, strict=True):
            layer.weight.copy_(torch.from_numpy(weight))
    x, y = rng.normal(size=(width, n)), rng.normal(size=(width, n))
    optimizer = (torch.optim.Adam if adam else torch.optim.SGD)(model.parameters(), lr=lr)
    probe = InternalCovariateShift(model, half_squared_error)
    inputs, targets = torch.from_numpy(x.T.copy()), torch.from_numpy(y.T.copy())
    with probe(inputs, targets):
        optimizer.zero_grad()
        half_squared_error(model(inputs), targets).backward()
        optimizer.step()
    new = [layer.weight.detach().numpy() for layer in model]

    def gradient(weights, i):
        before, after = x, np.eye(width)
        for weight in weights[:i]:
            before = weight @ before
        for weight in weights[i + 1 :]:
            after = weight @ after
        return after.T @ (after @ weights[i] @ before - y) @ before.T / n

    measured = table(probe.frame())
    assert list(measured) == [str(i) for i in range(depth)]
    for i in range(depth):
        g, shifted = gradient(old, i), gradient([*new[:i], *old[i:]], i)
        ics = np.linalg.norm(g - shifted)
        cosine = (g * shifted).sum() / np.linalg.norm(g) / np.linalg.norm(shifted)
        assert measured[str(i)]["ics"] == pytest.approx(ics, rel=1e-9, abs=1e-12)
        assert measured[str(i)]["ics_relative"] == pytest.approx(ics / np.linalg.norm(g), rel=1e-9, abs=1e-12)
        assert measured[str(i)]["cosine"] == pytest.approx(cosine, rel=1e-9)


@pytest.mark.parametrize("name", ZOO)
def test_no_step_is_no_shift_and_the_first_layer_never_shifts(name):
    specimen = ZOO[name]
    model = built(name)
    x, y = specimen.batch(torch.Generator().manual_seed(3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    probe = InternalCovariateShift(model, specimen.loss)
    for lr in (0.0, 0.05):
        optimizer.param_groups[0]["lr"] = lr
        with specimen.context(), probe(x, y):
            optimizer.zero_grad()
            specimen.loss(model(x), y).backward()
            optimizer.step()
    still, moving = table(probe.frame(), 1), table(probe.frame(), 2)
    assert all(q == {"ics": 0.0, "ics_relative": 0.0, "cosine": 1.0} for q in still.values())
    assert next(iter(moving.values())) == {"ics": 0.0, "ics_relative": 0.0, "cosine": 1.0}


def test_what_a_frozen_first_layer_computes_is_not_measured():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2), nn.Linear(2, 1))
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model[1:].parameters(), lr=0.1)
    probe = InternalCovariateShift(model, half_squared_error)
    x, y = torch.randn(4, 3), torch.randn(4, 1)
    with probe(x, y):
        half_squared_error(model(x), y).backward()
        optimizer.step()
    measured = table(probe.frame())
    assert list(measured) == ["1", "2"]
    assert measured["1"]["ics"] == 0.0 < measured["2"]["ics"]


def test_the_work_saved_is_what_the_definition_allows():
    """Of four layers: all for G, all forward with the new weights, then 3, 2 and 1 from behind.

    At the first step one pass more, to see that this is right for the model.
    """
    # Not on the model, where a probe puts counters back like everything else.
    forward, backward = Counter(), Counter()

    class Counted(nn.Linear):
        def forward(self, x):
            forward[self] += 1
            output = super().forward(x)
            if output.requires_grad:
                output.register_hook(lambda gradient: backward.update([self]))
            return output

    model = nn.Sequential(*(Counted(3, 3) for _ in range(4)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = InternalCovariateShift(model, half_squared_error)
    x, y = torch.randn(4, 3), torch.randn(4, 3)
    half_squared_error(model(x), y).backward()
    forward.clear()
    backward.clear()
    for first in (1, 0, 0):
        with probe(x, y):
            optimizer.step()
        assert [forward[layer] for layer in model] == [2 + first, 3 + first, 4 + first, 5 + first]
        assert [backward[layer] for layer in model] == [1, 2, 3 + first, 4 + first]
        forward.clear()
        backward.clear()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((print, print), TypeError, "model is a builtin_function_or_method; allowed: a torch.nn.Module"),
        ((nn.Linear(1, 1), 3), TypeError, "loss_fn is 3; allowed: a function"),
    ],
)
def test_a_wrong_argument_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        InternalCovariateShift(*arguments)


def test_a_wrong_schedule_is_named():
    with pytest.raises(TypeError, match="schedule is 16; allowed: a function of the step"):
        InternalCovariateShift(nn.Linear(1, 1), nn.MSELoss(), schedule=16)


def test_a_loss_of_many_numbers_is_named():
    model, x = nn.Linear(2, 2), torch.ones(3, 2)
    with (
        pytest.raises(ValueError, match=r"loss_fn\(output, target\) gave \(3, 2\); allowed: a tensor of one"),
        InternalCovariateShift(model, nn.MSELoss(reduction="none"))(x, x),
    ):
        stepped()
