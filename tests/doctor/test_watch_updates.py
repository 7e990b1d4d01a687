"""How often a step moves the averages, by layers' counters; and loops that only look like accumulation."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from bnstudy import BatchNorm, doctor
from tests.doctor.nets import batches, net, steps

STACKS = {
    "in the middle": lambda: [nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU()],
    "last": lambda: [nn.Linear(8, 8), nn.BatchNorm1d(8)],
    "alone": lambda: [nn.BatchNorm1d(8)],
    "two": lambda: [nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8), nn.BatchNorm1d(8)],
    "ours": lambda: [nn.Linear(8, 8), BatchNorm(8)],
}


def updates(report):
    found = [f for f in report.findings if f.code == "double-update"]
    return {f.layer: (f.evidence["kind"], f.evidence["updates_a_step"]) for f in found}


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("whole", [True, False], ids=["the whole model", "a part"])
@pytest.mark.parametrize("name", STACKS)
def test_updates_by_checkpointing_are_those_that_each_layer_counted(name, whole, reentrant):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Sequential(*STACKS[name]()), nn.Linear(8, 4))
    layers = {n: m for n, m in model.named_modules() if isinstance(m, (nn.BatchNorm1d, BatchNorm))}

    def call(x):
        x = x.clone().requires_grad_()
        part = model if whole else model[0]
        y = checkpoint(part, x, use_reentrant=reentrant)
        return y if whole else model[1](y)

    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with doctor.watch(model, optimizer) as seen:
        steps(model, batches(5), optimizer, call)
    counted = {n: int(m.num_batches_tracked) / 5 for n, m in layers.items()}
    # Ours moves its averages last: a checkpoint that ends with it stops before.
    assert set(counted.values()) == {1.0 if name == "ours" and not whole and not reentrant else 2.0}
    several = {n: ("checkpointing", rate) for n, rate in counted.items() if rate > 1}
    assert updates(seen.report()) == several


def test_a_layer_without_a_counter_is_counted_by_its_calls():
    model = net()
    for layer in (model[1], model[4]):
        layer.num_batches_tracked = None
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with doctor.watch(model, optimizer) as seen:
        steps(
            model, batches(), optimizer, lambda x: checkpoint(model, x.requires_grad_(), use_reentrant=True)
        )
    assert updates(seen.report()) == dict.fromkeys("14", ("checkpointing", 2.0))


def test_what_a_validation_counts_is_no_update_of_a_step():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with doctor.watch(model, optimizer) as seen:
        for _ in range(3):
            steps(model, batches(2), optimizer)
            with torch.no_grad():
                for x, _ in batches(3):
                    model(x)
    assert [record.updates for record in seen.history.layers] == [6, 6]


def test_many_steps_are_added_up_as_few_are():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    with doctor.watch(model, optimizer) as seen:
        steps(model, batches(2, 8) * 70, optimizer)
    assert [record.updates for record in seen.history.layers] == [140, 140]


def test_an_error_in_the_layer_is_no_update():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with doctor.watch(model, optimizer) as seen:
        with pytest.raises(ValueError, match="more than 1 value"):
            model(torch.randn(1, 8))
        steps(model, batches(2), optimizer)
    assert seen.history.layers[0].windows == 2
    assert updates(seen.report()) == {}


def lbfgs(model):
    optimizer = torch.optim.LBFGS(model.parameters(), 0.1, max_iter=4)
    with doctor.watch(model, optimizer) as seen:
        for x, y in batches(3):

            def closure(x=x, y=y):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                return loss

            optimizer.step(closure)
    return seen


def sharpness_aware(model, set_to_none=True):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with doctor.watch(model, optimizer) as seen:
        for x, y in batches(4):
            for _ in range(2):
                optimizer.zero_grad(set_to_none)
                F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return seen


def adversarial(critic, joint=False):
    generator = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8))
    first, second = (torch.optim.SGD(m.parameters(), 0.01) for m in (generator, critic))
    with doctor.watch(nn.ModuleList([generator, critic]), first, second) as seen:
        for x, _ in batches(4):
            made = generator(torch.randn(len(x), 4))
            second.zero_grad()
            if joint:
                (critic(x).mean() - critic(made.detach()).mean()).backward()
            else:
                critic(x).mean().backward()
                (-critic(made.detach()).mean()).backward()
            second.step()
            first.zero_grad()
            critic(made).mean().backward()
            first.step()
    return seen


def accumulated(model):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with doctor.watch(model, optimizer) as seen:
        for batch in (batches(6)[i : i + 2] for i in (0, 2, 4)):
            optimizer.zero_grad(set_to_none=False)
            for x, y in batch:
                (F.cross_entropy(model(x), y) / 2).backward()
            optimizer.step()
    return seen


def two_owners(model):
    """Two optimisers that step together, each for its own half, after two accumulated batches."""
    first, second = (torch.optim.SGD(part.parameters(), 0.1) for part in (model[:3], model[3:]))
    with doctor.watch(model, first, second) as seen:
        for batch in (batches(6)[i : i + 2] for i in (0, 2, 4)):
            for optimizer in (first, second):
                optimizer.zero_grad()
            for x, y in batch:
                (F.cross_entropy(model(x), y) / 2).backward()
            for optimizer in (first, second):
                optimizer.step()
    return seen


LOOPS = {
    "LBFGS": (lbfgs, "closure"),
    "sharpness-aware": (sharpness_aware, "several"),
    "sharpness-aware, gradients set to zero": (lambda m: sharpness_aware(m, False), "several"),
    "a discriminator": (adversarial, "several"),
    "a discriminator with one loss": (lambda m: adversarial(m, True), "several"),
    "accumulation": (accumulated, "accumulated"),
    "accumulation for two optimisers": (two_owners, "accumulated"),
}


@pytest.mark.parametrize("name", LOOPS)
def test_only_gradients_that_are_added_up_are_called_accumulated(name):
    run, kind = LOOPS[name]
    seen = run(net().train())
    report = seen.report()
    assert report.ok
    assert {kind for kind, _ in updates(report).values()} == {kind}
    layers = [record for record in seen.history.layers if record.updates]
    assert all(record.updates == int(record.module.num_batches_tracked) for record in layers) or (
        # A generator's last step came after the discriminator's.
        "discriminator" in name
    )
