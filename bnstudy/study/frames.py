"""Records as tidy pandas frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bnstudy.records.spec import RunSpec
from bnstudy.records.store import Record, Store
from bnstudy.records.tables import TABLES, to_frame
from bnstudy.study.equivalent import stale
from bnstudy.study.needs import Found
from bnstudy.study.plan import Study

if TYPE_CHECKING:
    import pandas as pd


class Frames(Mapping[str, "pd.DataFrame"]):
    """An experiment's tables by name, each row with its run, its arm on every axis, and its seed.

    A table is read from the records when it is first asked for. ``"runs"`` is always there: how each
    run ended (``outcome``; ``diverged``, 0 or 1).

    Attributes:
        study: the validated parameters.
        runs: names of the records behind the tables.
        trained: names of those that were trained for this call.
    """

    def __init__(self, study: Study, store: Store, found: list[Found], trained: Sequence[str] = ()) -> None:
        self.study = study
        self.records: dict[str, Record] = {f.record.spec.name: f.record for f in found}
        self.runs = sorted(self.records)
        self.trained = sorted(trained)
        self._store = store
        self._found = found
        self._tables: dict[str, pd.DataFrame] = {}

    @property
    def root(self) -> Path:
        """The folder of the records."""
        return self._store.root

    @cached_property
    def stale(self) -> list[str]:
        """Names of the records made by other source code than today's, and none known to give the same."""
        return stale(self.records.values(), self._store)

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._tables:
            self._tables[name] = self._read(name)
        return self._tables[name]

    def __iter__(self) -> Iterator[str]:
        yield "runs"
        yield from (name for name in TABLES if any(name in r.tables for r in self.records.values()))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _read(self, name: str) -> pd.DataFrame:
        import pandas as pd

        if name not in set(self):
            raise KeyError(f"table {name!r} is not recorded; recorded: {', '.join(self)}")
        index = pd.DataFrame(
            [
                {"run": f.record.spec.name, **f.run.arms, "seed": f.run.spec.seed, **_end(f.record)}
                for f in self._found
            ]
        )
        if name == "runs":
            return index
        rows = to_frame(name, (self._store.table(r, name) for r in self.records.values() if name in r.tables))
        # A table's own columns come before the plan's axes of the same name.
        frame = index[[c for c in index if c == "run" or c not in (*rows, *_END)]].merge(rows, on="run")
        if name == "evaluation":
            # Another run's record may serve with some of its decays; what looks gave is of this run alone.
            wanted = {d for f in self._found if isinstance(f.run.spec, RunSpec) for d in f.run.spec.decays}
            frame = frame[frame["decay"].isna() | frame["decay"].isin(wanted)]
        if len(self._found) > len({id(f.run) for f in self._found}):
            # A trajectory recorded twice for different decays carries its common rows twice.
            measured = [c for c in frame if c in ("run", "loss", "accuracy")]
            frame = frame.drop_duplicates([c for c in frame if c not in measured])
        return frame.reset_index(drop=True)


_END = ("outcome", "diverged")


def _end(record: Record) -> dict[str, str | int]:
    return {"outcome": record.outcome, "diverged": int(record.outcome.startswith("diverged"))}
