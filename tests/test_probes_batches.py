"""Probes take batches of every form."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnstudy.probes import (
    ActivationDrift,
    Gaussianity,
    InternalCovariateShift,
    stepped,
)
from bnstudy.probes.forward import called
from tests.small_net import data, net, values


class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, left, right, *, factor=1.0):
        return self.b(torch.tanh(self.a(left + factor * right)))


FORMS = {
    "tuple": (lambda x: (x, 2 * x), None),
    "dict": (lambda x: {"right": 2 * x, "left": x}, None),
    "nested": (lambda x: {"inputs": [x, 2 * x]}, lambda model, batch: (model(*batch[0]["inputs"]), batch[1])),
    "own forward": (lambda x: x, lambda model, batch: (model(batch[0], 2 * batch[0]), batch[1])),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_batch_gives_what_one_input_gives(form):
    """The sum of x and 2 x is what a single input 3 x gives."""
    of, forward = FORMS[form]
    (x, y) = data(1)[0]

    def measured(model, batch, **how):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        shift = InternalCovariateShift(model, F.cross_entropy, **how)
        drift = ActivationDrift(model, **how)
        with shift(batch, y), drift(batch, y):
            F.cross_entropy(model.b(torch.tanh(model.a(3 * x))), y).backward()
            optimizer.step()
        return values(shift, "b", "ics") + values(drift, "b", "output_wasserstein")

    def single():
        torch.manual_seed(0)
        return Sum()

    plain = measured(single(), x, forward=lambda m, batch: (m.b(torch.tanh(m.a(3 * batch[0]))), batch[1]))
    got = measured(single(), of(x), **({} if forward is None else {"forward": forward}))
    assert got == pytest.approx(plain, rel=1e-5)
    assert plain[0] > 0 < plain[1]


def test_a_dictionary_is_one_input_where_the_model_takes_it_so():
    class Takes(nn.Module):
        def forward(self, features):
            return features["a"] + 1

    a = torch.ones(2, 2)
    assert torch.equal(called(Takes(), {"a": a}), a + 1)
    assert torch.equal(called(nn.Identity(), (a, a))[1], a)


def test_a_batch_that_fits_no_signature_is_named_with_the_way_out():
    probe = Gaussianity(Sum())
    with (
        pytest.raises(
            TypeError, match=r"x has one input, and model.forward is \(left, right.*forward=lambda"
        ),
        probe(torch.ones(2, 4)),
    ):
        pass
    with (
        pytest.raises(TypeError, match=r"x has \['a', 'b'\], and model.forward is .*forward=lambda"),
        probe({"a": 1, "b": 2}),
    ):
        pass
    wrong = Gaussianity(net(), forward=lambda m, batch: m(batch))
    with (
        pytest.raises(TypeError, match="forward returned a Tensor; allowed: a pair"),
        wrong(torch.ones(2, 4)),
    ):
        pass
    with pytest.raises(TypeError, match="autocast is 'cpu'; allowed: a function"):
        Gaussianity(net(), autocast="cpu")


def test_a_loss_of_several_parts_may_come_from_forward_itself():
    def forward(model, batch):
        x, y = batch
        out = model(x)
        return F.cross_entropy(out, y) + 0.1 * out.square().mean(), None

    model, (batch,) = net(), data(1)
    twin = InternalCovariateShift(model, lambda o, y: F.cross_entropy(o, y) + 0.1 * o.square().mean())
    own = InternalCovariateShift(model, None, forward=forward)
    with twin(*batch), own(*batch):
        forward(model, batch)[0].backward()
        torch.optim.SGD(model.parameters(), lr=0.5).step()
    assert values(own, "3", "ics") == values(twin, "3", "ics") != [0.0]


def test_autocast_inside_the_body_is_told_by_a_context():
    model, ((x, _),) = net(), data(1)

    def context():
        return torch.autocast("cpu", torch.bfloat16)

    inside, told = ActivationDrift(model), ActivationDrift(model, autocast=context)
    with context():
        outside = ActivationDrift(model)
        with outside(x):
            stepped()
    with inside(x), told(x), context():
        stepped()
    assert values(told, "3", "output_std") == values(outside, "3", "output_std")
    assert values(told, "3", "output_std") != values(inside, "3", "output_std")
    assert all(p.dtype == torch.float32 for p in model.parameters())
