"""Networks, one or several side by side, evaluated with each choice of normalisation statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from bnstudy.device_data import DeviceData
from bnstudy.network import ArticleNet
from bnstudy.norm import Arm, PreciseStatistics, StatisticsBank
from bnstudy.norm.bank import using
from bnstudy.spec import RunSpec

TRAIN_SUBSET = 10_000  # training images on which the training accuracy is estimated

# Images, times members, in a forward with fixed statistics: larger ones fall out of a CPU's cache,
# while smaller ones leave a GPU idle.
CPU_FORWARD_SIZE, GPU_FORWARD_SIZE = 125, 5000


class Row(NamedTuple):
    """One evaluation: what was chosen, and loss and accuracy of each member."""

    split: str
    statistics: str
    arm: Arm | None
    scores: list[tuple[float, float]]

    def table_row(self, member: int) -> dict[str, Any]:
        """Return the row of one member's table: split, statistics, decay, zero_debias, loss, accuracy."""
        loss, accuracy = self.scores[member]
        return {
            "split": self.split,
            "statistics": self.statistics,
            "decay": self.arm.decay if self.arm else None,
            "zero_debias": self.arm.zero_debias if self.arm else None,
            "loss": loss,
            "accuracy": accuracy,
        }


class Evaluator:
    """Gives rows for fixed weights, for those choices of normalisation statistics that the spec names.

    * ``"moving"``: the moving averages that an arm of the bank holds;
    * ``"frozen"``: the same average over as many batches (at most one epoch), all of them passed through
      the *present* weights, debiased. Against ``"moving"`` with ``zero_debias="both"`` it lacks staleness
      alone, and against ``"precise"`` it has sampling noise alone;
    * ``"batch"``: each evaluation batch's own moments, in batches of the training size;
    * ``"precise"``: the pooled moments of the training images (or of ``precise_images`` of them).

    A network without normalisation has one row, ``"none"``. Dropout and noise are off throughout, also where
    statistics are measured, so that with them ``"precise"`` and ``"frozen"`` are recalibrated (Li et al.
    2018). With batch renormalization batches are normalised as in training, corrections included.

    Weights, moving averages and modes are left as they were.

    Args:
        net: the networks.
        data: the images.
        spec: what to measure; ``decays`` are those of the ``"frozen"`` averages.
        train_images: each member's training images, indices [n, R]; the first of them make
            up the training split.
        train_order: the same in the order in which statistics are measured, one for all steps and
            arms, so that their differences are paired.
    """

    def __init__(
        self, net: ArticleNet, data: DeviceData, spec: RunSpec, train_images: Tensor, train_order: Tensor
    ) -> None:
        self.net = net
        self.data = data
        self.spec = spec
        self.layers = net.norm_layers()
        members = train_images.shape[1]
        device = train_images.device
        every = torch.arange(len(data.test), device=device)[:, None].expand(-1, members)
        self._splits = {"test": (data.test, every), "train": (data.train, train_images[:TRAIN_SUBSET])}
        self._train_batches = torch.split(train_order[: spec.precise_images], spec.batch_size)
        self._forward_size = (CPU_FORWARD_SIZE if device.type == "cpu" else GPU_FORWARD_SIZE) // members or 1

    @torch.no_grad()
    def rows(self, bank: StatisticsBank | None, step: int, splits: tuple[str, ...]) -> Iterator[Row]:
        """Evaluate every choice of statistics on each of ``splits`` (``"test"``, ``"train"``)."""
        was_training = self.net.training
        try:
            if bank is None:
                for split in splits:
                    yield Row(split, "none", None, self._fixed(split, [None])[0])
                return
            choices = self._choices(bank, step)
            for split in splits:
                if "batch" in self.spec.statistics:
                    yield Row(split, "batch", None, self._batchwise(split))
                scores = self._fixed(split, list(choices.values()))
                for (statistics, arm), score in zip(choices, scores, strict=True):
                    yield Row(split, statistics, arm, score)
        finally:
            self.net.train(was_training)

    def _choices(self, bank: StatisticsBank, step: int) -> dict[tuple[str, Arm | None], Tensor]:
        """Return every fixed choice [2, C_total]: the bank's, and those from one pass of the training set."""
        wanted = self.spec.statistics
        batches = self._train_batches
        choices: dict[tuple[str, Arm | None], Tensor] = {}
        pooled = PreciseStatistics(self.layers)
        frozen = StatisticsBank(self.layers, [Arm(d, "both") for d in self.spec.decays])
        if "precise" not in wanted:
            batches = batches[:step] if "frozen" in wanted else ()
        self._normalise_by_batch()
        for i, index in enumerate(batches):
            self.net(self.data.train.batch(index)[0])
            pooled.update()
            if i < step:
                frozen.update()
        if "precise" in wanted:
            choices["precise", None] = pooled.statistics()
        if "moving" in wanted:
            choices.update({("moving", arm): bank.statistics(arm) for arm in bank.arms})
        if "frozen" in wanted:
            choices.update({("frozen", arm): frozen.statistics(arm) for arm in frozen.arms})
        return choices

    def _fixed(self, split: str, choices: Sequence[Tensor | None]) -> list[list[tuple[float, float]]]:
        """Score each choice of fixed statistics; what no statistics enter is computed once for all."""
        if not choices:
            return []
        self.net.eval()
        images, every = self._splits[split]
        scores = [_Score(every) for _ in choices]
        for index in torch.split(every, self._forward_size):
            x, labels = images.batch(index)
            start = self.net.start(x)
            for choice, score in zip(choices, scores, strict=True):
                with using(self.layers, choice) if choice is not None else nullcontext():
                    score.add(self.net.finish(start), labels)
        return [score.means() for score in scores]

    def _batchwise(self, split: str) -> list[tuple[float, float]]:
        self._normalise_by_batch()
        images, every = self._splits[split]
        score = _Score(every)
        # Near-equal batches: a last one of a few images would have worse moments than all others.
        for index in every.tensor_split(-(-len(every) // self.spec.batch_size)):
            x, labels = images.batch(index)
            score.add(self.net(x), labels)
        return score.means()

    def _normalise_by_batch(self) -> None:
        self.net.eval()
        for layer in self.layers:
            layer.train()


def losses_and_hits(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return cross-entropy and whether the largest logit is the label's, of each image and member: [N, R].

    ``logits`` [N, R * classes], a member's classes beside each other; ``labels`` [N, R].
    """
    each = logits.reshape(labels.numel(), -1)
    losses = F.cross_entropy(each, labels.reshape(-1), reduction="none")
    return losses.view_as(labels), each.detach().argmax(1).view_as(labels) == labels


class _Score:
    """Adds up losses and hits on the device, so that no batch waits for the one before."""

    def __init__(self, index: Tensor) -> None:
        self.loss = torch.zeros(index.shape[1], dtype=torch.float64, device=index.device)
        self.hits = torch.zeros(index.shape[1], dtype=torch.int64, device=index.device)
        self.count = len(index)

    def add(self, logits: Tensor, labels: Tensor) -> None:
        losses, hits = losses_and_hits(logits, labels)
        self.loss += losses.sum(0).double()
        self.hits += hits.sum(0)

    def means(self) -> list[tuple[float, float]]:
        return [
            (loss / self.count, hits / self.count)
            for loss, hits in zip(self.loss.tolist(), self.hits.tolist(), strict=True)
        ]
