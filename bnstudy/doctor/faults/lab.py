"""Where faults are injected: data, networks, and a training loop that a fault can reach into."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from bnstudy.doctor.faults.models import MODELS
from bnstudy.doctor.report import Report
from bnstudy.doctor.watching import Watch, watch

Batch = tuple[Tensor, Tensor]
Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
At = Callable[[int, nn.Module], None]
Observe = Callable[[nn.Module, Optimizer], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Data:
    """Images [N, C, S, S], floating-point, and labels [N]."""

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor

    @classmethod
    def of(cls, arrays: Any, side: int, images: int) -> Data:
        """Return a dataset of ``load_dataset`` in ``side`` pixels, at most ``images`` of each part."""

        def scaled(x: Any) -> Tensor:
            values = torch.as_tensor(x).permute(0, 3, 1, 2).float() / 255
            return F.adaptive_avg_pool2d(values, side)

        x, y = scaled(arrays.x_train[:images]), torch.as_tensor(arrays.y_train[:images]).long()
        test, labels = scaled(arrays.x_test[:images]), torch.as_tensor(arrays.y_test[:images]).long()
        mean, spread = x.mean(), x.std()
        return cls((x - mean) / spread, y, (test - mean) / spread, labels)

    def batches(self, size: int = 128) -> list[Batch]:
        """Return the training images in order."""
        return cut(self.x_train, self.y_train, size)

    def test_batches(self, size: int = 128) -> list[Batch]:
        """Return the test images in order."""
        return cut(self.x_test, self.y_test, size)


@dataclass
class Case:
    """One model with what belongs to it, for all calls of the doctor that can be made.

    ``twin`` is what it would be without the fault. ``pair`` are the arguments of ``compare``.
    """

    model: nn.Module
    twin: nn.Module | None
    train: list[Batch]
    test: list[Batch]
    watched: Report | None = None
    pair: tuple[Any, Any, Any] | None = None
    state: dict[str, Tensor] | None = None
    diagnosable: bool = True


@dataclass
class Lab:
    """One data set, kind of network and seed; the healthy network is trained once."""

    data: Data
    kind: str
    seed: int
    steps: int = 120
    # Another tool that looks at the same training, as a context around it.
    observe: Observe | None = None
    _kept: dict[str, Any] = field(default_factory=dict)

    def build(self, dropout: float = 0.0) -> nn.Module:
        """Return a new network, always with the same weights."""
        torch.manual_seed(self.seed)
        channels, side = self.data.x_train.shape[1:3]
        return MODELS[self.kind](channels, side, dropout)

    def healthy(self) -> nn.Module:
        """Return a copy of the network after the plain training."""
        if "healthy" not in self._kept:
            self._kept["healthy"] = self.train(self.build())
        model: nn.Module = self._kept["healthy"][0]
        return copy.deepcopy(model)

    def healthy_report(self) -> Report:
        """Return what was watched of that training."""
        self.healthy()
        report: Report = self._kept["healthy"][1]
        return report

    def stream(self, batch: int = 32, more: int = 0) -> Iterator[Batch]:
        """Yield training batches for ever, drawn by the seed."""
        generator = torch.Generator().manual_seed(1000 * (more + 1) + self.seed)
        while True:
            order = torch.randperm(len(self.data.x_train), generator=generator)
            for part in torch.split(order, batch):
                if len(part) == batch:
                    yield self.data.x_train[part], self.data.y_train[part]

    def train(
        self,
        model: nn.Module,
        *,
        steps: int | None = None,
        batch: int = 32,
        rate: float = 0.05,
        loss: Loss | None = None,
        before: At | None = None,
        after: At | None = None,
        batches: Iterable[Batch] | None = None,
        parameters: Iterable[nn.Parameter] | None = None,
        anneal: bool = True,
    ) -> tuple[nn.Module, Report]:
        """Train with momentum and a learning rate that falls to 0, watched; return the model and the report.

        ``before`` and ``after`` are called around each step with its number, from 0.
        """
        torch.manual_seed(self.seed + 1)
        steps = self.steps if steps is None else steps
        optimizer = torch.optim.SGD(parameters or model.parameters(), rate, momentum=0.9)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps) if anneal else None
        model.train()
        source = iter(batches) if batches is not None else self.stream(batch)
        with self.watching(model, optimizer) as seen:
            for step in range(steps):
                if before is not None:
                    before(step, model)
                x, y = next(source)
                optimizer.zero_grad()
                (loss or cross_entropy)(model, x, y).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                if schedule is not None:
                    schedule.step()
                if after is not None:
                    after(step, model)
        return model, seen.report()

    @contextmanager
    def watching(self, model: nn.Module, *optimizers: Optimizer) -> Iterator[Watch]:
        """Return a context that watches, and lets the other tool look."""
        other = self.observe(model, optimizers[-1]) if self.observe is not None else nullcontext()
        with other, watch(model, *optimizers) as seen:
            yield seen

    def case(self, model: nn.Module, twin: nn.Module | None = None, **more: Any) -> Case:
        """Return a case of a trained model in evaluation mode, on this lab's data."""
        model.eval()
        given = {"train": self.data.batches(), "test": self.data.test_batches(), **more}
        return Case(model, twin if twin is not None else self.healthy().eval(), **given)


def cut(x: Tensor, y: Tensor, size: int) -> list[Batch]:
    """Return images and labels in batches."""
    return list(zip(torch.split(x, size), torch.split(y, size), strict=True))


def cross_entropy(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the mean loss of a batch."""
    return F.cross_entropy(model(x), y)


def norms(model: nn.Module) -> list[_BatchNorm]:
    """Return a model's batch-norm layers, in the order of their registration."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


def set_momentum(model: nn.Module, momentum: float | None) -> nn.Module:
    """Set the momentum of all batch-norm layers, in place, and return the model."""
    for layer in norms(model):
        layer.momentum = momentum
    return model
