"""Probes measure optimiser steps: accumulated, skipped, by closures, by several optimisers or by hand."""

from __future__ import annotations

import copy
import math
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnstudy.probes import (
    ActivationDrift,
    GradientHealth,
    GradientPredictiveness,
    InternalCovariateShift,
    MicroBatches,
    StatisticsGap,
    stepped,
)
from tests.small_net import data, net, values


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
