"""State anywhere in a model is advanced by the user's own passes alone."""

from __future__ import annotations

import itertools
import warnings
from collections import deque

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnstudy.probes import (
    ActivationDrift,
    Gaussianity,
    GradientPredictiveness,
    InternalCovariateShift,
    StatisticsGap,
)
from tests.small_net import data, net


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
