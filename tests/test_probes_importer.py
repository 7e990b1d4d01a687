"""Probes on what people really train: batches of every form, steps of every kind, layers of others."""

from __future__ import annotations

import copy
import itertools
import math
import os
import subprocess
import sys
import warnings
from collections import deque

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn
from torch.nn import functional as F

from bnstudy.probes import (
    ActivationDrift,
    Gaussianity,
    GradientHealth,
    GradientPredictiveness,
    InternalCovariateShift,
    MicroBatches,
    StatisticsGap,
    stepped,
)
from bnstudy.probes.forward import called
from bnstudy.probes.units import percentiles


def values(probe, layer="", quantity=None):
    frame = probe.frame()
    frame = frame[(frame.layer == layer) & (frame.quantity == quantity)]
    return frame.value.tolist()


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def data(count, n=6):
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(n, 4, generator=generator), torch.randint(3, (n,), generator=generator))
        for _ in range(count)
    ]


# Batches


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


# Steps


def accumulated(model, batches, around, per_step, optimizer=None):
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.5)
    for i, (x, y) in enumerate(batches):
        with around(x, y):
            (F.cross_entropy(model(x), y) / per_step).backward()
            if i % per_step == per_step - 1:
                optimizer.step()
                optimizer.zero_grad()


@pytest.mark.parametrize("kind", ["ics", "predictiveness"])
def test_an_accumulated_step_is_measured_over_all_its_micro_batches(kind):
    """Against a loss that passes all micro-batches by itself, in one body."""
    make = {
        "ics": lambda m, loss, **how: InternalCovariateShift(m, loss, **how),
        "predictiveness": lambda m, loss, **how: GradientPredictiveness(m, loss, 0.5, **how),
    }[kind]
    batches = data(4)
    model = net()
    probe = make(model, F.cross_entropy)
    accumulated(model, batches, probe, per_step=2)

    twin_model = net()
    both = make(
        twin_model,
        None,
        forward=lambda m, pairs: (torch.stack([F.cross_entropy(m(x), y) for x, y in pairs]).mean(), None),
    )
    told = make(net(), F.cross_entropy)
    optimizer = torch.optim.SGD(twin_model.parameters(), lr=0.5)
    other = torch.optim.SGD(told._model.parameters(), lr=0.5)
    for pairs in (batches[:2], batches[2:]):
        with both(pairs):
            for x, y in pairs:
                (F.cross_entropy(twin_model(x), y) / 2).backward()
            optimizer.step()
            optimizer.zero_grad()
        with told(MicroBatches(pairs)):
            for x, y in pairs:
                (F.cross_entropy(told._model(x), y) / 2).backward()
            other.step()
            other.zero_grad()
    assert probe.step == both.step == told.step == 2
    frame, expected = probe.frame(), both.frame()
    assert frame.drop(columns="value").equals(expected.drop(columns="value"))
    assert frame.value.to_numpy() == pytest.approx(expected.value.to_numpy(), rel=1e-4, abs=1e-6)
    assert told.frame().value.to_numpy() == pytest.approx(frame.value.to_numpy(), rel=1e-6)


def test_micro_batches_whose_gradients_were_thrown_away_are_no_part_of_the_step():
    model, batches = net(), data(2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    probe, twin = (
        InternalCovariateShift(model, F.cross_entropy),
        InternalCovariateShift(model, F.cross_entropy),
    )
    (x0, y0), (x, y) = batches
    with probe(x0, y0):
        F.cross_entropy(model(x0), y0).backward()
    with probe(x, y), twin(x, y):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert values(probe, "3", "ics") == pytest.approx(values(twin, "3", "ics"), rel=1e-6)
    assert probe.step == 1


@pytest.mark.parametrize("fused", [False, True])
def test_steps_that_a_scaler_skips_are_none(fused):
    """A fused optimiser is called at each of them, and skips and unscales by itself."""
    model, batches = net(), data(12)
    kind = torch.optim.Adam if fused else torch.optim.SGD
    optimizer = kind(model.parameters(), lr=0.01, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=100)
    health, shift = GradientHealth(model), InternalCovariateShift(model, F.cross_entropy)
    norms = []
    for x, y in batches:
        before = copy.deepcopy(model)
        with health(), shift(x, y):
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(1e3 * x), y)).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
        if not torch.equal(before[0].weight, model[0].weight):
            F.cross_entropy(before(1e3 * x), y).backward()
            norms.append(math.sqrt(sum(float(p.grad.double().square().sum()) for p in before.parameters())))
    assert 0 < len(norms) < 12
    assert health.step == shift.step == len(norms)
    assert health.blew_up_at is None
    assert values(health, "", "total_norm") == pytest.approx(norms, rel=1e-4)
    assert all(value > 0 for value in values(shift, "3", "ics"))


def test_a_closure_and_two_optimisers_are_one_step_each_time():
    model, ((x, y),) = net(), data(1)
    lbfgs = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)
    shift, health = InternalCovariateShift(model, F.cross_entropy), GradientHealth(model)

    def closure():
        lbfgs.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    for _ in range(2):
        with shift(x, y), health():
            lbfgs.step(closure)
    assert shift.step == health.step == 2
    assert values(health, "", "total_norm")[1] == pytest.approx(
        math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters())), rel=1e-5
    )

    halves = [torch.optim.Adam(model[i].parameters()) for i in (0, 3)]
    with shift(x, y), health():
        for optimizer in halves:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert shift.step == health.step == 3


def test_a_gan_is_measured_on_one_of_its_networks_or_on_both():
    """Two optimisers and two losses: the discriminator's step is measured as on a network alone."""
    torch.manual_seed(0)
    gan = nn.ModuleDict(
        {
            "generator": nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 4)),
            "judge": nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1)),
        }
    )
    real, noise = torch.randn(6, 4), torch.randn(6, 2)
    ones = torch.ones(6, 1)

    def judged(judge, batch):
        return torch.cat([judge(batch[0]), judge(batch[1])]), torch.cat([ones, 0 * ones])

    def fooled(both, noise):
        return both["judge"](both["generator"](noise)), ones

    loss = F.binary_cross_entropy_with_logits
    judge = InternalCovariateShift(gan["judge"], loss, forward=judged)
    whole = InternalCovariateShift(gan, loss, forward=fooled)
    drift = ActivationDrift(gan["judge"], forward=judged)
    optimizers = [torch.optim.Adam(gan[part].parameters(), lr=0.05) for part in ("generator", "judge")]
    for _ in range(2):
        with whole(noise):
            fake = gan["generator"](noise).detach()
            with judge((real, fake)), drift((real, fake)):
                optimizers[1].zero_grad()
                loss(*judged(gan["judge"], (real, fake))).backward()
                optimizers[1].step()
            # A step of the generator alone is none of the judge's.
            with judge((real, fake)), drift((real, fake)):
                optimizers[0].zero_grad()
                loss(*fooled(gan, noise)).backward()
                optimizers[0].step()
    assert whole.step == judge.step == drift.step == 2
    assert set(whole.frame().layer) >= {"generator.0", "judge.3"}
    assert all(value > 0 for value in values(judge, "3", "ics") + values(whole, "judge.3", "ics"))


def test_an_optimiser_of_another_model_is_no_step_of_this_one():
    model, other, ((x, y),) = net(), net(), data(1)
    shift = InternalCovariateShift(model, F.cross_entropy)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.5)
    with shift(x, y):
        F.cross_entropy(other(x), y).backward()
        optimizer.step()
    assert shift.step == 0
    assert shift.frame().empty


def test_a_step_written_by_hand_counts_and_one_that_nobody_sees_is_said():
    model, ((x, y),) = net(), data(1)
    shift = InternalCovariateShift(model, F.cross_entropy)
    for write in (lambda p: p.sub_(p.grad), lambda p: p.data.sub_(p.grad)):
        with shift(x, y):
            model.zero_grad()
            F.cross_entropy(model(x), y).backward()
            with torch.no_grad():
                for p in model.parameters():
                    write(p)
    assert shift.step == 2
    health = GradientHealth(model)
    with health():
        model.zero_grad()
        F.cross_entropy(model(x), y).backward()
    with pytest.warns(UserWarning, match="none took an optimiser step.*call probes.stepped"):
        assert health.frame().empty


def test_a_batch_known_only_in_the_body_is_added_there_and_none_is_refused():
    model, ((x, y),) = net(), data(1)
    early, late = (
        InternalCovariateShift(model, F.cross_entropy),
        InternalCovariateShift(model, F.cross_entropy),
    )
    with early(x, y), late() as given:
        given.add(x, y)
        F.cross_entropy(model(x), y).backward()
        torch.optim.SGD(model.parameters(), lr=0.5).step()
    assert late.frame().equals(early.frame())
    with pytest.raises(ValueError, match=r"got no batch for this step; allowed: probe\(x, y\)"), late():
        stepped()


def test_lazy_layers_are_named_and_measured_once_they_have_shapes():
    model = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d())
    x = torch.randn(6, 3)
    drift, gap = ActivationDrift(model), StatisticsGap(model, [x])
    optimizer = None
    for step in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with drift(x), gap(x):
                model(x).square().sum().backward()
                optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.1)
                optimizer.step()
        named = [str(w.message) for w in caught if "no shapes yet" in str(w.message)]
        assert bool(named) == (step == 0)
        assert all("0.weight" in text for text in named)
    assert set(drift.frame().step) == set(gap.frame().step) == {2}


def test_scalars_are_the_newest_step_as_loggers_take_them():
    model, batches = net(), data(2)
    probe = GradientHealth(model)
    accumulated(model, batches, lambda x, y: probe(x, y), per_step=1)
    scalars = probe.scalars()
    assert all(isinstance(name, str) and type(value) is float for name, value in scalars.items())
    assert scalars["gradient_health/total_norm"] == values(probe, "", "total_norm")[-1]
    assert "gradient_health/3/zero_share" in scalars
    assert ActivationDrift(model).scalars() == {}


# Layers


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("3", {"3"}),
        (["0", "1"], {"0", "1"}),
        (nn.Linear, {"0", "3"}),
        ([nn.BatchNorm1d, "3"], {"1", "3"}),
        (lambda name, module: name == "1", {"1"}),
    ],
)
def test_layers_restrict_a_probe_and_change_no_value(layers, expected):
    model, ((x, y),) = net(), data(1)
    makes = [
        lambda **how: InternalCovariateShift(model, F.cross_entropy, **how),
        lambda **how: ActivationDrift(model, **how),
        lambda **how: Gaussianity(model, **how),
        lambda **how: GradientHealth(model, **how),
    ]
    some, every = [make(layers=layers) for make in makes], [make() for make in makes]
    with (
        some[0](x, y),
        some[1](x),
        some[2](x),
        some[3](),
        every[0](x, y),
        every[1](x),
        every[2](x),
        every[3](),
    ):
        F.cross_entropy(model(x), y).backward()
        torch.optim.SGD(model.parameters(), lr=0.5).step()
    for probe, whole in zip(some, every, strict=True):
        frame, full = probe.frame(), whole.frame()
        assert set(frame.layer) - {""} == expected
        part = full[full.layer.isin(expected)].reset_index(drop=True)
        assert frame[frame.layer != ""].reset_index(drop=True).equals(part)


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ("7", ValueError, "layers has '7', which no module is; allowed: for example '0'"),
        ([], ValueError, "layers is empty"),
        ([3], TypeError, "layers has 3; allowed: names, classes"),
        (nn.GRU, ValueError, "which no module is"),
    ],
)
def test_wrong_layers_are_named(layers, error, message):
    with pytest.raises(error, match=message):
        ActivationDrift(net(), layers=layers)


class Map(nn.Module):
    """A linear map of the last axis, by a parameter of its own."""

    def __init__(self, n, m):
        super().__init__()
        self.w = nn.Parameter(torch.randn(n, m))

    def forward(self, x):
        return x @ self.w


class RootMeanSquare(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(n) + 0.5)

    def forward(self, x):
        return x * x.square().mean(-1, keepdim=True).rsqrt() * self.weight


class LayerScale(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.gamma = nn.Parameter(torch.rand(n, 1, 1))

    def forward(self, x):
        return x * self.gamma


class ChannelsFirstLayerNorm(nn.LayerNorm):
    def forward(self, x):
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


UNITS = {
    "last axis": (lambda: Map(5, 7), (3, 4, 5), -1, False),
    "RMSNorm": (lambda: RootMeanSquare(5), (3, 4, 5), -1, False),
    "layer scale": (lambda: LayerScale(5), (3, 5, 5, 4), 1, False),
    "channels first": (lambda: ChannelsFirstLayerNorm(5), (3, 5, 4, 6), 1, False),
    "unbatched": (lambda: nn.Conv2d(5, 5, 1), (5, 4, 4), 0, False),
    "torch's own": (lambda: nn.Linear(4, 4), (3, 4, 4), -1, False),
    "several fit": (lambda: Map(4, 4), (3, 4, 4), 1, True),
    "none fits": (lambda: LayerScale(1), (3, 5, 6, 4), 1, True),
}


@pytest.mark.parametrize("kind", UNITS)
def test_the_axis_of_units_follows_from_shapes_or_is_said_to_be_guessed(kind):
    make, shape, axis, guessed = UNITS[kind]
    torch.manual_seed(0)
    layer = make()
    # Means differ by position on every axis, so that another axis gives another value.
    x = torch.randn(shape) + sum(
        torch.arange(n).float().reshape(-1, *[1] * i) for i, n in enumerate(shape[::-1])
    )
    model = nn.Sequential(layer)
    probe = ActivationDrift(model, values_per_unit=None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with probe(x):
            stepped()
    output = layer(x).detach().double().movedim(axis, 0)
    spread = output.reshape(output.shape[0], -1).var(1, correction=0).mean().sqrt().item()
    assert values(probe, "0", "output_std") == pytest.approx([spread], rel=1e-4)
    assert bool(caught) == guessed
    assert all("'0'" in str(w.message) and "unit_axis=" in str(w.message) for w in caught)


@pytest.mark.parametrize("told", [2, {"0": 2}, lambda name, module: 2])
def test_an_axis_that_is_told_is_taken(told):
    layer, x = Map(4, 4), torch.randn(3, 4, 4)
    probe = ActivationDrift(nn.Sequential(layer), unit_axis=told, values_per_unit=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with probe(x):
            stepped()
    expected = layer(x).detach().double().var((0, 1), correction=0).mean().sqrt().item()
    assert values(probe, "0", "output_std") == pytest.approx([expected], rel=1e-5)


@pytest.mark.parametrize(
    ("told", "error", "message"),
    [
        (1.5, TypeError, "unit_axis is 1.5; allowed: an integer"),
        ({"nowhere": 1}, ValueError, "unit_axis has 'nowhere', which no module"),
        (5, ValueError, r"unit_axis of '0' is 5; allowed: an axis of \(2, 4\)"),
    ],
)
def test_a_wrong_axis_is_named(told, error, message):
    def measure():
        with ActivationDrift(nn.Sequential(nn.Linear(4, 3)), unit_axis=told)(torch.ones(2, 4)):
            stepped()

    with pytest.raises(error, match=message):
        measure()


class WithActivation(nn.BatchNorm2d):
    """As timm's: a subclass with more behind the normalisation."""

    def __init__(self, n):
        super().__init__(n)
        self.drop, self.act = nn.Identity(), nn.ReLU(inplace=True)

    def forward(self, x):
        x = F.batch_norm(x, None, None, self.weight, self.bias, True, 0.1, self.eps)
        return self.act(self.drop(x))


NORMS = {
    "batch norm with activation": (lambda: WithActivation(4), (0, 2, 3), (4, 1, 1), True),
    "layer norm over several axes": (lambda: nn.LayerNorm([4, 5, 6]), (1, 2, 3), (4, 5, 6), False),
    "layer norm of channels": (lambda: ChannelsFirstLayerNorm(4), (1,), (4, 1, 1), False),
    "group norm": (lambda: nn.GroupNorm(2, 4), "groups", (4, 1, 1), False),
    "instance norm": (lambda: nn.InstanceNorm2d(4, affine=True), (2, 3), (4, 1, 1), False),
}


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.filterwarnings("ignore:which axis of")
def test_the_normalised_value_is_the_normalisation_s_own(kind):
    make, over, shape, activated = NORMS[kind]
    torch.manual_seed(0)
    layer = make()
    with torch.no_grad():
        layer.weight.uniform_(0.5, 2.0)
        layer.bias.normal_()
    x = torch.randn(8, 4, 5, 6).exp()
    z = x.double()
    if over == "groups":
        z, over = z.reshape(8, 2, 2, 5, 6), (2, 3, 4)
    z = (z - z.mean(over, keepdim=True)) / (z.var(over, correction=0, keepdim=True) + 1e-5).sqrt()
    z = z.reshape(x.shape)
    out = z * layer.weight.double().reshape(shape) + layer.bias.double().reshape(shape)
    probe = Gaussianity(nn.Sequential(layer), values_per_unit=None)
    with probe(x):
        pass
    stages = {"normalised": z, "output": out} | ({"activated": out.relu()} if activated else {})
    for stage, expected in stages.items():
        units = np.sort(expected.detach().movedim(1, 0).reshape(4, -1).numpy(), axis=1)
        n = units.shape[1]
        distance = np.abs(units - stats.norm.ppf((np.arange(n) + 0.5) / n)).mean()
        assert values(probe, "0", f"{stage}_normal_distance") == pytest.approx([distance], rel=1e-3), stage
        skewness = np.abs(stats.skew(units, axis=1)).mean()
        assert values(probe, "0", f"{stage}_skewness") == pytest.approx([skewness], rel=1e-3), stage
    assert activated == bool(values(probe, "0", "activated_skewness"))


# Gradients


@settings(max_examples=30, deadline=None)
@given(
    exponent=st.integers(-300, 300),
    kind=st.sampled_from([torch.float64, torch.complex128]),
    seed=st.integers(0, 999),
)
def test_norms_of_any_size_in_double_precision(exponent, kind, seed):
    gradient = torch.randn(5, generator=torch.Generator().manual_seed(seed), dtype=kind)
    model = nn.Module()
    model.w = nn.Parameter(torch.zeros(5, dtype=kind))
    model.w.grad = gradient * 10.0**exponent
    probe = GradientHealth(model)
    with probe():
        pass
    expected = float(np.linalg.norm(gradient.numpy())) * 10.0**exponent
    assert values(probe, "", "total_norm") == pytest.approx([expected], rel=1e-12)


# Statistics


def test_frozen_layers_stay_frozen_while_others_are_measured():
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 4), nn.BatchNorm1d(4, momentum=None)).train()
    model[0].running_mean.fill_(5.0)
    model[0].running_var.fill_(9.0)
    model[0].eval()
    batches = [torch.randn(n, 4) + 2 for n in (16, 40)]
    probe = StatisticsGap(model, batches)
    with probe():
        pass
    with torch.no_grad():
        z = torch.cat([model[1]((x - 5) / (9 + 1e-5) ** 0.5) for x in batches]).double()
        x = torch.cat(batches).double()
    expected = (z.mean(0).square() / (z.var(0, correction=0) + 1e-5)).mean().sqrt().item()
    assert values(probe, "2", "mean_gap") == pytest.approx([expected], rel=1e-5)
    frozen = ((5 - x.mean(0)).square() / (x.var(0, correction=0) + 1e-5)).mean().sqrt().item()
    assert values(probe, "0", "mean_gap") == pytest.approx([frozen], rel=1e-5)
    assert not model[0].training
    assert model[2].training


def test_batches_that_do_not_reach_a_layer_are_left_out():
    class Routed(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = nn.BatchNorm1d(2, track_running_stats=False), nn.BatchNorm1d(2)

        def forward(self, x):
            return self.right(x[x[:, 0] > 0])

    x = torch.randn(20, 2)
    probe = StatisticsGap(Routed(), [-x.abs(), x])
    with probe():
        pass
    part = x[x[:, 0] > 0].double()
    expected = (part.mean(0).square() / (part.var(0, correction=0) + 1e-5)).mean().sqrt().item()
    assert values(probe, "right", "mean_gap") == pytest.approx([expected], rel=1e-5)
    assert set(probe.frame().layer) == {"right"}


# No trace


class Counter:
    total = 0

    def __init__(self):
        self.calls = 0


class Slotted:
    __slots__ = ("__secret", "calls")

    def __init__(self):
        self.calls, self.__secret = 0, 0

    def advance(self):
        self.calls += 1
        self.__secret += 1
        return self.__secret


class Keeper(nn.Module):
    """State in every place that Python has for it."""

    shared: list = []  # noqa: RUF012  a class's list is what is under test
    built = 0

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.counter, self.slotted = Counter(), Slotted()
        self.nested = {"a": [1, {"b": deque(maxlen=2)}], "s": {1}}
        self.array, self.raw = np.zeros(3), bytearray(b"\0")
        self.hidden = [nn.BatchNorm1d(3)]
        self.empty = nn.Identity()
        seen = []
        count = 0

        def hook(module, args, output):
            nonlocal count
            count += 1
            seen.append(output.shape)
            hook.calls += 1

        hook.calls = 0
        self.read = lambda: (count, len(seen), hook.calls)
        self.fc.register_forward_hook(hook)

    def forward(self, x):
        self.counter.calls += 1
        Counter.total += 1
        type(self).built += 1
        self.slotted.advance()
        self.nested["a"][1]["b"].append(len(self.nested["a"]))
        self.nested["a"].append(2)
        self.nested["s"].add(len(self.nested["s"]) + 5)
        self.nested["new"] = self.nested.pop("s")
        self.nested["s"] = self.nested.pop("new")
        self.array += 1
        self.raw[0] += 1
        self.shared.append(1)
        self.counter.later = self.counter.calls
        if not hasattr(self.empty, "late"):
            self.empty.register_buffer("late", torch.zeros(1))
        self.empty.late += 1
        return self.hidden[0](self.fc(x))

    def everything(self):
        return (
            *(
                self.counter.calls,
                Counter.total,
                type(self).built,
                self.slotted.calls,
                self.slotted.advance(),
            ),
            *(
                repr(self.nested),
                self.array.tolist(),
                bytes(self.raw),
                len(self.shared),
                vars(self.counter).copy(),
            ),
            *(
                self.empty.late.item(),
                self.read(),
                self.hidden[0].running_mean.tolist(),
                int(self.hidden[0].num_batches_tracked),
            ),
        )


@pytest.mark.parametrize(
    "make",
    [
        lambda m, x: InternalCovariateShift(m, F.cross_entropy),
        lambda m, x: GradientPredictiveness(m, F.cross_entropy, 0.1),
        lambda m, x: ActivationDrift(m),
        lambda m, x: Gaussianity(m),
        lambda m, x: StatisticsGap(m, [x]),
    ],
)
def test_state_anywhere_is_advanced_by_the_user_s_own_passes_alone(make):
    def run(probed):
        torch.manual_seed(0)
        Counter.total, Keeper.built = 0, 0
        Keeper.shared.clear()
        model = Keeper()
        (x, y) = data(1)[0]
        probe = make(model, x)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        nested = model.nested["a"]
        for _ in range(2):
            with probe(x, y) if probed else warnings.catch_warnings():
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
        assert model.nested["a"] is nested
        return model.everything()

    assert run(probed=True) == run(probed=False)


@pytest.mark.parametrize("state", [itertools.count(), iter([1, 2]), (i for i in range(3))])
def test_an_iterator_is_refused_by_name(state):
    model = nn.Sequential(nn.Linear(4, 3))
    model[0].noise = {"stream": state}
    with (
        pytest.raises(TypeError, match=r"model's 0\.noise\.stream is a .*, which a forward pass may advance"),
        Gaussianity(model)(torch.ones(2, 4)),
    ):
        pass


def test_the_world_outside_of_a_model_is_left_alone():
    model, ((x, y),) = net(), data(1)
    model.trainer = {"optimizer": torch.optim.Adam(model.parameters()), "loader": iter(())}
    model.trainer["loader"] = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y))
    with ActivationDrift(model)(x):
        F.cross_entropy(model(x), y).backward()
        model.trainer["optimizer"].step()
    assert len(model.trainer["optimizer"].state) == 6


# Elsewhere


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_models_in_half_precision_are_measured_in_single(dtype):
    """Values of a network whose weights and batch fit half precision, against the same in double."""

    def measured(kind):
        model = net().to(dtype).to(kind)
        x, y = data(1, n=64)[0]
        x = x.to(dtype).to(kind)
        probes = [
            InternalCovariateShift(model, lambda out, y: F.cross_entropy(out.double(), y)),
            ActivationDrift(model),
            Gaussianity(model),
            GradientHealth(model),
            StatisticsGap(model, [x]),
        ]
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        with probes[0](x, y), probes[1](x), probes[2](x), probes[3](), probes[4]():
            F.cross_entropy(model(x).double(), y).backward()
            optimizer.step()
        picked = [("3", "ics"), ("3", "output_std"), ("1", "normalised_normal_distance"), ("", "total_norm")]
        picked.append(("1", "mean_gap"))
        return [values(probe, *what)[0] for probe, what in zip(probes, picked, strict=True)]

    half, double = measured(dtype), measured(torch.float64)
    assert half[1:] == pytest.approx(double[1:], rel=0.05)
    assert half[0] == pytest.approx(double[0], rel=0.3)  # a difference of two gradients, each rounded


@pytest.mark.parametrize("inside", [False, True])
def test_inference_mode_changes_no_value(inside):
    """Of the caller, or of the code that built the model, whose tensors then count no changes."""
    (x, _) = data(1)[0]
    with torch.inference_mode(not inside):
        model = net()
    plain = net()
    for make in (Gaussianity, ActivationDrift, lambda m: StatisticsGap(m, [x])):
        probe, expected = make(model), make(plain)
        with torch.inference_mode(inside), probe(x):
            stepped()
        with expected(x):
            stepped()
        assert probe.frame().equals(expected.frame())
        assert not probe.frame().empty


def test_a_batch_without_samples_has_no_activations_to_measure():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    drift, shape = ActivationDrift(model), Gaussianity(model)
    with drift(torch.ones(0, 4)), shape(torch.ones(0, 4)):
        stepped()
    assert drift.frame().empty
    assert shape.frame().empty
    assert drift.step == 1


def test_reentrant_checkpointing_and_sharding_are_refused_with_the_way_out():
    class Reentrant(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x):
            return torch.utils.checkpoint.checkpoint(self.b, self.a(x), use_reentrant=True)

    model, ((x, y),) = Reentrant(), data(1)
    probe = InternalCovariateShift(model, F.cross_entropy)
    F.cross_entropy(model(x), y).backward()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with pytest.raises(RuntimeError, match=r"reentrant checkpointing.*use_reentrant=False"), probe(x, y):
        optimizer.step()

    class DTensor(nn.Parameter):
        pass

    sharded = nn.Sequential(nn.Linear(2, 2))
    sharded[0].weight = DTensor(torch.ones(2, 2))
    with pytest.raises(TypeError, match=r"model is sharded over processes at '0' \(FSDP\); allowed: DDP"):
        GradientHealth(sharded)


TWO_RANKS = """
import os, sys, torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from bnstudy.probes import GradientHealth, InternalCovariateShift

def train(rank, probed):
    torch.manual_seed(0)
    bare = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    model = DistributedDataParallel(bare)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    shift, health = InternalCovariateShift(model, F.cross_entropy), GradientHealth(model)
    generator = torch.Generator().manual_seed(rank)
    for _ in range(2):
        x, y = torch.randn(6, 4, generator=generator), torch.randint(3, (6,), generator=generator)
        def step():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        if not probed:
            step()
        elif rank == 0:  # passes of a probe wait for nobody
            with shift(x, y), health():
                step()
        else:
            with health():
                step()
    return [p.detach() for p in bare.parameters()], shift, health

rank = 0 if os.fork() else 1
dist.init_process_group("gloo", init_method="file://" + sys.argv[1], rank=rank, world_size=2)
plain, probed = train(rank, False), train(rank, True)
assert all(map(torch.equal, plain[0], probed[0])), "weights"
ends = [None, None]
health = probed[2].frame()
dist.all_gather_object(ends, (health.value.tolist(), [p.tolist() for p in probed[0]]))
assert ends[0] == ends[1], "reduced gradients, equal weights"
if rank == 0:
    frame = probed[1].frame()
    shift = frame[(frame.layer == "3") & (frame.quantity == "ics")].value
    assert len(shift) == 2 and (shift > 0).all(), frame
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
    print("both ranks agree")
"""


def test_two_processes_end_where_they_end_without_probes(tmp_path):
    """DDP: a probe on one rank deadlocks nobody, and gradients are those that both ranks agreed on."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TWO_RANKS, str(tmp_path / "meeting")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert "both ranks agree" in ended.stdout, ended.stderr


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 200), seed=st.integers(0, 99), double=st.booleans())
def test_percentiles_are_those_of_numpy(n, seed, double):
    drawn = np.random.default_rng(seed).normal(size=n).astype(np.float64 if double else np.float32)
    expected = np.percentile(drawn, (0, 15, 50, 85, 100)).tolist()
    assert percentiles(torch.from_numpy(drawn), (0, 15, 50, 85, 100)) == expected
    drawn[-1] = np.nan
    assert np.isnan(percentiles(torch.from_numpy(drawn), (15, 50))).all()
