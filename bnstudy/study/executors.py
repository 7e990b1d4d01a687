"""Where runs are trained: in this process, in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from bnstudy.records.spec import SpecError
from bnstudy.study.memory import keep_memory

P = ParamSpec("P")
T = TypeVar("T")

# How often a run is tried again whose worker has died.
RETRIES = 3
# Seconds within which a scheduler has to answer.
PATIENCE = 10


class InProcess(Executor):
    """Runs each call where it is submitted, before ``submit`` returns."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call ``fn`` and return a future that is done."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def processes(count: int, *, fresh: bool = False) -> Iterator[Executor]:
    """Give an executor of ``count`` processes on this machine, which share its cores evenly.

    A run whose process dies is done again by another process, up to ``RETRIES`` times. ``fresh``: each run
    has a new process.
    """
    if count < 1:
        raise SpecError(f"workers is {count}; allowed: a whole number of at least 1")
    with Processes(count, max(1, len(os.sched_getaffinity(0)) // count), fresh=fresh) as pool:
        yield pool


class Processes(Executor):
    """Processes that are replaced when they die, each with ``threads`` threads; ``fresh``: after each run.

    Each is a pool of its own, so that a dead one takes no other one's run with it.
    """

    def __init__(self, count: int, threads: int, *, fresh: bool = False) -> None:
        # Spawned, since PyTorch's threads don't survive a fork.
        self._context = multiprocessing.get_context("spawn")
        # A process that times a step is like any other's; one that trains is there for nothing else.
        self._initial = (threads, not fresh)
        self._runs_each = 1 if fresh else None
        self._hands = ThreadPoolExecutor(count, "worker")
        self._own = threading.local()  # each hand's process
        self._pools: list[ProcessPoolExecutor] = []

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call ``fn`` in the first process that is free."""
        return self._hands.submit(self._call, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes, once their runs have ended."""
        self._hands.shutdown(wait, cancel_futures=cancel_futures)
        for pool in self._pools:
            pool.shutdown(wait, cancel_futures=cancel_futures)

    def _call(self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        for _ in range(1 + RETRIES):
            try:
                return self._process().submit(fn, *args, **kwargs).result()
            except BrokenProcessPool:
                self._own.process = None
        raise BrokenProcessPool(f"the process that did it died, and so did {RETRIES} that tried again")

    def _process(self) -> ProcessPoolExecutor:
        pool: ProcessPoolExecutor | None = getattr(self._own, "process", None)
        if pool is None:
            pool = ProcessPoolExecutor(
                1, self._context, _prepare_worker, self._initial, max_tasks_per_child=self._runs_each
            )
            self._own.process = pool
            self._pools.append(pool)
        return pool


def _prepare_worker(threads: int, keeps: bool) -> None:
    # A terminal sends Ctrl-C to the workers too; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if keeps:
        keep_memory()
    import torch

    torch.set_num_threads(threads)


def _end_with_parent() -> None:
    # A killed parent can't record what comes of this run.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """Give an executor on a running Dask cluster; ``address`` is its scheduler's, ``tcp://host:port``.

    Workers need bnstudy installed, the data set in ``BNSTUDY_DATA``, and one thread each
    (``--nthreads 1``). A run whose worker dies is trained again by another.

    Raises:
        SpecError: Dask's ``distributed`` is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError:
        raise SpecError(
            f"scheduler is {address!r}, which needs Dask: pip install 'bnstudy[cluster]'"
        ) from None
    try:
        client: Any = Client(address, timeout=PATIENCE)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise SpecError(f"scheduler is {address!r}; no Dask scheduler answers there: {error}") from None
    with client:
        yield client.get_executor(retries=RETRIES, pure=False)
