"""What a worker does: one run, here or on another machine."""

from __future__ import annotations

import gc
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from bnstudy.records.spec import RunSpec, Spec

if TYPE_CHECKING:
    from bnstudy.train.data import Dataset

T = TypeVar("T")

# Training sets PyTorch's process-wide switches, so that runs in the threads of one process take turns.
_turn = threading.Lock()


@dataclass(frozen=True)
class Finished:
    """A run that came to its end, a divergence included."""

    provenance: dict[str, Any]
    outcome: str
    tables: dict[str, Any]


@dataclass(frozen=True)
class Failed:
    """A run that an exception ended: the exception in one line, and its traceback."""

    error: str
    traceback: str


def perform(specs: Sequence[Spec], device: str = "cpu", progress: bool = False) -> list[Finished] | Failed:
    """Do one run, or several training runs as a fleet, and return what came of each.

    An exception is a result too, so that it stops no other run.
    """

    def do() -> list[Finished]:
        training = [spec for spec in specs if isinstance(spec, RunSpec)]
        if training:
            return _train(training, device, progress)
        return [_measure(spec, device) for spec in specs]

    return _in_turn(do)


def begin(spec: RunSpec, steps: int, device: str = "cpu") -> Finished | Failed:
    """Do the first steps of a training run, and return its ``training`` table so far."""
    from bnstudy.records.provenance import provenance
    from bnstudy.study.beginning import first_steps

    def do() -> Finished:
        dataset = _dataset(spec.dataset)
        start = time.perf_counter()
        table = first_steps(spec, dataset, steps, device)
        made = provenance(dataset.sha256, device, time.perf_counter() - start)
        return Finished(made, f"stopped after step {len(table['step'])}", {"training": table})

    return _in_turn(do)


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
    from bnstudy.records.provenance import provenance
    from bnstudy.study.watching import Probed
    from bnstudy.train.fleet import train_fleet

    dataset = _dataset(specs[0].dataset)
    start = time.perf_counter()
    watch = Probed(specs[0]) if specs[0].probes else None
    results = train_fleet(specs, dataset, device=device, progress=progress, watch=watch)
    if watch is not None:
        results[0].tables |= watch.tables()
    made = provenance(dataset.sha256, device, time.perf_counter() - start)
    return [
        Finished({**made, **_fleet(result.fleet_size, result.fleet_index)}, result.outcome, result.tables)
        for result in results
    ]


def _measure(spec: Spec, device: str) -> Finished:
    from bnstudy.records.provenance import provenance
    from bnstudy.study.measures import measure

    name = getattr(spec, "dataset", None)
    dataset = _dataset(name) if name else None
    start = time.perf_counter()
    tables, libraries = measure(spec, dataset)
    made = provenance(dataset.sha256 if dataset else {}, device, time.perf_counter() - start)
    made["libraries"] = {**made["libraries"], **libraries}
    return Finished(made, "finished", tables)


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
