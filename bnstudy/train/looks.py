"""What a run's looks give: rows for each choice of statistics, hits by image, test batches, snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bnstudy.norm.bank import Arm, StatisticsBank
from bnstudy.records.look import Look
from bnstudy.records.nodes import node_decays
from bnstudy.records.spec import RunSpec
from bnstudy.train.by_batch import Scores, in_test_batches, with_statistics
from bnstudy.train.calibration import loss, temperature
from bnstudy.train.data import Dataset
from bnstudy.train.evaluate import Asked, Evaluator
from bnstudy.train.feed import DeviceData, Feed
from bnstudy.train.images import balanced_test_feed
from bnstudy.train.network import ArticleNet
from bnstudy.train.networks import Network
from bnstudy.train.seeds import TEST_ORDER, generator

Table = dict[str, list[Any]]
Array = npt.NDArray[Any]

SHUFFLED, SORTED = "shuffled", "sorted by class"


def spec_arms(spec: RunSpec) -> list[Arm]:
    """Return the arms that a spec's own decays ask for."""
    return [Arm(d, z) for d in spec.decays for z in spec.zero_debias]


def look_arms(look: Look) -> list[Arm]:
    """Return the arms that a look evaluates."""
    return [Arm(d, z) for d in look.decays for z in look.zero_debias]


def all_arms(spec: RunSpec) -> list[Arm]:
    """Return every arm that a run's bank keeps, each once."""
    arms = spec_arms(spec) + [arm for look in spec.looks for arm in look_arms(look)]
    if any(look.snapshot for look in spec.looks):
        arms += [Arm(decay) for decay in node_decays()]
    if any(look.test_batches for look in spec.looks):
        arms.append(Arm(spec.decays[0]))
    return list(dict.fromkeys(arms))


class Looks:
    """Looks at networks in training, at the steps that their spec chooses, and collects what is seen.

    Tables by member: ``checkpoints`` and ``arrivals`` (step, split, statistics, decay, zero_debias, loss,
    accuracy). ``test_batches`` (step, order, test_batch_size, statistics, loss, accuracy): ``statistics``
    is ``"batch"``, or ``"leaked"``: the moving averages after one pass in such batches moved them in place.
    ``hits`` uint8 [rows, ceil(N / 8)] has a bit an image, high bit first, and 0 beyond the images;
    ``hits_index`` says what each row is, and of how many images. ``calibration``: step,
    split, temperature, loss, scaled_loss. ``snapshots`` (step) says when
    ``snapshot_parameters`` float32 [snapshots, P], parameter after parameter in the network's order, and
    ``snapshot_averages`` float32 [snapshots, nodes, 2, C_total] (``bnstudy.records.nodes``) were taken.

    Weights, averages and modes are left as they were.

    Args:
        specs: of the networks side by side; their looks are the same.
        net: the networks.
        bank: their moving averages; None without batch normalization.
        dataset, data: the images.
        feeds: all images of each split.
        train: training images in the order in which statistics are measured.
        total: steps of the run.
    """

    def __init__(
        self,
        specs: Sequence[RunSpec],
        net: Network,
        bank: StatisticsBank | None,
        dataset: Dataset,
        data: DeviceData,
        feeds: dict[str, Feed],
        train: Feed,
        total: int,
    ) -> None:
        self._specs = specs
        self._net = net
        self._bank = bank
        self._data = data
        self._tables: list[dict[str, Table]] = [{} for _ in specs]
        self._arrays: list[dict[str, list[Array]]] = [{} for _ in specs]
        self._due: list[tuple[set[int], Look, Evaluator]] = []
        spec = specs[0]
        for look in spec.looks:
            asked = Asked(
                look.statistics,
                tuple(look_arms(look)),
                look.decays,
                spec.batch_size,
                look.precise_images,
                hits=look.hits,
            )
            chosen: dict[str, Feed] = {split: feeds[split] for split in look.splits}
            if look.images is not None:
                balanced = {**feeds, "test": balanced_test_feed(dataset, data, len(specs))}
                chosen = {split: balanced[split].first(look.images) for split in look.splits}
            evaluator = Evaluator(net, bank, asked, chosen, train)
            self._due.append((set(look.steps(total, spec.epochs)), look, evaluator))
        self.steps = frozenset(step for steps, _, _ in self._due for step in steps)

    def look(self, step: int, members: set[int]) -> None:
        """Look at the members that still train after ``step`` steps, if a look is due."""
        for steps, look, evaluator in self._due:
            if step in steps:
                self._evaluate(step, members, look, evaluator)
                if look.test_batches and isinstance(self._net, ArticleNet) and self._bank is not None:
                    self._meet_test_batches(step, members, look)
                if look.calibrate:
                    self._calibrate(step, members, look, evaluator)
                if look.snapshot:
                    self._keep(step, members)

    def tables(self, member: int) -> dict[str, Table | Array]:
        """Return a member's tables and arrays by name, also those without a row."""
        looks = self._specs[0].looks
        named: dict[str, Table | Array] = {}
        for name, wanted in (
            ("checkpoints", any(look.epochs for look in looks)),
            ("arrivals", any(look.ratio for look in looks)),
            ("test_batches", self._bank is not None and any(look.test_batches for look in looks)),
            ("hits_index", any(look.hits for look in looks)),
            ("calibration", any(look.calibrate for look in looks)),
            ("snapshots", any(look.snapshot for look in looks)),
        ):
            if wanted:
                named[name] = self._tables[member].get(name, {})
        for name, parts in self._arrays[member].items():
            longest = max(len(part) for part in parts) if name == "hits" else 0
            named[name] = np.stack([np.pad(p, (0, longest - len(p))) if longest else p for p in parts])
        return named

    def _evaluate(self, step: int, members: set[int], look: Look, evaluator: Evaluator) -> None:
        name = "checkpoints" if look.ratio is None else "arrivals"
        for row in evaluator.rows(step, look.splits):
            for member in members:
                cells = row.table_row(member)
                self._add(member, name, step=step, **cells)
                if row.hits is not None:
                    chosen = {key: cells[key] for key in ("split", "statistics", "decay", "zero_debias")}
                    self._add_hits(member, row.hits[:, member], step=step, **chosen)

    def _meet_test_batches(self, step: int, members: set[int], look: Look) -> None:
        assert isinstance(self._net, ArticleNet)
        assert self._bank is not None
        arm, test = Arm(self._specs[0].decays[0]), self._data.test
        moving = self._bank.statistics(arm)
        sources = [generator(spec.seed, TEST_ORDER) for spec in self._specs]
        by_class = test.labels.cpu().argsort(stable=True)
        orders = {
            SHUFFLED: torch.stack([torch.randperm(len(test), generator=source) for source in sources], 1),
            SORTED: by_class[:, None].expand(-1, len(sources)),
        }
        for name, order in orders.items():
            for size in look.test_batches:
                met = in_test_batches(self._net, arm, moving, test, order.to(test.labels.device), size)
                leaked = with_statistics(self._net, met.moved, test)
                for statistics, scores in (("batch", met.scores), ("leaked", leaked)):
                    self._add_test_batches(step, members, look, (name, size, statistics), scores)

    def _add_test_batches(
        self, step: int, members: set[int], look: Look, setting: tuple[str, int, str], scores: Scores
    ) -> None:
        order, size, statistics = setting
        for member in members:
            self._add(
                member,
                "test_batches",
                step=step,
                order=order,
                test_batch_size=size,
                statistics=statistics,
                loss=float(scores.losses[:, member].mean()),
                accuracy=float(scores.hits[:, member].double().mean()),
            )
            if look.hits:
                self._add_hits(
                    member,
                    scores.hits[:, member].cpu(),
                    step=step,
                    split="test",
                    statistics=statistics,
                    decay=None,
                    zero_debias=None,
                    order=order,
                    test_batch_size=size,
                )

    def _calibrate(self, step: int, members: set[int], look: Look, evaluator: Evaluator) -> None:
        found = {split: evaluator.logits(step, split) for split in look.splits}
        for member in members:
            own = {
                split: (logits.chunk(len(self._specs), 1)[member], labels[:, member])
                for split, (logits, labels) in found.items()
            }
            best = temperature(*own["validation"])
            for split, pair in own.items():
                row = {"split": split, "temperature": best, "loss": loss(*pair)}
                self._add(member, "calibration", step=step, **row, scaled_loss=loss(*pair, at=best))

    def _keep(self, step: int, members: set[int]) -> None:
        size = len(self._specs)
        parameters = [p.detach().chunk(size) for p in self._net.parameters()]
        for member in members:
            self._add(member, "snapshots", step=step)
            flat = torch.cat([parts[member].reshape(-1) for parts in parameters]).cpu().numpy()
            self._arrays[member].setdefault("snapshot_parameters", []).append(flat)
            if self._bank is not None:
                averages = torch.stack([self._bank.statistics(Arm(decay)) for decay in node_decays()])
                own = self._own_channels(averages, member)
                self._arrays[member].setdefault("snapshot_averages", []).append(own.cpu().numpy())

    def _own_channels(self, statistics: Tensor, member: int) -> Tensor:
        """Return a member's channels of [..., C_total], in which each layer holds member after member."""
        sizes = [layer.num_features for layer in self._net.norm_layers()]
        layers = torch.split(statistics, sizes, dim=-1)
        return torch.cat([layer.chunk(len(self._specs), dim=-1)[member] for layer in layers], -1)

    def _add_hits(self, member: int, hits: Tensor, **what: Any) -> None:
        what = {"order": "", "test_batch_size": None, **what, "images": len(hits)}
        self._add(member, "hits_index", **what)
        self._arrays[member].setdefault("hits", []).append(np.packbits(hits.numpy()))

    def _add(self, member: int, table: str, **cells: Any) -> None:
        columns = self._tables[member].setdefault(table, {})
        for column, value in cells.items():
            columns.setdefault(column, []).append(value)
