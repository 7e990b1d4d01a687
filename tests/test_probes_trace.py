"""Probes leave no trace: training with them ends where training without them ends, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from bnstudy.norm import BatchNorm
from bnstudy.probes import (
    ActivationDrift,
    Gaussianity,
    GradientHealth,
    GradientPredictiveness,
    InternalCovariateShift,
    NoisyBatchNorm,
    StatisticsGap,
    every,
    stepped,
)
from tests.zoo import ZOO, built

PROBES = {
    "ics": lambda model, loss, x, **how: InternalCovariateShift(model, loss, **how),
    "predictiveness": lambda model, loss, x, **how: GradientPredictiveness(
        model, loss, 0.05, lengths=(0.5, 4.0), **how
    ),
    "drift": lambda model, loss, x, **how: ActivationDrift(model, **how),
    "gaussianity": lambda model, loss, x, **how: Gaussianity(model, **how),
    "health": lambda model, loss, x, **how: GradientHealth(model, **how),
    "gap": lambda model, loss, x, **how: StatisticsGap(model, [x, x], **how),
}


def state(*things):
    """All that a program could tell apart: values, identities of what is shared, modes, hooks, generators."""
    found = [torch.get_rng_state(), random.getstate(), np.random.get_state()]  # noqa: NPY002
    found += [torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled(), torch.is_grad_enabled()]
    for thing in things:
        if isinstance(thing, nn.Module):
            for module in thing.modules():
                for name, value in vars(module).items():
                    # Dynamo numbers its wrappers.
                    if name != "_modules" and not name.startswith("_torchdynamo"):
                        found.append((name, frozen(value)))
                found.append([frozen(p.grad) for p in module.parameters(recurse=False)])
        else:
            found.append(frozen(thing.state_dict()))
    return found


def frozen(value):
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, np.random.Generator):
        return str(value.bit_generator.state)
    if isinstance(value, Mapping):
        return [(str(k), frozen(v)) for k, v in value.items()]
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [frozen(v) for v in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else type(value)


def same(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def train(name, make, steps=2):
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002  the global state is what is under test
    specimen = ZOO[name]
    model = built(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(3)
    probe = None
    for step in range(steps):
        x, y = specimen.batch(generator)
        probe = probe or (make and make(model, specimen.loss, x))

        def one_step(x=x, y=y):
            optimizer.zero_grad()
            specimen.loss(model(x), y).backward()
            optimizer.step()

        with specimen.context():
            if probe is None:
                one_step()
            else:
                with probe(x, y):
                    one_step()
        # In between another mode, which a probe has to keep as it is.
        model.train(step % 2 == 1)
        model(x)
        model.train()
    return state(model, optimizer), probe


@pytest.mark.parametrize("name", ZOO)
def test_training_with_probes_ends_bit_for_bit_where_it_ends_without(name):
    expected, _ = train(name, None)
    for kind, make in PROBES.items():
        ended, probe = train(name, make)
        assert same(ended, expected), kind
        frame = probe.frame()
        assert list(frame.columns) == ["step", "layer", "quantity", "value"]
        has_batch_norm = any(isinstance(m, (_BatchNorm, BatchNorm)) for m in built(name).modules())
        assert set(frame.step) == ({1, 2} if kind != "gap" or has_batch_norm else set())
        assert frame.value.notna().all(), kind


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize("name", ["mlp", "compiled", "bfloat16", "transformer"])
def test_a_body_that_raises_leaves_no_trace(kind, name):
    specimen = ZOO[name]
    model = built(name)
    x, y = specimen.batch(torch.Generator().manual_seed(3))
    probe = PROBES[kind](model, specimen.loss, x)
    before = state(model)
    with pytest.raises(KeyError, match="in the body"), specimen.context(), probe(x, y):
        raise KeyError("in the body")
    assert same(state(model), before)
    assert probe.frame().empty


class Raising:
    """A loss function, or a module's forward, that raises at its n-th call."""

    def __init__(self, function, n):
        self.function, self.left = function, n

    def __call__(self, *args):
        self.left -= 1
        if self.left == 0:
            raise ZeroDivisionError("in the middle")
        return self.function(*args)


@pytest.mark.parametrize("call", [1, 2, 3])
@pytest.mark.parametrize("kind", ["ics", "predictiveness"])
def test_a_loss_that_raises_in_a_probes_pass_leaves_no_trace(kind, call):
    model = built("mlp")
    x, y = ZOO["mlp"].batch(torch.Generator().manual_seed(3))
    probe = PROBES[kind](model, Raising(F.cross_entropy, call), x)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    F.cross_entropy(model(x), y).backward()
    optimizer.register_step_post_hook(lambda *_: kept.append(state(model)))
    kept = [state(model)]
    with pytest.raises(ZeroDivisionError, match="in the middle"), torch.autocast("cpu"), probe(x, y):
        optimizer.step()
    assert len(kept) == 2
    # The state in the body was taken under autocast.
    kept[-1][3] = False
    assert same(state(model), kept[-1])
    assert probe.frame().empty


@pytest.mark.parametrize("kind", [kind for kind in PROBES if kind != "health"])
def test_a_layer_that_raises_in_a_probes_pass_leaves_no_trace(kind):
    model = built("mlp")
    x, y = ZOO["mlp"].batch(torch.Generator().manual_seed(3))
    probe = PROBES[kind](model, F.cross_entropy, x)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    F.cross_entropy(model(x), y).backward()
    raising = Raising(model.fc2.forward, 2 if kind in ("ics", "drift", "predictiveness", "gap") else 1)
    model.fc2.forward = raising
    optimizer.register_step_post_hook(lambda *_: kept.append(state(model)))
    kept = [state(model)]
    with pytest.raises(ZeroDivisionError, match="in the middle"), probe(x, y):
        optimizer.step()
    assert same(state(model), kept[-1])
    assert model.fc2.forward is raising


class Hoarder(nn.Module):
    """A module with state of every kind that is no buffer."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.history, self.count, self.seen = [], 0, {}
        self.tensor = torch.zeros(4)
        self.python, self.numpy = random.Random(0), np.random.default_rng(0)
        self.noise = NoisyBatchNorm(nn.BatchNorm1d(4), generator=torch.Generator().manual_seed(0))
        self.fc.register_forward_hook(lambda module, args, output: self.history.append(output.sum().item()))

    def forward(self, x):
        self.count += 1
        self.seen[self.count] = random.random() + np.random.rand()  # noqa: NPY002
        self.seen[self.count] += self.python.random() + self.numpy.random()
        self.tensor += x.detach().mean(0)
        self.last = self.noise(self.fc(x))
        return self.last * self.count


@pytest.mark.filterwarnings("ignore:what modules of model do:UserWarning")
@pytest.mark.parametrize("kind", PROBES)
def test_state_outside_of_buffers_is_kept_too(kind):
    model = Hoarder()
    x, y = torch.randn(8, 4), torch.randint(0, 4, (8,))
    probe = PROBES[kind](model, F.cross_entropy, x)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with probe(x, y):
        before = state(model)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        after = state(model)
    assert same(state(model), after)
    assert not same(before, after)
    assert model.count == 1 == len(model.history)


class Together:
    """Several probes around one step."""

    def __init__(self, kinds, *arguments):
        self.probes = {kind: PROBES[kind](*arguments) for kind in kinds}

    @contextmanager
    def __call__(self, x, y):
        with ExitStack() as stack:
            for probe in self.probes.values():
                stack.enter_context(probe(x, y))
            yield


def test_several_probes_at_once_measure_what_each_measures_alone():
    ended, together = train("mlp", lambda *arguments: Together(PROBES, *arguments))
    for kind, make in PROBES.items():
        expected, alone = train("mlp", make)
        assert same(ended, expected)
        assert together.probes[kind].frame().equals(alone.frame()), kind


def test_a_schedule_picks_the_steps():
    model = nn.Linear(2, 2)
    x = torch.ones(3, 2)
    probe = ActivationDrift(model, schedule=every(2))
    for _ in range(5):
        with probe(x):
            stepped()
    assert sorted(set(probe.frame().step)) == [1, 3, 5]
    assert probe.step == 5
    with pytest.raises(ValueError, match="n is 0; allowed: an integer of at least 1"):
        every(0)


def test_modes_set_by_the_user_are_measured_in_and_kept():
    model = built("mlp").eval()
    model.bn2.train()
    x, y = ZOO["mlp"].batch(torch.Generator().manual_seed(3))
    for make in PROBES.values():
        with make(model, F.cross_entropy, x)(x, y):
            F.cross_entropy(model(x), y).backward()
        assert [m.training for m in (model, model.bn1, model.bn2, model.drop)] == [False, False, True, False]


def test_probes_make_nothing_compile_again():
    graphs = []
    for make in (None, lambda *arguments: Together(PROBES, *arguments)):
        counters.clear()
        torch._dynamo.reset()
        train("compiled", make, steps=4)
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[0] == graphs[1] > 0
