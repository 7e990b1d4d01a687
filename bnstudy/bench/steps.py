"""Training steps and forwards to time: the package's own, and the ordinary loop's."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from bnstudy.norm import Arm, StatisticsBank
from bnstudy.records.spec import RunSpec
from bnstudy.train.data import Dataset
from bnstudy.train.device import deterministic
from bnstudy.train.evaluate import CPU_FORWARD_SIZE
from bnstudy.train.fleet import Fleet

ORDINARY = Path(__file__).resolve().parents[2] / "benchmarks" / "ordinary_loop.py"


class Training:
    """A run of the package whose steps are taken by hand; ``bank`` replaces its statistics bank."""

    def __init__(self, spec: RunSpec, dataset: Dataset, arms: list[Arm] | None = None) -> None:
        self.run = Fleet([spec], dataset, torch.device("cpu"))
        if arms is not None:
            layers = self.run.net.norm_layers()
            self.run.bank = StatisticsBank(layers, arms) if arms else None
        if spec.batch_size > len(self.run.images):
            raise ValueError(
                f"batch_size is {spec.batch_size}; allowed: at most {len(self.run.images)}, "
                f"the training images of {dataset.name!r}"
            )

    def steps(self, count: int) -> None:
        """Take ``count`` training steps, each on the first batch again."""
        with deterministic():
            for _ in range(count):
                self.run.feed.rewind()
                self.run.done.zero_()
                self.run.step(self.run.spec.batch_size)

    @torch.no_grad()
    def evaluate(self, images: int) -> None:
        """Pass that many test images (or all there are) through the network with its moving averages."""
        self.run.net.eval()
        test = self.run.data.test
        with deterministic():
            for index in torch.split(torch.arange(len(test))[:images, None], CPU_FORWARD_SIZE):
                self.run.net(test.batch(index)[0])


def ordinary(dataset: Dataset, batch_size: int, workers: int) -> Iterator[float]:
    """Return the ordinary loop over ``dataset``: each item is a training step's loss.

    Raises ``FileNotFoundError`` outside a checkout of the repository, where the loop is kept.
    """
    spec = importlib.util.spec_from_file_location("ordinary_loop", ORDINARY)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    loop: Iterator[float] = module.steps(dataset.x_train, dataset.y_train, batch_size, workers)
    return loop
