"""What a worker does: one run, here or on another machine."""

from __future__ import annotations

import gc
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from bnstudy._loaded import SourceError
from bnstudy.records.spec import RunSpec, Spec
from bnstudy.records.tables import Values
from bnstudy.study.deciding import check_source, defaults_of, kind_of, source_of

if TYPE_CHECKING:
    from bnstudy.study.measures import Measured
    from bnstudy.train.data import Dataset
    from bnstudy.train.fleet import RunResult

T = TypeVar("T")

# Training sets PyTorch's process-wide switches, so that runs in the threads of one process take turns.
_turn = threading.Lock()


@dataclass(frozen=True)
class Finished:
    """A run that came to its end, a divergence included."""

    provenance: dict[str, Any]
    outcome: str
    tables: dict[str, Values]


@dataclass(frozen=True)
class Failed:
    """A run that an exception ended: the exception in one line, and its traceback."""

    error: str
    traceback: str


def perform(
    specs: Sequence[Spec], device: str = "cpu", progress: bool = False, source: str | None = None
) -> list[Finished] | Failed:
    """Do one run, or several training runs as a fleet, and return what came of each.

    An exception is a result too, so that it stops no other run.

    Args:
        specs: the runs, of one kind.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        progress: whether to show a bar.
        source: the digest of what decides the runs' numbers (``bnstudy.study.deciding``), where another
            process asks for them; with other code than that process has, nothing is trained.
    """

    def do() -> list[Finished]:
        made = _made_by(specs[0], source)
        training = [spec for spec in specs if isinstance(spec, RunSpec)]
        finished = _train(training, device, progress) if training else [_measure(s, device) for s in specs]
        check_source(specs[0])
        return [replace(one, provenance={**one.provenance, **made}) for one in finished]

    return _in_turn(do)


def begin(spec: RunSpec, steps: int, device: str = "cpu") -> Finished | Failed:
    """Do the first steps of a training run, and return its tables so far: ``training`` and its probes'."""

    def do() -> Finished:
        from bnstudy.records.provenance import provenance
        from bnstudy.study.beginning import first_steps

        made = _made_by(spec)
        dataset = _dataset(spec.dataset)
        start = time.perf_counter()
        tables = first_steps(spec, dataset, steps, device)
        made |= provenance(dataset.sha256, device, time.perf_counter() - start)
        return Finished(made, f"stopped after step {len(tables['training']['step'])}", {**tables})

    return _in_turn(do)


def trained(
    specs: Sequence[RunSpec], dataset: Dataset, device: str = "cpu", progress: bool = False
) -> list[RunResult]:
    """Train runs and measure along the way: all that decides the numbers of their records begins here."""
    from bnstudy.study.watching import Probed
    from bnstudy.train.fleet import train_fleet

    watch = Probed(specs[0], dataset, device) if specs[0].probes else None
    results = train_fleet(specs, dataset, device=device, progress=progress, watch=watch)
    if watch is not None:
        results[0].tables |= watch.tables()
    return results


def measured(spec: Spec, dataset: Dataset | None) -> Measured:
    """Do a run of another kind: all that decides the numbers of its record begins here."""
    from bnstudy.study.measures import MEASURES

    return MEASURES[spec.kind](spec, dataset)


def _made_by(spec: Spec, expected: str | None = None) -> dict[str, Any]:
    """Return what is recorded of the code, after a look whether it is what this process has loaded."""
    source = source_of(spec)
    if expected not in (None, source):
        raise SourceError(
            f"this worker's code has the digest {source} for runs of kind {kind_of(spec)!r}; allowed: "
            f"{expected}, which that of the process that asks for them has"
        )
    check_source(spec)
    return {"source": source, "defaults": defaults_of(spec)}


def _in_turn(do: Callable[[], T]) -> T | Failed:
    with _freed_afterwards():
        try:
            with _turn:
                return do()
        except Exception as error:
            return failed(error)


@contextmanager
def _freed_afterwards() -> Iterator[None]:
    """Collect the garbage that the block leaves.

    A network in training is full of cycles, and the collector counts objects, not the gigabytes behind them:
    left to itself it keeps the networks and data of dozens of runs. What was there before the block, which
    is libraries most of all, is not searched.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()


def _train(specs: Sequence[RunSpec], device: str, progress: bool) -> list[Finished]:
    from bnstudy.records.provenance import git_state, provenance

    git_state()
    dataset = _dataset(specs[0].dataset)
    start = time.perf_counter()
    results = trained(specs, dataset, device, progress)
    made = provenance(dataset.sha256, device, time.perf_counter() - start)
    return [
        Finished({**made, **_fleet(result.fleet_size, result.fleet_index)}, result.outcome, {**result.tables})
        for result in results
    ]


def _measure(spec: Spec, device: str) -> Finished:
    from bnstudy.records.provenance import git_state, provenance

    git_state()
    name = getattr(spec, "dataset", None)
    dataset = _dataset(name) if name else None
    start = time.perf_counter()
    tables, libraries = measured(spec, dataset)
    made = provenance(dataset.sha256 if dataset else {}, device, time.perf_counter() - start)
    made["libraries"] = {**made["libraries"], **libraries}
    return Finished(made, "finished", {**tables})


def _fleet(size: int, index: int) -> dict[str, Any]:
    return {"fleet": {"size": size, "index": index}} if size > 1 else {}


def failed(error: BaseException) -> Failed:
    """Describe an exception."""
    line = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    return Failed(line, "".join(traceback.format_exception(error)))


@lru_cache(maxsize=1)
def _dataset(name: str) -> Dataset:
    from bnstudy.train.data import load_dataset

    return load_dataset(name)
