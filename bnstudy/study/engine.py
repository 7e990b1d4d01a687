"""Running what is missing: on any executor, each run once, each recorded as soon as it ends."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from bnstudy.records.lock import RunLock
from bnstudy.records.spec import RunSpec, Spec
from bnstudy.records.store import Store
from bnstudy.study import failures
from bnstudy.study.deciding import source_of
from bnstudy.study.executors import InProcess
from bnstudy.study.interrupt import Interruptible
from bnstudy.study.work import Failed, Finished, failed, perform

# Each run in flight holds a lock, and each lock an open file.
MOST_IN_FLIGHT = 256
POLL_SECONDS = 0.5

# Runs side by side on a graphics card. On a processor a fleet does not pay: see benchmarks/fleet.py.
FLEET = 32

Held = list[tuple[Spec, RunLock]]
Rules = Callable[[Spec], dict[str, str]]


@dataclass
class Report:
    """What became of the runs, by name: ``trained`` here, ``elsewhere`` (another process recorded it
    meanwhile), or ``failed`` with the error. ``set_aside``: damaged records that were moved away.
    ``interrupted``: Ctrl-C left runs unstarted.
    """

    trained: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    set_aside: list[str] = field(default_factory=list)
    interrupted: bool = False


def run_all(
    specs: Sequence[Spec],
    store: Store,
    *,
    executor: Executor | None = None,
    device: str = "cpu",
    fleet: int | None = None,
    progress: bool = True,
    rules: Rules | None = None,
) -> Report:
    """Train the runs that nobody has recorded yet, and record each as it ends.

    A run that fails is written to ``failures/`` and stops no other one. A run that another process is
    training is waited for, and trained here if that process ends without a record. The first
    Ctrl-C lets the runs in flight end.

    Args:
        specs: the runs.
        store: where records go. This process alone writes to it; workers send their results here.
        executor: where runs are trained; None trains them in this process, one after the other.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``, as the worker names it.
        fleet: how many runs at most train side by side, as one wide network; by default as many as
            pay on the device.
        progress: whether to show a bar over runs, and one over steps where runs train in this process.
        rules: gives the digest of each claim's rule that reads a run's record, by claim, to be recorded as
            the rules were when it was trained.

    Raises:
        RecordError: a record can't be written. What was recorded before is there.
    """
    from tqdm.auto import tqdm

    with (
        Interruptible() as stop,
        tqdm(total=len(specs), desc="runs", unit="run", disable=not progress) as bar,
    ):
        fleet = fleet or (FLEET if device.startswith("cuda") else 1)
        engine = _Engine(store, executor or InProcess(), device, fleet, progress, stop, bar)
        return engine.run(specs, rules)


class _Engine:
    def __init__(
        self,
        store: Store,
        executor: Executor,
        device: str,
        fleet: int,
        progress: bool,
        stop: Interruptible,
        bar: Any,
    ) -> None:
        self.store = store
        self.executor = executor
        self.device = device
        self.fleet = fleet
        # A worker's bar would write over this one.
        self.step_bar = progress and isinstance(executor, InProcess)
        self.most = 1 if isinstance(executor, InProcess) else MOST_IN_FLIGHT
        self.stop = stop
        self.bar = bar
        self.report = Report()
        self.waiting: deque[Spec] = deque()
        self.flying: dict[Future[list[Finished] | Failed], Held] = {}

    def run(self, specs: Sequence[Spec], rules: Rules | None) -> Report:
        self.rules = {spec.name: rules(spec) if rules else {} for spec in specs}
        self.waiting.extend(specs)
        try:
            while self.flying or (self.waiting and not self.stop.asked):
                self._start()
                if self.stop.asked:
                    self._cancel()
                if not self.flying:
                    if self.waiting and not self.stop.asked:
                        time.sleep(POLL_SECONDS)  # all that is left is being trained by others
                    continue
                # With a time-out, so that a lock that another process gives back is noticed.
                done, _ = wait(self.flying, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    self._settle(future)
        finally:
            for future, held in self.flying.items():
                future.cancel()
                _release(held)
        self.report.interrupted = self.stop.asked and bool(self.waiting)
        return self.report

    def _start(self) -> None:
        for _ in range(len(self.waiting)):
            if len(self.flying) >= self.most or self.stop.asked:
                return
            held: Held = []
            try:
                for spec in self._next():
                    self._take(spec, held)
                if held:
                    specs = [spec for spec, _ in held]
                    source = source_of(specs[0])
                    future = self.executor.submit(perform, specs, self.device, self.step_bar, source)
                    self.flying[future] = held
            except BaseException:
                _release(held)
                raise
            if not self.waiting:
                return

    def _next(self) -> list[Spec]:
        """Take the first waiting run, and those that can train beside it."""
        first = self.waiting.popleft()
        beside: list[Spec] = []
        if self.fleet > 1 and isinstance(first, RunSpec) and not first.alone():
            alike = (s for s in self.waiting if isinstance(s, RunSpec) and s.fleet() == first.fleet())
            beside = list(islice(alike, self.fleet - 1))
        for spec in beside:
            self.waiting.remove(spec)
        return [first, *beside]

    def _take(self, spec: Spec, held: Held) -> None:
        """Add a run to those held, unless another process has recorded it or is training it."""
        lock = RunLock(self.store, spec.name)
        if not lock.acquire():
            self.waiting.append(spec)
            return
        held.append((spec, lock))
        if self._recorded(spec):
            held.pop()
            lock.release()
            return
        self.store.clear(spec.name)

    def _recorded(self, spec: Spec) -> bool:
        # Another process may have recorded it since this one looked.
        scan = self.store.scan([spec.name])
        for name, error in scan.damaged.items():
            self.store.set_aside(name)
            self.report.set_aside.append(name)
            self._say(f"{error}; set aside, and trained again")
        for name, newer in scan.newer.items():
            # Written meanwhile by a later version; not to be trained over.
            self.report.failed[name] = str(newer)
            self.bar.update()
        if scan.sound:
            self.report.elsewhere.append(spec.name)
            self.bar.update()
        return bool(scan.sound or scan.newer)

    def _settle(self, future: Future[list[Finished] | Failed]) -> None:
        held = self.flying.pop(future)
        try:
            if future.cancelled():
                self.waiting.extend(spec for spec, _ in held)
                return
            # What the executor itself raises, such as a worker that died, is a failure of the runs too.
            error = future.exception()
            result = failed(error) if error is not None else future.result()
            for i, (spec, _) in enumerate(held):
                self._record(spec, result if isinstance(result, Failed) else result[i])
                self.bar.update()
        finally:
            _release(held)

    def _record(self, spec: Spec, result: Finished | Failed) -> None:
        if isinstance(result, Failed):
            failures.write(self.store, spec, result)
            self.report.failed[spec.name] = result.error
            self._say(f"run {spec.name} failed: {result.error}")
            return
        made = {**result.provenance, "rules": self.rules[spec.name]}
        self.store.write(spec, made, result.outcome, result.tables)
        failures.forget(self.store, spec.name)
        self.report.trained.append(spec.name)

    def _say(self, message: str) -> None:
        # Standard output is for results, such as JSON.
        self.bar.write(message, file=sys.stderr)

    def _cancel(self) -> None:
        for future in list(self.flying):
            if future.cancel():
                self._settle(future)


def _release(held: Held) -> None:
    for _, lock in held:
        lock.release()
