"""One network, evaluated with each choice of normalisation statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bnstudy.network import ArticleNet
from bnstudy.norm import Arm, PreciseStatistics, StatisticsBank
from bnstudy.norm.bank import using
from bnstudy.spec import RunSpec

if TYPE_CHECKING:
    from bnstudy.train import DeviceData

TRAIN_SUBSET = 10_000  # training images on which the training accuracy is estimated
FORWARD_SIZE = 125  # images a forward with fixed statistics; larger ones fall out of a CPU's cache


class Evaluator:
    """Gives rows of split, statistics, decay, zero_debias, loss and accuracy for fixed weights.

    ``statistics`` is one of

    * ``"moving"``: the moving averages that an arm of the bank holds;
    * ``"frozen"``: the same average over as many batches (at most one epoch), all of them passed through
      the *present* weights, debiased. Against ``"moving"`` with ``zero_debias="both"`` it lacks staleness
      alone, and against ``"precise"`` it has sampling noise alone;
    * ``"batch"``: each evaluation batch's own moments, in batches of the training size;
    * ``"precise"``: the pooled moments of the whole training set;
    * ``"none"``: the network has no normalisation.

    Weights, moving averages and modes are left as they were.
    """

    def __init__(self, net: ArticleNet, data: DeviceData, spec: RunSpec, generator: torch.Generator) -> None:
        self.net = net
        self.data = data
        self.spec = spec
        self.layers = net.norm_layers()
        # One order for all steps and arms, so that their differences are paired.
        order = torch.randperm(len(data.x_train), generator=generator).to(data.x_train.device)
        self.train_order = order

    @torch.no_grad()
    def rows(
        self, bank: StatisticsBank | None, step: int, splits: tuple[str, ...]
    ) -> Iterator[dict[str, Any]]:
        """Evaluate every choice of statistics on each of ``splits`` (``"test"``, ``"train"``)."""
        was_training = self.net.training
        try:
            if bank is None:
                for split in splits:
                    yield _row(split, "none", None, self._fixed(split, [None])[0])
                return
            choices = self._choices(bank, step)
            for split in splits:
                yield _row(split, "batch", None, self._batchwise(split))
                scores = self._fixed(split, list(choices.values()))
                for (statistics, arm), score in zip(choices, scores, strict=True):
                    yield _row(split, statistics, arm, score)
        finally:
            self.net.train(was_training)

    def _choices(self, bank: StatisticsBank, step: int) -> dict[tuple[str, Arm | None], Tensor]:
        """Return every fixed choice [2, C_total]: the bank's, and those from one pass of the training set."""
        self.net.train()
        pooled = PreciseStatistics(self.layers)
        frozen = StatisticsBank(self.layers, [Arm(d, "both") for d in self.spec.decays])
        for i, index in enumerate(torch.split(self.train_order, self.spec.batch_size)):
            self.net(self.data.x_train[index].contiguous(memory_format=torch.channels_last))
            pooled.update()
            if i < step:
                frozen.update()
        return {
            ("precise", None): pooled.statistics(),
            **{("moving", arm): bank.statistics(arm) for arm in bank.arms},
            **{("frozen", arm): frozen.statistics(arm) for arm in frozen.arms},
        }

    def _fixed(self, split: str, choices: Sequence[Tensor | None]) -> list[tuple[float, float]]:
        """Score each choice of fixed statistics; what no statistics enter is computed once for all."""
        self.net.eval()
        x, y = self._images(split)
        scores = [_Score(x.device) for _ in choices]
        for images, labels in zip(torch.split(x, FORWARD_SIZE), torch.split(y, FORWARD_SIZE), strict=True):
            start = self.net.start(images)
            for choice, score in zip(choices, scores, strict=True):
                with using(self.layers, choice) if choice is not None else nullcontext():
                    score.add(self.net.finish(start), labels)
        return [score.means() for score in scores]

    def _batchwise(self, split: str) -> tuple[float, float]:
        self.net.train()
        x, y = self._images(split)
        # Near-equal batches: a last one of a few images would have worse moments than all others.
        parts = -(-len(y) // self.spec.batch_size)
        score = _Score(x.device)
        for images, labels in zip(x.tensor_split(parts), y.tensor_split(parts), strict=True):
            score.add(self.net(images), labels)
        return score.means()

    def _images(self, split: str) -> tuple[Tensor, Tensor]:
        if split == "test":
            return self.data.x_test, self.data.y_test
        return self.data.x_train[:TRAIN_SUBSET], self.data.y_train[:TRAIN_SUBSET]


class _Score:
    """Adds up loss and hits on the device, so that no batch waits for the one before."""

    def __init__(self, device: torch.device) -> None:
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.right = torch.zeros((), dtype=torch.int64, device=device)
        self.count = 0

    def add(self, logits: Tensor, labels: Tensor) -> None:
        self.loss += F.cross_entropy(logits, labels, reduction="sum").double()
        self.right += (logits.argmax(1) == labels).sum()
        self.count += len(labels)

    def means(self) -> tuple[float, float]:
        return float(self.loss) / self.count, int(self.right) / self.count


def _row(split: str, statistics: str, arm: Arm | None, score: tuple[float, float]) -> dict[str, Any]:
    return {
        "split": split,
        "statistics": statistics,
        "decay": arm.decay if arm else None,
        "zero_debias": arm.zero_debias if arm else None,
        "loss": score[0],
        "accuracy": score[1],
    }
