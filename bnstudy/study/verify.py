"""Whether records are what they were, and whether training again gives them again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bnstudy.records.spec import RunSpec
from bnstudy.records.store import Record, Store, content_of
from bnstudy.records.tables import to_frame
from bnstudy.study.compare import differences
from bnstudy.study.equivalent import count_as_today
from bnstudy.study.work import Failed, Finished, begin, perform

# What must be the same, besides code that gives the same, for a run to come out the same, bit for bit.
SAME = ("device", "threads", "libraries", "data_sha256", "fleet")

EXACT, CLOSE = "bit for bit", "close"

# How far the means over a run's first steps may be from the recorded ones where rounding differs, or noise
# drawn on another device: that of the accuracy, and that of the loss as a share of it.
TOLERANCE = 0.05
BEGUN = 40  # steps that show it


@dataclass(frozen=True)
class Rerun:
    """A record against its run trained again.

    ``expected``: ``"bit for bit"`` where code, libraries, data, device and threads are the recorded ones,
    else ``"close"``: the same outcome, and each recorded quantity within its tolerance
    (``bnstudy.study.compare``); ``too_far`` are those that are not. ``difference`` is the largest difference
    of an accuracy at the end. Durations are not compared: the next ones are others. ``steps``: only the first
    so many were trained, the difference is that of the mean accuracy in training over these steps, and close
    is both that and the mean loss within ``TOLERANCE``.
    """

    run: str
    expected: str
    equal: bool
    difference: float | None
    matches: bool
    error: str | None = None
    steps: int | None = None
    too_far: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.error:
            return f"{self.run}: failed: {self.error}"
        of = "mean accuracy differs by" if self.steps else "largest difference in accuracy"
        verdict = "equal, bit for bit" if self.equal else f"{of} {self.difference}"
        verdict = f"first {self.steps} steps {verdict}" if self.steps else verdict
        return (
            f"{self.run}: {verdict}; expected {self.expected}: {'yes' if self.matches else 'NO'}"
            + "".join(f"; {difference}" for difference in self.too_far)
        )


def choose(records: Sequence[Record], count: int, seed: int | None = None) -> list[Record]:
    """Return ``count`` different records drawn at random, or all if there are fewer."""
    return random.Random(seed).sample(list(records), min(count, len(records)))


def rerun(record: Record, store: Store, device: str = "cpu", progress: bool = False) -> Rerun:
    """Train a recorded run again and compare; the record is left as it is."""
    result = perform([record.spec], device, progress)
    name = record.spec.name
    if isinstance(result, Failed):
        return Rerun(name, EXACT, False, None, False, result.error)
    [again] = result
    new = {table: content_of(table, name, rows) for table, rows in again.tables.items()}
    old = {table: store.content(record, table) for table in record.tables}
    equal = _decided(new) == _decided(old) and again.outcome == record.outcome
    if equal:
        return Rerun(name, _expected(record, again, store), True, 0.0, True)
    apart = differences(old, new)
    accuracy = [d.found for d in apart if d.column == "accuracy" and d.table != "training"]
    difference = max(accuracy, default=None)
    too_far = tuple(str(d) for d in apart if not d.close)
    if again.outcome != record.outcome:
        too_far = (f"outcome {again.outcome!r}, recorded {record.outcome!r}", *too_far)
    expected = _expected(record, again, store)
    return Rerun(name, expected, False, difference, expected == CLOSE and not too_far, too_far=too_far)


def _expected(record: Record, again: Finished, store: Store) -> str:
    return EXACT if _made_alike(record, again.provenance, store) else CLOSE


def replay(record: Record, store: Store, steps: int, device: str = "cpu") -> Rerun:
    """Train the first ``steps`` steps of a recorded training run again and compare what is known of them.

    That is loss, accuracy and rate of each step, and what the run's probes measured at theirs among them.

    Records of sources that are known to give the same as today's (``data/sources.json``) count as today's:
    equality is expected of them too.
    """
    spec = record.spec
    if not isinstance(spec, RunSpec):
        raise ValueError(f"run {spec.name} is of kind {spec.kind!r}; allowed: 'train'")
    again = begin(spec, steps, device)
    if isinstance(again, Failed):
        return Rerun(spec.name, EXACT, False, None, False, again.error, steps)
    new = content_of("training", spec.name, again.tables["training"]).splitlines(keepends=True)
    # A run that diverged is recorded up to where that was seen.
    old = store.table(record, "training").splitlines(keepends=True)[: len(new)]
    equal = old == new[: len(old)] and len(old) > 1
    last = len(old) - 1
    for probe in spec.probes:
        seen = content_of(probe, spec.name, again.tables[probe])
        equal = equal and _up_to(last, seen) == _up_to(last, store.table(record, probe))
    before, now = (_means(b"".join(part)) for part in (old, new[: len(old)]))
    difference = abs(now["accuracy"] - before["accuracy"])
    if _made_alike(record, again.provenance, store):
        return Rerun(spec.name, EXACT, equal, difference, equal, steps=steps)
    # Equal ones may have a mean that is no number.
    losses = 0.0 if equal else abs(now["loss"] / before["loss"] - 1.0)
    too_far = () if losses <= TOLERANCE else (f"mean loss differs by {losses:.1%} (allowed {TOLERANCE:.0%})",)
    close = equal or (difference <= TOLERANCE and not too_far)
    return Rerun(spec.name, CLOSE, equal, difference, close, steps=steps, too_far=too_far)


def _made_alike(record: Record, new: dict[str, Any], store: Store) -> bool:
    same = all(record.provenance.get(key) == new.get(key) for key in SAME)
    return same and count_as_today(store, record)


def _up_to(step: int, table: bytes) -> list[bytes]:
    """Return the rows of a table of a probe up to a step; its columns start with run and step."""
    return [row for row in table.splitlines()[1:] if int(row.split(b",")[1]) <= step]


def _means(table: bytes) -> dict[str, float]:
    """Return the mean loss and accuracy of a table of a training."""
    rows = to_frame("training", [table])
    return {column: float(rows[column].mean()) for column in ("loss", "accuracy")}


def _decided(tables: dict[str, bytes]) -> dict[str, bytes]:
    """Return what a spec decides of its tables: all of them but durations, the last column of ``"cost"``."""
    lines = tables.get("cost", b"").splitlines()
    return {**tables, "cost": b"\n".join(line.rpartition(b",")[0] for line in lines)}
