"""One run: from a spec and a data set to tables of what was measured."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils import deterministic as _memory_settings
from tqdm.auto import tqdm

from bnstudy.data import Dataset, load_dataset
from bnstudy.evaluate import Evaluator
from bnstudy.network import ArticleNet
from bnstudy.norm import Arm, StatisticsBank
from bnstudy.spec import RunSpec

LOOK_EVERY = 50  # steps between looks at the loss

_memory: Any = _memory_settings  # a module that sets itself up as an object with properties

Table = dict[str, list[Any]]

DIVERGED = 1e3  # Bjorck et al. 2018: a run has diverged once its loss is 10^3 times the first one.


@dataclass
class RunResult:
    """What a run gave: ``outcome`` (``"finished"`` or ``"diverged at step n"``) and tidy tables by name.

    ``training``: step, loss, accuracy, learning_rate, of each batch as it was trained on.
    ``evaluation``: step, split, statistics, decay, zero_debias, loss, accuracy, of the
    network with each choice of normalisation statistics.
    """

    outcome: str
    tables: dict[str, Table] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceData:
    """Images as [N, 3, 32, 32] channels-last and labels [N], resident on the device."""

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor


def train_run(
    spec: RunSpec, dataset: Dataset | None = None, *, device: str = "cpu", progress: bool = True
) -> RunResult:
    """Train one run and measure along it. The same spec gives the same result on one machine, bit for bit.

    Args:
        spec: what to run.
        dataset: the data, if already loaded; must be the one the spec names.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        progress: whether to show a bar with loss and accuracy.
    """
    check_device(device)
    dataset = dataset or load_dataset(spec.dataset)
    if dataset.name != spec.dataset:
        raise ValueError(f"dataset is {dataset.name!r}; allowed: {spec.dataset!r}, which the spec names")
    with deterministic():
        return _Run(spec, dataset, torch.device(device)).train(progress)


def check_device(device: str) -> None:
    """Raise a ``ValueError`` that names the devices there are, unless ``device`` is one."""
    there = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.cuda.is_available():
        there.insert(1, "cuda")
    if device not in there:
        raise ValueError(f"device is {device!r}; allowed here: {', '.join(there)}")


class deterministic:
    """A context in which PyTorch uses deterministic algorithms alone."""

    def __enter__(self) -> None:
        self._kept = torch.are_deterministic_algorithms_enabled()
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        # No kernel here reads memory it has not written, and filling it costs a pass over every output.
        self._fill = _memory.fill_uninitialized_memory
        _memory.fill_uninitialized_memory = False

    def __exit__(self, *_: object) -> None:
        torch.use_deterministic_algorithms(self._kept)
        _memory.fill_uninitialized_memory = self._fill


def evaluation_steps(total: int, count: int) -> list[int]:
    """Return up to ``count`` log-spaced steps from 1 to ``total``, the last one always among them."""
    if count == 1:
        return [total]
    return sorted({round(s) for s in np.geomspace(1, total, count)})


def generator(seed: int, purpose: int) -> torch.Generator:
    """Return a CPU generator for one purpose of one seed, independent of every other."""
    state = np.random.SeedSequence([seed, purpose]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


INITIALISATION, ORDER, EVALUATION_ORDER = range(3)


def place(dataset: Dataset, spec: RunSpec, device: torch.device) -> DeviceData:
    """Standardise the images per colour channel and move everything to the device once.

    Mean and standard deviation are those of the training images.
    """
    dtype = getattr(torch, spec.precision)
    counts = [np.bincount(dataset.x_train[..., c].ravel(), minlength=256) for c in range(3)]
    values = np.arange(256)
    mean = torch.tensor([np.average(values, weights=n) for n in counts])
    std = torch.tensor(
        [
            math.sqrt(np.average((values - m) ** 2, weights=n))
            for n, m in zip(counts, mean.tolist(), strict=True)
        ]
    )
    std = torch.where(std > 0, std, torch.ones_like(std))

    def images(x: NDArray[np.uint8]) -> Tensor:
        out = torch.empty(len(x), 3, *x.shape[1:3], dtype=dtype).to(memory_format=torch.channels_last)
        # In slices, so that the float32 intermediate stays small.
        for start in range(0, len(x), 5000):
            part = slice(start, start + 5000)
            out[part] = ((torch.from_numpy(x[part]).double() - mean) / std).permute(0, 3, 1, 2).to(dtype)
        return out.to(device)

    return DeviceData(
        images(dataset.x_train),
        torch.from_numpy(dataset.y_train).long().to(device),
        images(dataset.x_test),
        torch.from_numpy(dataset.y_test).long().to(device),
    )


class _Run:
    """The state of one run in training."""

    def __init__(self, spec: RunSpec, dataset: Dataset, device: torch.device) -> None:
        self.spec = spec
        self.data = place(dataset, spec, device)
        self.net = ArticleNet(
            norm=spec.norm,
            relu_on_logits=spec.relu_on_logits,
            conv_bias=spec.conv_bias,
            initialisation=spec.initialisation,
            generator=generator(spec.seed, INITIALISATION),
        ).to(device)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=spec.learning_rate)
        layers = self.net.norm_layers()
        for layer in layers:
            layer.updates = "never"  # the bank keeps the averages
        arms = [Arm(d, z) for d in spec.decays for z in spec.zero_debias]
        self.bank = StatisticsBank(layers, arms) if layers else None
        self.evaluator = Evaluator(self.net, self.data, spec, generator(spec.seed, EVALUATION_ORDER))

    def train(self, progress: bool) -> RunResult:
        n = len(self.data.x_train)
        per_epoch = math.ceil(n / self.spec.batch_size)
        total = per_epoch * self.spec.epochs
        due = set(evaluation_steps(total, self.spec.evaluations))
        order = generator(self.spec.seed, ORDER)
        losses: list[Tensor] = []
        accuracies: list[Tensor] = []
        rates: list[float] = []
        evaluation: Table = {}
        outcome = "finished"
        every_batch = (
            index
            for _ in range(self.spec.epochs)
            for index in torch.split(torch.randperm(n, generator=order), self.spec.batch_size)
        )
        bar = tqdm(
            total=total, desc=f"run {self.spec.name[:8]}", unit="step", disable=not progress, leave=False
        )
        with bar:
            for step, index in enumerate(every_batch, start=1):
                rates.append(self._learning_rate(step - 1, total))
                loss, accuracy = self._step(index.to(self.data.x_train.device), rates[-1])
                losses.append(loss)
                accuracies.append(accuracy)
                bar.update()
                if step % LOOK_EVERY == 0 or step in due:
                    # Reading the loss waits for the device, so it is read now and then.
                    bar.set_postfix(loss=f"{float(loss):.3f}", accuracy=f"{float(accuracy):.3f}")
                    if diverged := _diverged(losses):
                        outcome = f"diverged at step {diverged}"
                        break
                if step in due:
                    self._evaluate(step, last=step == total, table=evaluation)
        training: Table = {
            "step": list(range(1, len(losses) + 1)),
            "loss": _floats(losses),
            "accuracy": _floats(accuracies),
            "learning_rate": rates,
        }
        return RunResult(outcome, {"training": training, "evaluation": evaluation})

    def _learning_rate(self, step: int, total: int) -> float:
        lr = self.spec.learning_rate
        return lr if self.spec.schedule == "constant" else lr * (1 - step / total)

    def _step(self, index: Tensor, learning_rate: float) -> tuple[Tensor, Tensor]:
        self.net.train()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        x, y = self.data.x_train[index], self.data.y_train[index]
        logits = self.net(x.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits, y)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if self.bank is not None:
            self.bank.update()
        return loss.detach(), (logits.detach().argmax(1) == y).float().mean()

    def _evaluate(self, step: int, last: bool, table: Table) -> None:
        for row in self.evaluator.rows(self.bank, step, splits=("test", "train") if last else ("test",)):
            for key, value in {"step": step, **row}.items():
                table.setdefault(key, []).append(value)


def _diverged(losses: list[Tensor]) -> int | None:
    """Return the first step whose loss is not finite or far above the first one, if any."""
    values = torch.stack(losses)
    bad = ~(values <= DIVERGED * values[0])  # also true of NaN
    return int(bad.nonzero()[0]) + 1 if bool(bad.any()) else None


def _floats(values: list[Tensor]) -> list[float]:
    return [float(v) for v in torch.stack(values).tolist()] if values else []
