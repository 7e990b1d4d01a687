"""Networks, one or several side by side, evaluated with each choice of normalisation statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from bnstudy.norm import PreciseStatistics
from bnstudy.norm.bank import Arm, StatisticsBank, gather, using
from bnstudy.train.captured import Captured
from bnstudy.train.feed import Feed, batch_sizes, equal_sizes
from bnstudy.train.networks import Network

# Images, times members, in a forward with fixed statistics: larger ones fall out of a CPU's cache,
# while smaller ones leave a GPU idle.
CPU_FORWARD_SIZE, GPU_FORWARD_SIZE = 125, 5000


@dataclass(frozen=True)
class Asked:
    """Which choices of normalisation statistics are evaluated.

    ``statistics`` are their names, see ``Evaluator``; ``arms`` are those of the bank that are wanted, and
    ``decays`` those of the ``"frozen"`` averages. ``batch_size`` is that of training, ``precise_images`` the
    number of images behind the precise statistics (None: all). ``by_layers``: the layers keep the moving
    averages. ``hits``: which images were classified right is wanted too.
    """

    statistics: tuple[str, ...]
    arms: tuple[Arm, ...]
    decays: tuple[float, ...]
    batch_size: int
    precise_images: int | None = None
    by_layers: bool = False
    hits: bool = False


class Row(NamedTuple):
    """One evaluation: what was chosen, and loss and accuracy of each member.

    ``hits`` [N, R], where asked for: whether each image was classified right, in the order of the feed.
    """

    split: str
    statistics: str
    arm: Arm | None
    scores: list[tuple[float, float]]
    hits: Tensor | None = None

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
    """Gives rows for fixed weights, for the choices of normalisation statistics that are asked for.

    * ``"moving"``: the moving averages that an arm of the bank holds, or, where the layers keep them, theirs;
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
        bank: the moving averages kept in training; None without normalisation.
        asked: what to evaluate.
        feeds: the images by split.
        train: training images in the order in which statistics are measured, one for all steps and
            arms, so that their differences are paired.
    """

    def __init__(
        self,
        net: Network,
        bank: StatisticsBank | None,
        asked: Asked,
        feeds: Mapping[str, Feed],
        train: Feed,
    ) -> None:
        self._net = net
        self._layers = net.norm_layers()
        members, device = train.members, train.device
        self._batches = bank is not None and "batch" in asked.statistics
        self._measured = None if bank is None else _Measured(net, bank, asked, train)
        self._choices = [("none", None)] if self._measured is None else self._measured.choices
        channels = sum(layer.num_features for layer in self._layers)
        like = next(net.parameters())
        self._lent = torch.zeros(len(self._choices), 2, channels, dtype=like.dtype, device=device)
        most = max(len(feed) for feed in feeds.values()) if asked.hits else 0
        self._score = _Score(len(self._choices), members, device, most)
        self._batch_score = _Score(1, members, device, most)

        forward_size = (CPU_FORWARD_SIZE if device.type == "cpu" else GPU_FORWARD_SIZE) // members or 1
        self._fixed_passes = {
            split: _Pass(feed, batch_sizes(len(feed), forward_size), self._add_choices)
            for split, feed in feeds.items()
        }
        # Near-equal batches: a last one of a few images would have worse moments than all others.
        self._batch_passes = {
            split: _Pass(feed, equal_sizes(len(feed), asked.batch_size), self._add_batch)
            for split, feed in feeds.items()
        }

    @torch.no_grad()
    def rows(self, step: int, splits: Iterable[str]) -> Iterator[Row]:
        """Evaluate every choice after ``step`` steps, on each of ``splits``, which have a feed."""
        was_training = self._net.training
        updates = [layer.updates for layer in self._layers]
        try:
            for layer in self._layers:
                layer.updates = "never"  # what an evaluation passes through is no training batch
            if self._measured is not None:
                self._measured.write(self._lent, step)
            for split in splits:
                if self._batches:
                    _normalise_by_batch(self._net)
                    scores = self._batch_score.of(self._batch_passes[split])
                    yield Row(split, "batch", None, scores[0], self._batch_score.hits(0))
                if self._choices:
                    self._net.eval()
                    scores = self._score.of(self._fixed_passes[split])
                    for i, (statistics, arm) in enumerate(self._choices):
                        yield Row(split, statistics, arm, scores[i], self._score.hits(i))
        finally:
            if self._measured is not None:
                self._measured.forget()
            self._net.train(was_training)
            for layer, schedule in zip(self._layers, updates, strict=True):
                layer.updates = schedule

    @torch.no_grad()
    def logits(self, step: int, split: str) -> tuple[Tensor, Tensor]:
        """Return the logits [N, R * classes] and labels [N, R] of a split for the only choice asked for."""
        found: list[tuple[Tensor, Tensor]] = []

        def keep(images: Tensor, labels: Tensor) -> None:
            found.append((self._net(images), labels))

        was_training = self._net.training
        self._net.eval()
        try:
            if self._measured is not None:
                self._measured.write(self._lent, step)
                self._net.eval()
            with using(self._layers, self._lent[0]):
                self._fixed_passes[split].once(keep)
        finally:
            self._net.train(was_training)
        logits, labels = (torch.cat(parts) for parts in zip(*found, strict=True))
        return logits, labels

    def _add_choices(self, images: Tensor, labels: Tensor) -> None:
        # What no statistics enter is computed once for all choices.
        start = self._net.start(images)
        for i in range(len(self._choices)):
            with using(self._layers, self._lent[i]):
                self._score.add(i, self._net.finish(start), labels)

    def _add_batch(self, images: Tensor, labels: Tensor) -> None:
        self._batch_score.add(0, self._net(images), labels)


class _Measured:
    """The choices of fixed statistics: the bank's, and those from passes of training images."""

    def __init__(self, net: Network, bank: StatisticsBank, asked: Asked, train: Feed) -> None:
        self._net = net
        self._bank = bank
        self._wanted = asked.statistics
        self._by_layers = asked.by_layers
        self._pooled = PreciseStatistics(bank.layers)
        self._frozen = StatisticsBank(bank.layers, [Arm(d, "both") for d in asked.decays])
        arms: dict[str, list[Arm | None]] = {
            "precise": [None],
            "moving": [*asked.arms],
            "frozen": [*self._frozen.arms],
        }
        self.choices = [(name, arm) for name in arms if name in self._wanted for arm in arms[name]]
        feed = train.first(asked.precise_images)
        sizes = batch_sizes(len(feed), asked.batch_size)
        self._batches = len(sizes)
        self._early = _Pass(feed, sizes, self._absorb_in_both)
        self._late = _Pass(feed, sizes, self._absorb)

    def write(self, out: Tensor, step: int) -> None:
        """Write every choice's statistics after ``step`` steps to ``out`` [choices, 2, C_total]."""
        early = min(step, self._batches) if "frozen" in self._wanted else 0
        self._pooled.reset()
        self._frozen.reset()
        _normalise_by_batch(self._net)
        self._early.run(0, early)
        if "precise" in self._wanted:
            self._late.run(early, self._batches)
        for row, (name, arm) in zip(out, self.choices, strict=True):
            if arm is None:
                row.copy_(self._pooled.statistics())
            elif name == "moving" and self._by_layers:
                layers = self._bank.layers
                row.copy_(torch.stack([gather(layers, "moving_mean"), gather(layers, "moving_variance")]))
            else:
                row.copy_((self._bank if name == "moving" else self._frozen).statistics(arm))

    def forget(self) -> None:
        """Keep what the evaluation passed through out of the averages of training."""
        self._bank.forget()

    def _absorb(self, images: Tensor, _: Tensor) -> None:
        self._net(images)
        self._pooled.update()

    def _absorb_in_both(self, images: Tensor, labels: Tensor) -> None:
        self._absorb(images, labels)
        self._frozen.update()


class _Pass:
    """A pass over a feed that does the same with the images and labels of each batch."""

    def __init__(self, feed: Feed, sizes: list[int], absorb: Callable[[Tensor, Tensor], None]) -> None:
        self._feed = feed
        self._sizes = sizes
        self._step = Captured(lambda size: absorb(*feed.take(size)), feed.device)

    def once(self, absorb: Callable[[Tensor, Tensor], None]) -> None:
        """Do something else with the images and labels of each batch."""
        self._feed.rewind()
        for size in self._sizes:
            absorb(*self._feed.take(size))

    def run(self, start: int = 0, stop: int | None = None) -> None:
        """Take the batches from ``start``, 0 or where the last call stopped, to before ``stop``."""
        if start == 0:
            self._feed.rewind()
        for size in self._sizes[start:stop]:
            self._step(size)


class _Score:
    """Adds up losses and hits of each choice and member on the device: no batch waits for the one before."""

    def __init__(self, choices: int, members: int, device: torch.device, images: int = 0) -> None:
        self._loss = torch.zeros(choices, members, dtype=torch.float64, device=device)
        self._hits = torch.zeros(choices, members, dtype=torch.int64, device=device)
        self._count = torch.zeros(choices, 1, dtype=torch.int64, device=device)
        # Whether each of so many images was a hit, where that is wanted.
        self._each = (
            torch.zeros(choices, images, members, dtype=torch.bool, device=device) if images else None
        )

    def of(self, over: _Pass) -> list[list[tuple[float, float]]]:
        """Return mean loss and accuracy of each choice and member over a pass."""
        for total in (self._loss, self._hits, self._count):
            total.zero_()
        over.run()
        loss, accuracy = (self._loss / self._count).tolist(), (self._hits.double() / self._count).tolist()
        return [list(zip(*pair, strict=True)) for pair in zip(loss, accuracy, strict=True)]

    def hits(self, choice: int) -> Tensor | None:
        """Return whether each image of the last pass was a hit of a choice, [N, R] on the CPU, if wanted."""
        return None if self._each is None else self._each[choice, : int(self._count[choice])].cpu()

    def add(self, choice: int, logits: Tensor, labels: Tensor) -> None:
        losses, hits = losses_and_hits(logits, labels)
        self._loss[choice] += losses.sum(0).double()
        self._hits[choice] += hits.sum(0)
        if self._each is not None:
            # Where the pass stands is read on the device, so that a CUDA graph can hold this too.
            at = torch.arange(len(labels), device=labels.device) + self._count[choice]
            self._each[choice].index_copy_(0, at, hits)
        self._count[choice] += len(labels)


def losses_and_hits(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return cross-entropy and whether the largest logit is the label's, of each image and member: [N, R].

    ``logits`` [N, R * classes], a member's classes beside each other; ``labels`` [N, R].
    """
    each = logits.reshape(labels.numel(), -1)
    losses = F.cross_entropy(each, labels.reshape(-1), reduction="none")
    return losses.view_as(labels), each.detach().argmax(1).view_as(labels) == labels


def _normalise_by_batch(net: Network) -> None:
    net.eval()
    for layer in net.norm_layers():
        layer.train()
