"""What probes used to measure wrong without a word, against twins that they always measured right."""

from __future__ import annotations

import inspect
import pickle
import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from bnstudy import doctor, probes
from bnstudy.norm import Arm, StatisticsBank
from bnstudy.probes import internal_covariate_shift as unguarded
from bnstudy.probes.guarded import InternalCovariateShift
from bnstudy.probes.references import held_modules, shared_memory

X = torch.randn(16, 6, generator=torch.Generator().manual_seed(9))
Y = torch.arange(16) % 5


def shift(model, make=InternalCovariateShift, steps=1, x=X, lr=0.3, **options):
    """Return the frame of training ``model``, whose parameters start from one seed."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    probe = make(model, F.cross_entropy, **options)
    for _ in range(steps):
        with probe(x, Y):
            optimizer.zero_grad()
            F.cross_entropy(model(x), Y).backward()
            optimizer.step()
    return probe.frame()


def equal(frame, expected):
    assert list(frame.layer) == list(expected.layer)
    assert frame.value.to_numpy() == pytest.approx(expected.value.to_numpy(), rel=1e-4, abs=1e-6)
    assert (expected.value[expected.quantity == "ics"] > 1e-3).sum() >= 2


class Part(nn.Module):
    def __init__(self, wide=6):
        super().__init__()
        self.l = nn.Linear(6, wide)

    def forward(self, x):
        return self.l(x).tanh()


class Pair(nn.Module):
    """Two parts and an output; how the value goes from one to the next is the subclass's."""

    part = Part

    def __init__(self):
        super().__init__()
        self.a, self.b, self.o = self.part(), self.part(), nn.Linear(6, 5)

    def forward(self, x):
        return self.o(self.b(self.a(x)))


class InDictionary(Pair):
    class part(Part):
        def forward(self, d):
            d["x"] = self.l(d["x"]).tanh()
            return d

    def forward(self, x):
        return self.o(self.b(self.a({"x": x}))["x"])


class InObject(InDictionary):
    class part(Part):
        def forward(self, d):
            d.x = self.l(d.x).tanh()
            return d

    def forward(self, x):
        return self.o(self.b(self.a(SimpleNamespace(x=x))).x)


class InGrowingList(InDictionary):
    class part(Part):
        def forward(self, values):
            values.append(self.l(values[-1]).tanh())
            return values

    def forward(self, x):
        return self.o(self.b(self.a([x]))[-1])


class ByParent(InDictionary):
    class part(Part):
        def forward(self, x):
            return {"x": self.l(x)}

    def forward(self, x):
        for part in (self.a, self.b):
            d = part(x)
            d["x"] = x = d["x"].tanh()
        return self.o(x)


class InNewDictionary(InDictionary):
    class part(Part):
        def forward(self, d):
            return {"x": self.l(d["x"]).tanh()}


class InListOfParent(Pair):
    """As in a dense block: the list grows outside of those that read it."""

    class part(Part):
        def forward(self, values):
            return self.l(values[-1]).tanh()

    def forward(self, x):
        values = [x]
        for part in (self.a, self.b):
            values.append(part(values))
        return self.o(values[-1])


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (InDictionary, r"'a' changes its input\[0\]\['x'\]"),
        (InObject, r"'a' changes its input\[0\]\['.x'\]"),
        (InGrowingList, r"'a' changes its input\[0\]\[1\]"),
        (ByParent, r"the output of 'a' is changed after its call, at \['x'\]"),
    ],
)
def test_containers_that_change_are_named_and_measured_by_whole_passes(model, said):
    with pytest.warns(UserWarning, match=said):
        frame = shift(model(), steps=2)
    equal(frame, shift(Pair(), steps=2))


@pytest.mark.parametrize("model", [Pair, InNewDictionary, InListOfParent])
def test_containers_that_nobody_changes_are_as_before(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = shift(model(), steps=2)
    assert frame.equals(shift(model(), unguarded.InternalCovariateShift, steps=2))
    equal(frame, shift(Pair(), steps=2))


def test_a_list_that_grows_within_what_is_skipped_as_a_whole_costs_no_whole_passes():
    """As in torchvision's feature pyramid, whose last block appends to the lists of the one above it."""

    class Appends(nn.Module):
        def forward(self, values):
            values.append(values[-1] * 2)

    class Whole(Part):
        def __init__(self):
            super().__init__()
            self.last = Appends()

        def forward(self, x):
            self.last(values := [super().forward(x)])
            return values[0]

    class Model(Pair):
        part = Whole

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = shift(Model(), steps=2)
    equal(frame, shift(Pair(), steps=2))


def test_a_batch_that_the_forward_pass_changes_is_refused():
    class Model(Pair):
        def forward(self, d):
            d["x"] = d["x"] * 2
            return super().forward(d["x"])

    with pytest.raises(ValueError, match=r"changes its batch at \[0\]\['x'\]"):
        shift(Model(), x={"x": X}, forward=lambda model, batch: (model(batch[0]), batch[1]))


def counting(model):
    model.calls = 0

    def count(module, args, output):
        model.calls += 1

    return count


class Hooked(Pair):
    def hook(self, module, args, output):
        self.calls = getattr(self, "calls", 0) + 1


def bound(model):
    model.a.register_forward_hook(model.hook)


def closed_over(model):
    model.b.register_forward_hook(counting(model))


def parent(model):
    object.__setattr__(model.a, "parent", model)


def siblings(model):
    model.b.others = (model.a, model.o)


@pytest.mark.parametrize(
    ("refer", "said"),
    [
        (bound, "'a' holds 'the model' through its _forward_hooks"),
        (closed_over, "'b' holds 'the model' through its _forward_hooks"),
        (parent, "'a' holds 'the model' through its parent"),
        (siblings, "'b' holds '(a|o)' through its others"),
    ],
)
def test_modules_that_lead_to_others_are_named_and_measured_by_whole_passes(refer, said):
    model = Hooked()
    refer(model)
    with pytest.warns(UserWarning, match=said):
        frame = shift(model)
    equal(frame, shift(Hooked()))


def test_hooks_that_hold_plain_data_lead_nowhere():
    model, seen = nn.Sequential(Hooked(), nn.BatchNorm1d(5)), []
    model[0].a.register_forward_hook(lambda module, args, output: seen.append(output.shape))
    bank = StatisticsBank(model, [Arm(0.9)])
    model[0].b.register_forward_hook(model[0].b.l.forward)  # below it
    assert held_modules(model) == []
    assert bank.layers


def test_the_doctors_hooks_lead_nowhere():
    class Normed(Pair):
        class part(Part):
            def __init__(self):
                super().__init__()
                self.l = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6))

    watched, alone = Normed(), Normed()
    with doctor.watch(watched) as watch, warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = shift(watched, steps=2)
    equal(frame, shift(Normed(), steps=2))
    with doctor.watch(alone) as other:
        shift(alone, lambda model, loss: probes.GradientHealth(model), steps=2)
    assert watch.history.steps == other.history.steps


STORE = []


def test_what_nothing_shows_is_seen_by_a_whole_pass():
    class Sends(Part):
        def forward(self, x):
            STORE[:] = [super().forward(x)]
            return x

    class Model(Pair):
        part = Sends

        def forward(self, x):
            self.a(x)
            self.b(STORE[0])
            return self.o(STORE[0])

    with pytest.warns(UserWarning, match=r"'o' gets .* by one, and .* by a whole pass"):
        frame = shift(Model())
    equal(frame, shift(Pair()))


def test_a_step_too_small_to_tell_is_looked_at_again():
    model = Pair()
    probe = InternalCovariateShift(model, F.cross_entropy)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    for lr, looks, settled in ((0.0, 0, False), (1e-7, 1, False), (0.3, 2, True), (0.3, 2, True)):
        optimizer.param_groups[0]["lr"] = lr
        with probe(X, Y):
            optimizer.zero_grad()
            F.cross_entropy(model(X), Y).backward()
            optimizer.step()
        assert (probe._looks, probe._settled) == (looks, settled)


def test_a_gradient_within_the_loss_is_named_and_measured_by_whole_passes():
    class Critic(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 1)

        def forward(self, x):
            x = x + self.a(x).tanh()
            return self.c(x + self.b(x).tanh())

    def penalised(model, batch):
        with torch.enable_grad():
            x = batch.detach().requires_grad_()
            output = model(x)
            [slope] = torch.autograd.grad(output.sum(), x, create_graph=True)
            return output.mean() + 10 * (slope.norm(dim=1) - 1).square().mean(), None

    def gradient(model, name):
        own = list(model.get_submodule(name).parameters())
        found = torch.autograd.grad(penalised(model, X)[0], own, allow_unused=True, materialize_grads=True)
        return torch.cat([g.flatten() for g in found])

    torch.manual_seed(0)
    model, mixed, old = (Critic() for _ in range(3))
    for twin in (mixed, old):
        twin.load_state_dict(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    probe = InternalCovariateShift(model, None, forward=penalised)

    def step():
        with probe(X):
            optimizer.zero_grad()
            penalised(model, X)[0].backward()
            optimizer.step()

    with pytest.warns(UserWarning, match="a gradient is taken within the forward pass or the loss"):
        step()
    values = probe.frame().set_index(["layer", "quantity"]).value
    for name in "abc":
        g, shifted = gradient(old, name), gradient(mixed, name)
        assert values[name, "ics"] == pytest.approx(float((g - shifted).norm()), rel=1e-4, abs=1e-6)
        mixed.get_submodule(name).load_state_dict(model.get_submodule(name).state_dict())
    assert values["c", "ics"] > 0.1


def test_gradient_checkpointing_is_named_and_measured_by_whole_passes():
    class Model(nn.Module):
        def __init__(self, saves):
            super().__init__()
            self.saves = saves
            self.body = nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6), nn.Linear(6, 6), nn.Tanh())
            self.o = nn.Linear(6, 5)

        def forward(self, x):
            if not self.saves:
                return self.o(self.body(x))
            return self.o(checkpoint(self.body, x.clone().requires_grad_(), use_reentrant=False))

    with pytest.warns(UserWarning, match="gradient checkpointing"):
        frame = shift(Model(True), steps=2)
    equal(frame, shift(Model(False), steps=2))


FROM_ENTRY = {
    "drift": probes.ActivationDrift,
    "gaussianity": probes.Gaussianity,
    "predictiveness": lambda model: probes.GradientPredictiveness(model, F.cross_entropy, 0.1),
    "ics": lambda model: InternalCovariateShift(model, F.cross_entropy),
}


def after_a_step(model, make):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    probe = make(model)
    with probe(X, Y):
        optimizer.zero_grad()
        F.cross_entropy(model(X), Y).backward()
        optimizer.step()
    return probe.frame()


@pytest.mark.parametrize("kind", FROM_ENTRY)
def test_pytorchs_older_spectral_norm_keeps_its_first_step(kind):
    def built():
        torch.manual_seed(0)
        return nn.Sequential(nn.utils.spectral_norm(nn.Linear(6, 4)), nn.Tanh(), nn.Linear(4, 5))

    model, twin, parted = built(), built(), built()
    start = model[0].weight_orig.detach().clone()
    frame = after_a_step(model, FROM_ENTRY[kind])
    after_a_step(twin, probes.GradientHealth)
    assert torch.equal(model[0].weight_orig, twin[0].weight_orig)
    assert not torch.equal(model[0].weight_orig, start)
    vars(parted[0])["weight"] = parted[0].weight.clone()
    assert frame.equals(after_a_step(parted, FROM_ENTRY[kind]))


@pytest.mark.parametrize("kind", FROM_ENTRY)
def test_a_tensor_in_a_parameters_memory_is_refused_before_the_step(kind):
    model = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 5))
    model[1].kept = {"rows": model[0].weight.data[1:]}
    start = model[0].weight.detach().clone()
    with pytest.raises(ValueError, match=r"model's 1.kept.rows lies in the memory of parameter '0.weight'"):
        after_a_step(model, FROM_ENTRY[kind])
    assert torch.equal(model[0].weight, start)
    model[1].kept = {"rows": model[0].weight.data[1:].clone()}
    after_a_step(model, FROM_ENTRY[kind])
    assert not torch.equal(model[0].weight, start)
    model[0].requires_grad_(False)
    model[1].kept = {"rows": model[0].weight.data[1:]}
    assert shared_memory(model) == []


@pytest.mark.parametrize("kind", FROM_ENTRY)
def test_a_parameter_that_is_used_from_a_list_is_refused(kind):
    class Model(Pair):
        def __init__(self, trained=True):
            super().__init__()
            self.kept = [self.b.l.weight.requires_grad_(trained)]

        def forward(self, x):
            return self.o(F.linear(self.a(x), self.kept[0]))

    with pytest.raises(ValueError, match=r"uses the parameter 'b.l.weight' itself"):
        after_a_step(Model(), FROM_ENTRY[kind])
    after_a_step(Model(trained=False), FROM_ENTRY[kind])


@pytest.mark.parametrize("kind", FROM_ENTRY)
def test_recurrent_layers_whose_lists_pytorch_keeps_are_taken(kind):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.r, self.o = nn.LSTM(6, 7), nn.Linear(7, 5)

        def forward(self, x):
            return self.o(self.r(x)[0])

    assert not after_a_step(Model(), FROM_ENTRY[kind]).empty


def test_micro_batches_of_a_layer_with_max_norm_are_refused():
    def model(max_norm):
        torch.manual_seed(0)
        return nn.Sequential(nn.Embedding(5, 6, max_norm=max_norm), nn.Linear(6, 5))

    tokens = [torch.tensor([0, 1, 2]), torch.tensor([3, 4, 1])]

    def part(net, t):
        F.cross_entropy(net(t), t).div(2).backward()

    net = model(0.5)
    probe = probes.GradientHealth(net)
    with pytest.raises(RuntimeError, match="'0' has max_norm"), probe(tokens[0], tokens[0]):
        part(net, tokens[0])
    assert probe.step == 0
    frames = []
    for norm in (1e3, None):  # no norm is above the first
        net = model(norm)
        probe, optimizer = probes.ActivationDrift(net), torch.optim.SGD(net.parameters(), lr=0.1)
        with probe(probes.MicroBatches([(t, t) for t in tokens])):
            for t in tokens:
                part(net, t)
            optimizer.step()
        frames.append(probe.frame())
    assert frames[0].equals(frames[1])


@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf")])
def test_a_learning_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match=r"learning_rate gave .*; allowed: a finite number of at least 0"):
        after_a_step(
            nn.Linear(6, 5), lambda net: probes.GradientPredictiveness(net, F.cross_entropy, lambda: rate)
        )


def test_smoothness_along_no_way_is_undefined():
    torch.manual_seed(0)
    model = nn.Linear(6, 5)
    loss = F.cross_entropy(model(X), Y).item()
    with pytest.warns(UserWarning, match="learning_rate gave 0 at step 1"):
        frame = after_a_step(
            model, lambda net: probes.GradientPredictiveness(net, F.cross_entropy, lambda: 0.0)
        )
    values = dict(zip(frame.quantity, frame.value, strict=True))
    assert values["loss_min"] == values["loss_max"] == pytest.approx(loss)
    assert values["gradient_difference_max"] == 0.0
    assert values["beta_smoothness"] != values["beta_smoothness"]


@pytest.mark.parametrize(
    "name",
    [
        "ActivationDrift",
        "Gaussianity",
        "GradientHealth",
        "GradientPredictiveness",
        "InternalCovariateShift",
        "StatisticsGap",
    ],
)
def test_users_get_the_guarded_probe_under_its_name(name):
    public = getattr(probes, name)
    [base] = [c for c in public.__mro__[1:] if c.__name__ == name]
    assert base.__module__ != public.__module__
    assert inspect.signature(public) == inspect.signature(base)
    assert public.__doc__ == base.__doc__


def test_a_probe_can_be_pickled_and_names_its_scalars_as_before():
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 5))
    probe = InternalCovariateShift(model, F.cross_entropy)
    assert isinstance(probe, unguarded.InternalCovariateShift)
    again = pickle.loads(pickle.dumps(probe))
    with again(X, Y):
        optimizer = torch.optim.SGD(again._model.parameters(), lr=0.1)
        F.cross_entropy(again._model(X), Y).backward()
        optimizer.step()
    assert "internal_covariate_shift/0/ics" in again.scalars()
