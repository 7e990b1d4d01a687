"""Whether records are what they were, and whether training again gives them again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bnstudy.records.spec import RunSpec
from bnstudy.records.store import Record, Store, content_of
from bnstudy.records.tables import columns_of, to_frame
from bnstudy.study.equivalent import count_as_today
from bnstudy.study.work import Failed, begin, perform

# What must be the same, besides code that gives the same, for a run to come out the same, bit for bit.
SAME = ("device", "threads", "libraries", "data_sha256", "fleet")

# How far the last accuracies of a run may be from the recorded ones where rounding differs: training
# amplifies a rounding error until two runs differ like two seeds.
TOLERANCE = 0.05


@dataclass(frozen=True)
class Rerun:
    """A record against its run trained again.

    ``expected``: ``"bit for bit"`` where code, libraries, data, device and threads are the recorded ones,
    else ``"close"``: the same outcome, and accuracies at the last step with batch or precise
    statistics (or none) within ``TOLERANCE``. ``difference`` is the largest of these accuracies' differences.
    Durations are not compared: the next ones are others. ``steps``: only the first so many were trained, and
    the accuracies are those in training, their mean over these steps.
    """

    run: str
    expected: str
    equal: bool
    difference: float | None
    matches: bool
    error: str | None = None
    steps: int | None = None

    def __str__(self) -> str:
        if self.error:
            return f"{self.run}: failed: {self.error}"
        verdict = "equal, bit for bit" if self.equal else f"largest difference in accuracy {self.difference}"
        verdict = f"first {self.steps} steps {verdict}" if self.steps else verdict
        return f"{self.run}: {verdict}; expected {self.expected}: {'yes' if self.matches else 'NO'}"


def choose(records: Sequence[Record], count: int, seed: int | None = None) -> list[Record]:
    """Return ``count`` different records drawn at random, or all if there are fewer."""
    return random.Random(seed).sample(list(records), min(count, len(records)))


def rerun(record: Record, store: Store, device: str = "cpu", progress: bool = False) -> Rerun:
    """Train a recorded run again and compare; the record is left as it is."""
    result = perform([record.spec], device, progress)
    name = record.spec.name
    if isinstance(result, Failed):
        return Rerun(name, "bit for bit", False, None, False, result.error)
    [again] = result
    new = {table: content_of(table, name, rows) for table, rows in again.tables.items()}
    old = {table: store.content(record, table) for table in record.tables}
    equal = _decided(new) == _decided(old) and again.outcome == record.outcome
    difference = _difference(old["evaluation"], new["evaluation"]) if "evaluation" in old else None
    if _made_alike(record, again.provenance, store):
        return Rerun(name, "bit for bit", equal, difference, equal)
    close = again.outcome == record.outcome and (difference is None or difference <= TOLERANCE)
    return Rerun(name, "close", equal, difference, close)


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
        return Rerun(spec.name, "bit for bit", False, None, False, again.error, steps)
    new = content_of("training", spec.name, again.tables["training"]).splitlines(keepends=True)
    # A run that diverged is recorded up to where that was seen.
    old = store.table(record, "training").splitlines(keepends=True)[: len(new)]
    equal = old == new[: len(old)] and len(old) > 1
    last = len(old) - 1
    for probe in spec.probes:
        seen = content_of(probe, spec.name, again.tables[probe])
        equal = equal and _up_to(last, seen) == _up_to(last, store.table(record, probe))
    difference = _mean_difference(b"".join(old), b"".join(new[: len(old)]))
    if _made_alike(record, again.provenance, store):
        return Rerun(spec.name, "bit for bit", equal, difference, equal, steps=steps)
    return Rerun(spec.name, "close", equal, difference, difference <= TOLERANCE, steps=steps)


def _made_alike(record: Record, new: dict[str, Any], store: Store) -> bool:
    same = all(record.provenance.get(key) == new.get(key) for key in SAME)
    return same and count_as_today(store, record)


def _up_to(step: int, table: bytes) -> list[bytes]:
    """Return the rows of a table of a probe up to a step; its columns start with run and step."""
    return [row for row in table.splitlines()[1:] if int(row.split(b",")[1]) <= step]


def _mean_difference(old: bytes, new: bytes) -> float:
    a, b = (to_frame("training", [part])["accuracy"].mean() for part in (old, new))
    return float(abs(a - b))


def _decided(tables: dict[str, bytes]) -> dict[str, bytes]:
    """Return what a spec decides of its tables: all of them but durations, the last column of ``"cost"``."""
    lines = tables.get("cost", b"").splitlines()
    return {**tables, "cost": b"\n".join(line.rpartition(b",")[0] for line in lines)}


def _difference(old: bytes, new: bytes) -> float | None:
    a, b = (_last(to_frame("evaluation", [part])) for part in (old, new))
    both = a.merge(b, on=[c for c in columns_of("evaluation") if c not in ("loss", "accuracy")])
    return None if both.empty else float((both["accuracy_x"] - both["accuracy_y"]).abs().max())


def _last(frame: pd.DataFrame) -> pd.DataFrame:
    # Moving averages of a large decay remember chaos; what the weights can do is steadier.
    steady = frame["statistics"].isin(["batch", "precise", "none"])
    last: pd.DataFrame = frame.loc[steady & (frame["step"] == frame["step"].max())]
    return last
