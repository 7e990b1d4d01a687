"""Snapshots looked at again: what a run's look would have seen, had it been planned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from bnstudy.norm.bank import Arm, StatisticsBank
from bnstudy.norm.kernel import statistics_dtype
from bnstudy.records.snapshots import Snapshot
from bnstudy.records.spec import Look, RunSpec, SpecError, validate
from bnstudy.records.values import ZeroDebias
from bnstudy.train.build import build_networks
from bnstudy.train.by_batch import Scores, with_statistics
from bnstudy.train.data import Dataset, load_dataset
from bnstudy.train.device import check_device, deterministic
from bnstudy.train.feed import DeviceData, Feed, batch_sizes
from bnstudy.train.images import split_feeds, train_images
from bnstudy.train.looks import SHUFFLED, SORTED, Looks, Table, all_arms
from bnstudy.train.network import ArticleNet
from bnstudy.train.networks import Network
from bnstudy.train.quick_batches import in_test_batches_quickly
from bnstudy.train.seeds import EVALUATION_ORDER, NOISE, TEST_ORDER, generator

Tables = dict[str, Table | npt.NDArray[Any]]

_TEST_BATCHES = ("step", "order", "test_batch_size", "statistics", "loss", "accuracy")


def restore(snapshot: Snapshot, decay: float | None = None, zero_debias: ZeroDebias = "none") -> Network:
    """Return the network of a snapshot on the CPU, in evaluation mode.

    Its layers hold the moving averages of ``decay``; by default of the run's own first one.

    Raises:
        ValueError: ``decay`` is not from 0 to 0.9999, or the snapshot doesn't fit the network of its run.
    """
    net = _network(snapshot.spec, torch.device("cpu"))
    _fill(net, snapshot)
    layers = net.norm_layers()
    if layers or decay is not None:
        chosen = snapshot.spec.decays[0] if decay is None else decay
        values = torch.from_numpy(snapshot.statistics(chosen, zero_debias))
        sizes = [layer.num_features for layer in layers]
        for layer, part in zip(layers, torch.split(values, sizes, dim=1), strict=True):
            layer.moving_mean.copy_(part[0])
            layer.moving_variance.copy_(part[1])
    return net.eval()


class LookAgain:
    """Looks at runs' snapshots on a data set that is kept at hand.

    Args:
        dataset: the data that the runs trained on, or its name.
        precision: of the runs' convolutions.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    """

    def __init__(self, dataset: Dataset | str, precision: str = "bfloat16", device: str = "cpu") -> None:
        check_device(device)
        self.dataset = load_dataset(dataset) if isinstance(dataset, str) else dataset
        self.precision = precision
        self.device = torch.device(device)
        self._data = DeviceData(self.dataset, getattr(torch, precision), self.device)

    def __call__(self, snapshots: Sequence[Snapshot], look: Look) -> Tables:
        """Return the tables and arrays that ``look`` gives of a run's snapshots, see ``bnstudy.train.looks``.

        What depends on a seed, such as the images behind precise statistics and the order of test batches, is
        what it was in training: a look that was planned gives again what it gave. Only the moving averages
        aren't those that training kept, but follow from the snapshot's, see ``Snapshot.statistics``.

        Raises:
            ValueError: the look is at a step without a snapshot, asks for what the run or the data set
                doesn't have, or a snapshot doesn't fit the network of its run.
        """
        if not snapshots:
            raise ValueError("snapshots is empty; allowed: at least one")
        spec = self._asked(snapshots[0].spec, look)
        images = train_images(spec, self.dataset)
        total = self._total(spec)
        by_step = {snapshot.step: snapshot for snapshot in snapshots}
        steps = look.steps(total, spec.epochs)
        if missing := sorted(set(steps) - set(by_step)):
            raise ValueError(
                f"a look is after steps {missing} of run {snapshots[0].spec.name}; "
                f"allowed: {sorted(by_step)}, which have snapshots"
            )
        self._check_counts(look, len(images))
        net = _network(spec, self.device)
        layers = net.norm_layers()
        bank = StatisticsBank(layers, all_arms(spec)) if layers else None
        training = images[:, None]
        feeds = split_feeds([spec], self.dataset, self._data, training)
        order = torch.randperm(len(images), generator=generator(spec.seed, EVALUATION_ORDER))
        measured = Feed(self._data.train, training[order].to(self.device))
        looks = Looks([spec], net, bank, self.dataset, self._data, feeds, measured, total)
        with deterministic():
            for step in steps:
                _fill(net, by_step[step])
                if bank is not None:
                    _load(bank, by_step[step])
                looks.look(step, {0})
        return looks.tables(0)

    def by_test_batch(
        self,
        snapshots: Sequence[Snapshot],
        sizes: Sequence[int],
        orders: Sequence[str] = (SHUFFLED,),
        leaked: bool = False,
    ) -> Table:
        """Return loss and accuracy on the test images in batches of ``sizes``, each with its own moments.

        That is ``is_training=True`` at test time. Columns: step, order, test_batch_size, statistics
        (``"batch"``), loss, accuracy.

        Args:
            snapshots: of one run of the article's network with batch norm.
            sizes: images in a test batch; the last one may have fewer.
            orders: ``"shuffled"``, as in training's tables, or ``"sorted by class"``.
            leaked: also ``is_training=False`` after one such pass has moved the averages of the run's first
                decay in place (rows ``"leaked"``).

        Raises:
            ValueError: a size or an order is none, the network is another, or a snapshot doesn't fit it.
        """
        if not snapshots:
            raise ValueError("snapshots is empty; allowed: at least one")
        if unknown := [order for order in orders if order not in (SHUFFLED, SORTED)]:
            raise SpecError(f"order is {unknown[0]!r}; allowed: {SHUFFLED!r} or {SORTED!r}")
        if wrong := [size for size in sizes if not 1 <= size <= len(self.dataset.y_test)]:
            raise SpecError(f"test_batches is {wrong[0]}; allowed: 1 to {len(self.dataset.y_test)}")
        spec = snapshots[0].spec
        self._check_data(spec)
        net = _network(spec, self.device)
        if not isinstance(net, ArticleNet) or not net.norm_layers():
            raise SpecError(
                f"test_batches is {list(sizes)} of run {spec.name}; allowed: none, for its network"
            )
        arm, test = Arm(spec.decays[0]), self._data.test
        shuffled = torch.randperm(len(test), generator=generator(spec.seed, TEST_ORDER))
        by_class = test.labels.cpu().argsort(stable=True)
        table: Table = {}
        with deterministic():
            for snapshot in snapshots:
                _fill(net, snapshot)
                moving = torch.from_numpy(snapshot.statistics(arm.decay)).to(net.norm_layers()[0].moving_mean)
                for order in orders:
                    images = (shuffled if order == SHUFFLED else by_class)[:, None].to(self.device)
                    for size in sizes:
                        met = in_test_batches_quickly(net, arm, moving, test, images, size)
                        found = {"batch": met.scores}
                        if leaked:
                            found["leaked"] = with_statistics(net, met.moved, test)
                        for statistics, scores in found.items():
                            row = (snapshot.step, order, size, statistics, *_means(scores))
                            for column, value in zip(_TEST_BATCHES, row, strict=True):
                                table.setdefault(column, []).append(value)
        return table

    def epochs(self, snapshots: Sequence[Snapshot]) -> list[float]:
        """Return after how many epochs the snapshots of a run were taken, as a look has them."""
        return [s.step * s.spec.epochs / self._total(s.spec) for s in snapshots]

    def _total(self, spec: RunSpec) -> int:
        return len(batch_sizes(len(train_images(spec, self.dataset)), spec.batch_size)) * spec.epochs

    def _check_data(self, spec: RunSpec) -> None:
        for name, value, own in (
            ("dataset", spec.dataset, self.dataset.name),
            ("precision", spec.precision, self.precision),
        ):
            if value != own:
                raise ValueError(f"{name} is {own!r}; allowed: {value!r}, which run {spec.name} has")

    def _asked(self, spec: RunSpec, look: Look) -> RunSpec:
        """Return the spec of a run that has this look alone."""
        self._check_data(spec)
        if look.snapshot or look.ratio is not None:
            raise SpecError("a look at snapshots has snapshot or ratio; allowed: epochs, without snapshot")
        if spec.norm == "none" and look.test_batches:
            raise SpecError(f"test_batches is {list(look.test_batches)} without batch norm; allowed: none")
        return validate(RunSpec, {**spec.model_dump(), "looks": [look.model_dump()]})

    def _check_counts(self, look: Look, training: int) -> None:
        test = len(self.dataset.y_test)
        for name, values, most in (
            ("precise_images", [look.precise_images], training),
            ("images", [look.images], test),
            ("test_batches", look.test_batches, test),
        ):
            if too_many := [value for value in values if value is not None and value > most]:
                raise SpecError(f"{name} is {too_many[0]}; allowed: at most {most}, the images there are")


def _means(scores: Scores) -> tuple[float, float]:
    return float(scores.losses.mean()), float(scores.hits.double().mean())


def _network(spec: RunSpec, device: torch.device) -> Network:
    precision = statistics_dtype(getattr(torch, spec.precision))
    net = build_networks([spec], [generator(spec.seed, NOISE, device)]).to(device, precision)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


@torch.no_grad()
def _fill(net: Network, snapshot: Snapshot) -> None:
    """Give a network the weights of a snapshot."""
    parameters = list(net.parameters())
    sizes = [parameter.numel() for parameter in parameters]
    channels = sum(layer.num_features for layer in net.norm_layers())
    averaged = 0 if snapshot.averages is None else snapshot.averages.shape[-1]
    found, needed = (len(snapshot.parameters), averaged), (sum(sizes), channels)
    if found != needed:
        raise ValueError(
            f"the snapshot of run {snapshot.spec.name} after step {snapshot.step} has (weights, channels) "
            f"{found}; needed by its network: {needed}"
        )
    flat: Tensor = torch.tensor(snapshot.parameters)
    for parameter, part in zip(parameters, torch.split(flat, sizes), strict=True):
        parameter.copy_(part.view_as(parameter))


def _load(bank: StatisticsBank, snapshot: Snapshot) -> None:
    """Give each arm of a bank the averages that it would hold after the snapshot's steps."""
    state = bank.state_dict()
    held = []
    for arm, initial in zip(bank.arms, state["initial"], strict=True):
        plain = torch.from_numpy(snapshot.statistics(arm.decay))
        # A debiased average starts at 0: without what is left of its start at 0 and 1.
        start = torch.tensor([[0.0], [1.0]], dtype=torch.float64) - initial.double().cpu()
        held.append(plain - arm.decay**snapshot.step * start)
    state["values"] = torch.stack(held)
    state["steps"] = torch.full_like(state["steps"], snapshot.step)
    bank.load_state_dict(state)
