"""Runs, one or several side by side as a fleet: from specs and a data set to tables of what was measured."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from bnstudy.norm import apply_updates, update_pass
from bnstudy.norm.bank import Arm, StatisticsBank
from bnstudy.norm.kernel import statistics_dtype
from bnstudy.norm.torch_face import parameters_by_tensorflow_name
from bnstudy.records.spec import FLEET_FIELDS, RunSpec
from bnstudy.train.build import build_networks, build_optimizer, learning_rates
from bnstudy.train.captured import Captured
from bnstudy.train.data import Dataset, load_dataset
from bnstudy.train.device import check_device, deterministic
from bnstudy.train.evaluate import Asked, Evaluator, losses_and_hits
from bnstudy.train.feed import DeviceData, Feed, batch_sizes
from bnstudy.train.flag import flag_table
from bnstudy.train.images import split_feeds, train_images
from bnstudy.train.looks import Looks, all_arms, spec_arms
from bnstudy.train.network import ArticleNet
from bnstudy.train.seeds import EVALUATION_ORDER, NOISE, ORDER, TEST_ORDER, generator
from bnstudy.train.watch import WatchMaker

LOGGED_AT_FIRST = 50  # steps that the table of a training has in any case
LOOK_EVERY = 50  # steps between looks at the loss

Table = dict[str, list[Any]]
Array = npt.NDArray[Any]

DIVERGED = 1e3  # Bjorck et al. 2018: a run has diverged once its loss is 10^3 times the first one.


@dataclass
class RunResult:
    """What a run gave: ``outcome`` (``"finished"`` or ``"diverged at step n"``) and tidy tables by name.

    ``training``: step, loss, accuracy, learning_rate, of each batch as it was trained on.
    ``evaluation``: step, split, statistics, decay, zero_debias, loss, accuracy, of the
    network with each choice of normalisation statistics.
    ``weights``: step, parameter, digest, at the evaluated steps, where the layers keep the averages.
    ``flag``: what ``bnstudy.train.flag`` gives at the last step, where the spec names ``test_batches``.

    What the spec's looks gave, see ``bnstudy.train.looks``: ``checkpoints``, ``arrivals``, ``test_batches``,
    ``hits`` and ``snapshots``.

    ``fleet_size`` and ``fleet_index`` say how many runs trained side by side, and which of them this is.
    """

    outcome: str
    tables: dict[str, Table | Array] = field(default_factory=dict)
    fleet_size: int = 1
    fleet_index: int = 0


def train_run(
    spec: RunSpec,
    dataset: Dataset | None = None,
    *,
    device: str = "cpu",
    progress: bool = True,
    watch: WatchMaker | None = None,
) -> RunResult:
    """Train one run and measure along it. The same spec gives the same result on one machine, bit for bit.

    Args:
        spec: what to run.
        dataset: the data, if already loaded; must be the one the spec names.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        progress: whether to show a bar with loss and accuracy.
        watch: makes what looks at the run from outside.
    """
    return train_fleet([spec], dataset, device=device, progress=progress, watch=watch)[0]


def train_fleet(
    specs: Sequence[RunSpec],
    dataset: Dataset | None = None,
    *,
    device: str = "cpu",
    progress: bool = True,
    watch: WatchMaker | None = None,
) -> list[RunResult]:
    """Train runs side by side, as one network that many times as wide; return a result for each.

    The runs may differ in ``seed`` (initial weights, order of the images, dropout, noise), ``learning_rate``,
    ``schedule`` and ``weight_decay``. Each computes what it would compute alone, save that sums may be added
    up in another order. So the same specs together give the same results, bit for bit, and a member's step
    equals that of its lone run within rounding, which training then lets grow as any other. A member
    that diverges leaves the others as they are.

    Args:
        specs: what to run, at least one.
        dataset: the data, if already loaded; must be the one the specs name.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        progress: whether to show a bar with mean loss and accuracy.
        watch: makes what looks at the run from outside; for a single run.

    Raises:
        ValueError: names what is wrong with the specs, data or device. Nothing has run then.
    """
    check_device(device)
    check_fleet(specs)
    spec = specs[0]
    dataset = dataset or load_dataset(spec.dataset)
    if dataset.name != spec.dataset:
        raise ValueError(f"dataset is {dataset.name!r}; allowed: {spec.dataset!r}, which the spec names")
    there = len(dataset.y_train)
    left = there - spec.held_out
    for name, most in (
        ("held_out", there - 2),
        ("train_size", left),
        ("precise_images", spec.train_size or left),
    ):
        if (getattr(spec, name) or 0) > most:
            raise ValueError(f"{name} is {getattr(spec, name)}; allowed: at most {most}, the training images")
    for name, alone in (("watch", watch is not None), ("test_batches", spec.test_batches)):
        if alone and len(specs) > 1:
            raise ValueError(f"{name} is given for {len(specs)} runs side by side; allowed: for one run")
    with deterministic():
        return Fleet(specs, dataset, torch.device(device)).train(progress, watch)


def check_fleet(specs: Sequence[RunSpec]) -> None:
    """Raise a ``ValueError`` that names the field, unless ``specs`` can train side by side."""
    if not specs:
        raise ValueError("specs is empty; allowed: at least one RunSpec")
    for name in sorted(set(RunSpec.model_fields) - FLEET_FIELDS):
        values = {getattr(spec, name): None for spec in specs}
        if len(values) > 1:
            raise ValueError(
                f"{name} is {', '.join(map(repr, values))} in one fleet; allowed: one value (runs "
                f"of a fleet may differ in {', '.join(sorted(FLEET_FIELDS))})"
            )


def evaluation_steps(total: int, count: int, spacing: Literal["log", "linear"] = "log") -> list[int]:
    """Return up to ``count`` steps from 1 to ``total``, the last one always among them.

    They are evenly spaced on a log axis from step 1, or on a linear one from 0, which isn't among them.
    """
    if count == 1:
        return [total]
    steps = np.geomspace(1, total, count) if spacing == "log" else np.linspace(0, total, count + 1)[1:]
    return sorted({max(1, round(s)) for s in steps})


class Fleet:
    """The state of a fleet in training; a lone run is a fleet of one.

    ``step(size)`` trains on the next ``size`` images of ``feed``. What it reads and writes is on the device,
    the count of steps ``done`` included: it waits for nothing that Python does, and a GPU replays it as
    one graph.
    """

    def __init__(self, specs: Sequence[RunSpec], dataset: Dataset, device: torch.device) -> None:
        self.specs = specs
        spec = self.spec = specs[0]
        precision = getattr(torch, spec.precision)
        weights = statistics_dtype(precision)  # float32 or better
        self.data = DeviceData(dataset, precision, device)
        noise = [generator(s.seed, NOISE, device) for s in specs]
        self.net = build_networks(specs, noise).to(device, weights)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = build_optimizer(specs, self.net)
        layers = self.net.norm_layers()
        self.bank = StatisticsBank(layers, all_arms(spec)) if layers else None

        self.images = torch.stack([train_images(s, dataset) for s in specs], 1)
        self.orders = [generator(s.seed, ORDER) for s in specs]
        self.feed = Feed(self.data.train, self.images.to(device))
        measured = _shuffled(self.images, [generator(s.seed, EVALUATION_ORDER) for s in specs])
        measured_feed = Feed(self.data.train, measured.to(device))
        feeds = split_feeds(specs, dataset, self.data, self.images)
        self.evaluator = None
        if spec.evaluations:
            asked = Asked(
                spec.statistics,
                tuple(spec_arms(spec)),
                spec.decays,
                spec.batch_size,
                spec.precise_images,
                spec.updates != "bank",
            )
            self.evaluator = Evaluator(self.net, self.bank, asked, feeds, measured_feed)

        self.sizes = batch_sizes(len(self.images), spec.batch_size)
        self.total = len(self.sizes) * spec.epochs
        self.looks = Looks(specs, self.net, self.bank, dataset, self.data, feeds, measured_feed, self.total)
        self.rates = [learning_rates(s, self.total) for s in specs]
        self._rates = torch.tensor(self.rates, dtype=torch.float64, device=device).T.contiguous()
        self._losses = torch.zeros(self.total, len(specs), dtype=weights, device=device)
        self._accuracies = torch.zeros_like(self._losses)
        self.done = torch.zeros(1, dtype=torch.int64, device=device)
        self.step = Captured(self._train_step, device, noise)

    def train(self, progress: bool, watch: WatchMaker | None = None) -> list[RunResult]:
        """Take every step, measure along the way, and return each member's result."""
        watching = None if watch is None else watch(self.net, mean_loss, self.rates[0])
        count = self.spec.evaluations
        due = set(evaluation_steps(self.total, count, self.spec.spacing)) if count else set()
        evaluations: list[Table] = [{} for _ in self.specs]
        weights: list[Table] = [{} for _ in self.specs]
        outcomes = ["finished"] * len(self.specs)
        last_step = [self.total] * len(self.specs)
        training = set(range(len(self.specs)))
        name = f"run {self.spec.name[:8]}" if len(self.specs) == 1 else f"{len(self.specs)} runs"
        with tqdm(total=self.total, desc=name, unit="step", disable=not progress, leave=False) as bar:
            for step, size in enumerate(self._batch_sizes(), start=1):
                if watching is not None and watching.due(step):
                    with watching.around(*self.feed.peek(size)):
                        self.step(size)
                else:
                    self.step(size)
                bar.update()
                if step % LOOK_EVERY != 0 and step not in due and step not in self.looks.steps:
                    continue
                # Reading the loss waits for the device, so it is read now and then.
                loss, accuracy = self._losses[step - 1].mean(), self._accuracies[step - 1].mean()
                bar.set_postfix(loss=f"{float(loss):.3f}", accuracy=f"{float(accuracy):.3f}")
                for member, diverged in enumerate(self._diverged(step)):
                    if diverged and member in training:
                        outcomes[member] = f"diverged at step {diverged}"
                        last_step[member] = step
                        training.remove(member)
                if not training:
                    break
                if step in due:
                    self._evaluate(step, training, evaluations)
                    self._digest(step, training, weights)
                self.looks.look(step, training)
        flag = self._flag() if training else {}
        losses, accuracies = self._losses.T.tolist(), self._accuracies.T.tolist()
        return [
            RunResult(
                outcomes[member],
                {
                    "training": {
                        "step": (logged := self._logged(last)),
                        "loss": [losses[member][step - 1] for step in logged],
                        "accuracy": [accuracies[member][step - 1] for step in logged],
                        "learning_rate": [self.rates[member][step - 1] for step in logged],
                    },
                    **({"evaluation": evaluations[member]} if count else {}),
                    **self.looks.tables(member),
                    **({"weights": weights[member]} if self.spec.updates != "bank" else {}),
                    **({"flag": flag} if self.spec.test_batches else {}),
                },
                fleet_size=len(self.specs),
                fleet_index=member,
            )
            for member, last in enumerate(last_step)
        ]

    def _logged(self, last: int) -> list[int]:
        """Return the steps up to ``last`` that the table of the training has."""
        every = self.spec.logged_every
        return [step for step in range(1, last + 1) if step <= LOGGED_AT_FIRST or step % every == 0]

    def _batch_sizes(self) -> Iterator[int]:
        """Yield the size of each batch to train on, having put its epoch's order on the device."""
        for _ in range(self.spec.epochs):
            self.feed.rewind(_shuffled(self.images, self.orders))
            yield from self.sizes

    def _train_step(self, size: int) -> None:
        self.net.train()
        images, labels = self.feed.take(size)
        losses, hits = losses_and_hits(self._logits(images), labels)
        loss = losses.mean(0)
        self.optimizer.zero_grad()
        # Members share no weight, so each gets its own loss's gradient from the sum.
        loss.sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step(self._rates.index_select(0, self.done)[0])
        if self.bank is not None:
            self.bank.update()
        apply_updates(self.net)
        if self.spec.updates == "after_step":
            with torch.no_grad(), update_pass(self.net):
                self._logits(images)
        self._losses.index_copy_(0, self.done, loss.detach()[None])
        self._accuracies.index_copy_(0, self.done, hits.to(loss.dtype).mean(0, keepdim=True))
        self.done += 1

    def _logits(self, images: Tensor) -> Tensor:
        if not self.spec.padding:
            return self.net(images)  # type: ignore[no-any-return]
        size, blank = len(images), self.spec.padding
        padded = F.pad(images, (0, 0, 0, 0, 0, 0, 0, blank)).contiguous(memory_format=torch.channels_last)
        weights = None
        if self.spec.batch_weights:
            weights = F.pad(torch.ones(size, dtype=self._losses.dtype, device=images.device), (0, blank))
        logits: Tensor = self.net(padded, weights)
        return logits[:size]

    def _diverged(self, steps: int) -> list[int]:
        """Return each member's first step whose loss is not finite or far above its first one, or 0."""
        losses = self._losses[:steps]
        bad = ~(losses <= DIVERGED * losses[0])  # also true of NaN
        first = bad.int().argmax(0) + 1
        return torch.where(bad.any(0), first, 0).tolist()

    def _evaluate(self, step: int, members: set[int], tables: list[Table]) -> None:
        assert self.evaluator is not None
        splits = ("test", "train") if step == self.total else ("test",)
        for row in self.evaluator.rows(step, splits):
            for member in members:
                for key, value in {"step": step, **row.table_row(member)}.items():
                    tables[member].setdefault(key, []).append(value)

    def _digest(self, step: int, members: set[int], tables: list[Table]) -> None:
        if self.spec.updates == "bank":
            return
        for name, parameter in parameters_by_tensorflow_name(self.net):
            for member in members:
                part = parameter.detach().chunk(len(self.specs))[member].cpu().contiguous()
                digest = hashlib.sha256(part.numpy().tobytes()).hexdigest()[:16]
                for key, value in {"step": step, "parameter": name, "digest": digest}.items():
                    tables[member].setdefault(key, []).append(value)

    def _flag(self) -> Table:
        if not self.spec.test_batches or self.bank is None:
            return {}
        arm = Arm(self.spec.decays[0], "none")
        order = generator(self.spec.seed, TEST_ORDER)
        assert isinstance(self.net, ArticleNet)
        return flag_table(
            self.net, arm, self.bank.statistics(arm), self.data.test, self.spec.test_batches, order
        )


def mean_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits [N, classes] and labels [N, 1], a scalar."""
    return losses_and_hits(logits, labels)[0].mean()


def _shuffled(images: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
    """Return each column of ``images`` [n, R] in an order of its own."""
    n = len(images)
    order = torch.stack([torch.randperm(n, generator=g) for g in generators], 1)
    return images.gather(0, order)
