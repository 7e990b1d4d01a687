"""The first steps of a training run, watched from outside: enough to tell whether it is the recorded one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import torch
from torch import Tensor

from bnstudy.records.spec import RunSpec
from bnstudy.records.tables import Table
from bnstudy.study.watching import Probed
from bnstudy.train.data import Dataset
from bnstudy.train.evaluate import losses_and_hits
from bnstudy.train.fleet import train_run
from bnstudy.train.networks import Network
from bnstudy.train.watch import LossFunction


def first_steps(spec: RunSpec, dataset: Dataset, steps: int, device: str = "cpu") -> dict[str, Table]:
    """Train the first ``steps`` steps of a run, or all if it has fewer; return its tables so far.

    These are ``training``, and that of each probe, which looks at its own steps among them. The learning
    rates are those of the whole run. It is not evaluated before its last step, which doesn't change what is
    trained.
    """
    first = _First(spec, steps, dataset, device)
    later = spec.model_copy(update={"evaluations": 1})  # at the last step alone
    with suppress(_Enough):
        train_run(later, dataset, device=device, progress=False, watch=first)
    return {"training": first.table, **first.probed.tables()}


class _Enough(Exception):
    """The steps that were asked for are done."""


class _Logits:
    """The first logits that a network gives after ``forget``.

    Apart from what watches the run: probes put back whatever hangs on a hook of the network, and must not
    find themselves there.
    """

    def __init__(self) -> None:
        self.kept: Tensor | None = None

    def forget(self) -> None:
        self.kept = None

    def __call__(self, net: torch.nn.Module, inputs: Any, logits: Tensor) -> None:
        # A second pass may keep the moving averages, or be a probe's: the loss was the first one's.
        if self.kept is None:
            self.kept = logits.detach()


class _First:
    """Writes down the first steps' losses from the logits that the network gives, then ends the run."""

    def __init__(self, spec: RunSpec, steps: int, dataset: Dataset, device: str) -> None:
        self.probed = Probed(spec, dataset, device)
        self._steps = steps
        self._logits = _Logits()
        self.table: Table = {"step": [], "loss": [], "accuracy": [], "learning_rate": []}

    def __call__(self, net: Network, loss: LossFunction, rates: list[float]) -> _First:
        self._rates = rates
        self.probed(net, loss, rates)
        net.register_forward_hook(self._logits)
        return self

    def due(self, step: int) -> bool:
        if step > self._steps:
            raise _Enough
        return True

    @contextmanager
    def around(self, x: Tensor, y: Tensor) -> Iterator[None]:
        done = len(self.table["step"])
        with self.probed.around(x, y) if self.probed.due(done + 1) else nullcontext():
            self._logits.forget()  # what a probe passed through before is not the step's
            yield
        assert self._logits.kept is not None
        losses, hits = losses_and_hits(self._logits.kept[: len(y)], y)
        for key, value in {
            "step": done + 1,
            "loss": float(losses.mean(0)),
            "accuracy": float(hits.to(losses.dtype).mean(0)),
            "learning_rate": self._rates[done],
        }.items():
            self.table[key].append(value)
