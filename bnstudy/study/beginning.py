"""The first steps of a training run, watched from outside: enough to tell whether it is the recorded one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor

from bnstudy.records.spec import RunSpec
from bnstudy.records.tables import Table
from bnstudy.train.data import Dataset
from bnstudy.train.evaluate import losses_and_hits
from bnstudy.train.fleet import LossFunction, train_run
from bnstudy.train.networks import Network


def first_steps(spec: RunSpec, dataset: Dataset, steps: int, device: str = "cpu") -> Table:
    """Train the first ``steps`` steps of a run, or all if it has fewer; return its ``training`` table.

    The learning rates are those of the whole run. It is not evaluated before its last step, and no probe
    looks at it: neither changes what is trained.
    """
    first = _First(steps)
    later = spec.model_copy(update={"evaluations": 1})  # at the last step alone
    with suppress(_Enough):
        train_run(later, dataset, device=device, progress=False, watch=first)
    return first.table


class _Enough(Exception):
    """The steps that were asked for are done."""


class _First:
    """Writes down the first steps' losses from the logits that the network gives, then ends the run."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self.table: Table = {"step": [], "loss": [], "accuracy": [], "learning_rate": []}

    def __call__(self, net: Network, loss: LossFunction, rates: list[float]) -> _First:
        self._rates = rates
        net.register_forward_hook(self._keep)
        return self

    def due(self, step: int) -> bool:
        if step > self._steps:
            raise _Enough
        return True

    @contextmanager
    def around(self, x: Tensor, y: Tensor) -> Iterator[None]:
        self._logits: Tensor | None = None
        yield
        assert self._logits is not None
        losses, hits = losses_and_hits(self._logits[: len(y)], y)
        done = len(self.table["step"])
        for key, value in {
            "step": done + 1,
            "loss": float(losses.mean(0)),
            "accuracy": float(hits.to(losses.dtype).mean(0)),
            "learning_rate": self._rates[done],
        }.items():
            self.table[key].append(value)

    def _keep(self, net: torch.nn.Module, inputs: Any, logits: Tensor) -> None:
        # A second pass, after the step, may keep the moving averages: the loss was the first one's.
        if self._logits is None:
            self._logits = logits.detach()
