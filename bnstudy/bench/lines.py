"""The lines of the benchmark, each a function from ``Settings`` to one line or several."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch
from torch import Tensor
from torch.nn import functional as F

from bnstudy.bench.pairs import Line, compare, not_measured, seconds, single
from bnstudy.bench.reading import reading
from bnstudy.bench.steps import ORDINARY, Training, ordinary
from bnstudy.norm import Arm, BatchNorm
from bnstudy.norm.fast import normalize_and_pool, pooled
from bnstudy.records.spec import RunSpec
from bnstudy.train.data import Dataset

DECAYS = (0.0, 0.5, 0.9, 0.99, 0.997, 0.999, 0.9999)
BANK = [Arm(decay, debias) for decay in DECAYS for debias in ("none", "both")]

IMPORT_RUNS = 5
IMPORT = """
import time
start = time.perf_counter()
import bnstudy
print(time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Settings:
    """How much to measure: ``steps`` in each half of ``pairs`` pairs, at ``batch_size``, on ``dataset``."""

    dataset: Dataset
    batch_size: int = 128
    steps: int = 8
    pairs: int = 7

    @property
    def images(self) -> int:
        """Images in one half of a pair."""
        return self.steps * self.batch_size

    def spec(self, **options: object) -> RunSpec:
        """Return the spec of a run on the data set at the batch size."""
        return RunSpec.model_validate(
            {"dataset": self.dataset.name, "batch_size": self.batch_size, **options}
        )

    def training(self, arms: list[Arm] | None = None, **options: object) -> Training:
        """Return a run to take steps of."""
        return Training(self.spec(**options), self.dataset, arms)


def single_run(settings: Settings) -> Line:
    """The ordinary loop's time over ours; the better of two numbers of workers stands for it."""
    name, target = "ordinary loop / single run", "at least 5"
    if not ORDINARY.exists():
        return not_measured(name, "the ordinary loop is in the repository's benchmarks folder", target)
    loops = {n: ordinary(settings.dataset, settings.batch_size, n) for n in (0, 2)}
    for loop in loops.values():
        next(loop)
    taken = {n: seconds(partial(_take, loop, settings.steps)) for n, loop in loops.items()}
    workers = min(taken, key=lambda n: taken[n])
    loop, ours = loops[workers], settings.training(BANK)
    line = compare(
        name,
        over=(f"ordinary loop, {workers} workers", lambda: _take(loop, settings.steps)),
        under=("single run, bfloat16, bank of 14 arms", lambda: ours.steps(settings.steps)),
        pairs=settings.pairs,
        work=settings.images,
        unit="images/s",
        target=target,
    )
    for each in loops.values():
        each.close()  # type: ignore[attr-defined]  # ends its workers
    return line


def _take(loop: Iterator[float], steps: int) -> None:
    for _ in islice(loop, steps):
        pass


def _steps(
    settings: Settings, name: str, over: tuple[str, Training], under: tuple[str, Training], target: str
) -> Line:
    return compare(
        name,
        over=(over[0], lambda: over[1].steps(settings.steps)),
        under=(under[0], lambda: under[1].steps(settings.steps)),
        pairs=settings.pairs,
        work=settings.images,
        unit="images/s",
        target=target,
    )


def norm_or_none(settings: Settings) -> Line:
    """A step with batch norm over one without."""
    return _steps(
        settings,
        "step with batch norm / without",
        ("batch norm", settings.training([])),
        ("none", settings.training(norm="none")),
        "at most 1.3",
    )


def bank_or_none(settings: Settings) -> Line:
    """A step with seven decays times two debias settings over one with no bank."""
    return _steps(
        settings,
        "step with a bank of 14 arms / without a bank",
        ("bank", settings.training(BANK)),
        ("no bank", settings.training([])),
        "at most 1.05",
    )


def precisions(settings: Settings) -> Line:
    """A step in float32 over one in bfloat16."""
    return _steps(
        settings,
        "float32 step / bfloat16 step",
        ("float32", settings.training([], precision="float32")),
        ("bfloat16", settings.training([], precision="bfloat16")),
        "above 1",
    )


def fused_block(settings: Settings) -> Iterator[Line]:
    """PyTorch's batch norm, ReLU and pooling over the compiled passes, on the first layer's output."""
    name = "PyTorch's operations / compiled passes, {}"
    shape = (settings.batch_size, 64, 32, 32)
    for dtype in (torch.bfloat16, torch.float32):
        x = torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last)
        if not pooled.serves(x):
            yield not_measured(name.format(dtype), "numba is not installed")
            continue
        yield from _passes(settings, name, x)


def _passes(settings: Settings, name: str, x: Tensor) -> Iterator[Line]:
    layer = BatchNorm(x.shape[1], updates="never")
    gradient = torch.randn(len(x), x.shape[1], x.shape[2] // 2, x.shape[3] // 2).to(x.dtype)
    gradient = gradient.contiguous(memory_format=torch.channels_last)

    def composed(x: Tensor) -> Tensor:
        return F.max_pool2d(F.relu(layer(x)), 2)

    def at_once(x: Tensor) -> Tensor:
        return normalize_and_pool(layer, x, relu=True)

    def train(function: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        image = x.clone().requires_grad_()
        return lambda: torch.autograd.grad(function(image), image, gradient)

    def evaluate(function: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        def task() -> Tensor:
            layer.eval()
            with torch.no_grad():
                return function(x)

        return task

    for what, task in (("forward and backward", train), ("evaluation", evaluate)):
        yield compare(
            name.format(f"{what}, {str(x.dtype).removeprefix('torch.')}"),
            over=("PyTorch", task(composed)),
            under=("compiled", task(at_once)),
            pairs=settings.pairs,
            work=len(x),
            unit="images/s",
        )
        layer.train()


def evaluation(settings: Settings) -> Line:
    """A forward with moving averages, of PyTorch's operations over the compiled passes."""
    run = settings.training([])

    def plainly() -> None:
        with _without_compiled():
            run.evaluate(settings.images)

    images = min(settings.images, len(settings.dataset.x_test))
    return compare(
        "evaluation with PyTorch's operations / compiled passes",
        over=("PyTorch", plainly),
        under=("compiled", lambda: run.evaluate(settings.images)),
        pairs=settings.pairs,
        work=images,
        unit="images/s",
    )


def training_passes(settings: Settings) -> Line:
    """A training step of PyTorch's operations over one of the compiled passes."""
    run = settings.training([])

    def plainly() -> None:
        with _without_compiled():
            run.steps(settings.steps)

    return compare(
        "step with PyTorch's operations / compiled passes",
        over=("PyTorch", plainly),
        under=("compiled", lambda: run.steps(settings.steps)),
        pairs=settings.pairs,
        work=settings.images,
        unit="images/s",
    )


@contextmanager
def _without_compiled() -> Iterator[None]:
    kept = pooled._compiled
    pooled._compiled = lambda: None  # type: ignore[assignment]
    try:
        yield
    finally:
        pooled._compiled = kept


def import_time(_: Settings) -> Line:
    """Seconds of ``import bnstudy`` in a new process, the fastest of a few."""
    fastest = min(float(_python(IMPORT)) for _ in range(IMPORT_RUNS))
    return single("import bnstudy", fastest, "s", "below 0.3")


# Linux hands a parent's peak on to its children, except in /proc; macOS counts in bytes.
RUN = """
import pathlib, re, resource, sys
from bnstudy.train.data import load_dataset
from bnstudy.records.spec import RunSpec
from bnstudy.train.fleet import train_run
train_run(RunSpec(dataset=sys.argv[1], epochs=1, evaluations=1), progress=False)
status = pathlib.Path("/proc/self/status")
if status.exists():
    print(int(re.search("VmHWM:\\s+(\\d+) kB", status.read_text())[1]) / 2**20)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30)
"""


def memory(settings: Settings) -> Line:
    """Peak resident memory of one epoch and one evaluation, in a process of its own."""
    name = f"peak resident memory of a run on {settings.dataset.name}"
    return single(name, float(_python(RUN, settings.dataset.name)), "GiB", "below 1.5")


def _python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ)).stdout


def gpu(_: Settings) -> Iterator[Line]:
    """What only a GPU can show."""
    reason = "no GPU here" if not torch.cuda.is_available() else "measured by benchmarks/fleet.py"
    yield not_measured("ordinary loop / single run, GPU", reason)
    yield not_measured("32 eager runs in sequence / a fleet of 32, GPU", reason, "at least 20")


LINES = (
    single_run,
    norm_or_none,
    bank_or_none,
    training_passes,
    precisions,
    fused_block,
    evaluation,
    import_time,
    reading,
    memory,
    gpu,
)
