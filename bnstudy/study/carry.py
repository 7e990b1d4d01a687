"""Carrying records over to today's code: what shows that it gives their numbers again, and who has shown it.

Of each source, five runs are trained again as a whole, one of each kind among them, and of all other
trainings the first steps; everything has to come out bit for bit. It can be stopped and goes on where it was;
several processes share the work.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from bnstudy.records.files import remove
from bnstudy.records.lock import RunLock
from bnstudy.records.spec import RunSpec
from bnstudy.records.store import Record, RecordError, Store
from bnstudy.study.deciding import kind_of, source_of
from bnstudy.study.equivalent import accept, stale
from bnstudy.study.verify import Rerun, replay, rerun

FILE = "carried.jsonl"  # what has come out so far
WHOLE = 5  # runs of a source that are trained again to their end
STEPS = 20  # of the others


@dataclass
class Group:
    """The stale records of one source and kind of run: those to train again whole, and those to begin."""

    source: str
    kind: str
    whole: list[Record] = field(default_factory=list)
    begun: list[Record] = field(default_factory=list)
    untried: int = 0  # that no beginning can be compared of, such as durations
    equal: set[str] = field(default_factory=set)  # names of those that came out the same, bit for bit

    @property
    def tried(self) -> list[Record]:
        """All that is trained again."""
        return [*self.whole, *self.begun]

    @property
    def complete(self) -> bool:
        """Whether all that is to be trained again came out the same, bit for bit."""
        return all(record.spec.name in self.equal for record in self.tried)

    def __str__(self) -> str:
        records = len(self.tried) + self.untried
        state = "all count as today's" if self.complete else "they stay stale"
        return (
            f"source {self.source}, {self.kind}: {len(self.equal)} of {len(self.tried)} came out the same, "
            f"bit for bit ({len(self.whole)} whole, {len(self.begun)} begun; {records} records): {state}"
        )


def carry_over(
    store: Store,
    records: Iterable[Record],
    *,
    steps: int = STEPS,
    device: str = "cpu",
    report: Callable[[Rerun], None] = lambda again: None,
) -> list[Group]:
    """Train stale records again, and count those as today's whose group came out the same.

    Args:
        store: where the records are, and where it is written down (``sources.json``).
        records: the records to carry over; those that aren't stale are left out.
        steps: how many steps of a training that isn't trained whole.
        device: where to train.
        report: called with each that was trained again.

    Raises:
        RecordError: a file is damaged, or can't be written.
    """
    records = list(records)
    old = set(stale(records, store))
    groups = planned([record for record in records if record.spec.name in old])
    for group in groups:
        for record in group.tried:
            whole = record in group.whole
            if _key(record, whole, steps) not in _done(store) and not _try(
                store, record, whole, steps, device, report
            ):
                break
        done = _done(store)
        group.equal = {r.spec.name for r in group.tried if _key(r, r in group.whole, steps) in done}
        if group.complete:
            whole_names, begun_names = ([r.spec.name for r in part] for part in (group.whole, group.begun))
            spec = group.tried[0].spec
            accept(store, group.source, spec, trained_again=whole_names, begun_again=begun_names, steps=steps)
    if all(group.complete for group in groups):
        remove(store.root / FILE)
    return groups


def planned(records: Sequence[Record]) -> list[Group]:
    """Return what has to be trained again for these records, by source and kind of run."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        key = str(record.provenance.get("source")), kind_of(record.spec)
        groups.setdefault(key, []).append(record)
    kinds = {source: [key for key in groups if key[0] == source] for source, _ in groups}
    found = []
    for (source, kind), members in groups.items():
        most = max(kinds[source], key=lambda key: len(groups[key]))
        count = 1 + max(0, WHOLE - len(kinds[source])) * ((source, kind) == most)
        whole = _varied(members, count)
        rest = [record for record in members if record not in whole]
        begun = [record for record in rest if isinstance(record.spec, RunSpec)]
        found.append(Group(source, kind, whole, begun, len(rest) - len(begun)))
    return found


def _varied(records: Sequence[Record], count: int) -> list[Record]:
    """Return so many of the quicker half of the records, each with as many new settings as possible."""
    by_time = sorted(records, key=lambda r: (r.provenance.get("wall_seconds", 0.0), r.spec.name))
    left = by_time[: max(count, (len(by_time) + 1) // 2)]
    chosen: list[Record] = []
    seen: set[tuple[str, str]] = set()
    while left and len(chosen) < count:
        best = max(left, key=lambda record: len(_settings(record) - seen))
        left.remove(best)
        chosen.append(best)
        seen |= _settings(best)
    return chosen


def _settings(record: Record) -> set[tuple[str, str]]:
    return {(name, repr(value)) for name, value in record.spec.model_dump().items() if name != "seed"}


def _try(
    store: Store, record: Record, whole: bool, steps: int, device: str, report: Callable[[Rerun], None]
) -> bool:
    """Train a run again, write it down if it came out the same, and say whether to go on with its group."""
    lock = RunLock(store, record.spec.name)
    if not lock.acquire():
        return True  # another process is at it
    try:
        with _threads(record):
            again = rerun(record, store, device) if whole else replay(record, store, steps, device)
        report(again)
        if again.equal:
            with (store.root / FILE).open("a") as file:
                # A killed process may have left half a line.
                file.write(f"\n{json.dumps(_key(record, whole, steps))}\n")
        return again.equal
    except OSError as error:
        raise RecordError(f"can't write {store.root / FILE}: {error.strerror or error}") from error
    finally:
        lock.release()


def _key(record: Record, whole: bool, steps: int) -> list[Any]:
    return [record.spec.name, source_of(record.spec), 0 if whole else steps]


def _done(store: Store) -> list[Any]:
    try:
        lines = (store.root / FILE).read_text().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


@contextmanager
def _threads(record: Record) -> Iterator[None]:
    """Train with as many threads as the record was made with."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(int(record.provenance.get("threads", before)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
