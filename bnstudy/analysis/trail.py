"""What a measure reads and compares on its way to one value a seed: what a number on a page opens to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

import pandas as pd

from bnstudy.analysis.statistics import seeds_of


@dataclass(frozen=True)
class Trail:
    """Where values came from, all in the order of the values; empty where it isn't known.

    ``seeds`` has the seed of each value. ``first`` and ``second`` are what was subtracted from one another,
    in the values' own unit. ``runs`` are the names of the records that were read of each seed: all those
    among which the measure looked, as the rates of which it took the best.
    """

    seeds: Sequence[int] = ()
    first: Sequence[float] = ()
    second: Sequence[float] = ()
    runs: Sequence[Sequence[str]] = ()

    def every_run(self) -> list[str]:
        """Return the names of all records that were read, each once, in order."""
        return sorted({run for runs in self.runs for run in runs})


NO_TRAIL = Trail()


def trail_of(runs: Iterable[tuple[int, str]]) -> Trail:
    """Return the trail of runs whose seeds and names are given: their records by seed, in order."""
    by_seed: dict[int, list[str]] = {}
    for seed, run in runs:
        by_seed.setdefault(int(seed), []).append(str(run))
    seeds = sorted(by_seed)
    return Trail(seeds, runs=[sorted(by_seed[seed]) for seed in seeds])


Pair = tuple["pd.Series[float]", "pd.Series[float]"]

_pairs: ContextVar[list[Pair] | None] = ContextVar("pairs", default=None)


class Watched(Mapping[str, pd.DataFrame]):
    """A study's tables, and the rows of them that were read."""

    def __init__(self, tables: Mapping[str, pd.DataFrame]) -> None:
        self._tables = tables
        self.read: list[pd.DataFrame] = []

    def __getitem__(self, name: str) -> pd.DataFrame:
        self.read.append(self._tables[name])
        return self.read[-1]

    def __contains__(self, name: object) -> bool:
        return name in self._tables

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def narrow(self, chosen: pd.DataFrame) -> None:
        """Note that of the table that was read last only these rows were looked at."""
        self.read[-1] = chosen


def note_pair(first: pd.Series[float], second: pd.Series[float]) -> None:
    """Note what is subtracted from what, if somebody follows."""
    pairs = _pairs.get()
    if pairs is not None:
        pairs.append((first, second))


def follow(
    measure: Callable[[Mapping[str, pd.DataFrame]], pd.Series[float]], tables: Mapping[str, pd.DataFrame]
) -> tuple[list[float], Trail]:
    """Return what a measure makes of a study's tables, one value a seed, and its trail."""
    watched = Watched(tables)
    token = _pairs.set([])
    try:
        found = measure(watched)
        pairs = _pairs.get() or []
    finally:
        _pairs.reset(token)
    values = [float(value) for value in found]
    seeds = seeds_of(found)
    first, second = _behind(found, pairs)
    return values, Trail(seeds, first, second, _runs_of(seeds, watched.read))


def _behind(found: pd.Series[float], pairs: Sequence[Pair]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the last pair whose difference the values are; none if the measure went on from there."""
    for first, second in reversed(pairs):
        difference = first - second
        if difference.index.equals(found.index) and difference.equals(found.astype(difference.dtype)):
            aligned = (series.reindex(found.index) for series in (first, second))
            one, other = (tuple(float(value) for value in series) for series in aligned)
            return one, other
    return (), ()


def _runs_of(seeds: Sequence[int], read: Sequence[pd.DataFrame]) -> tuple[tuple[str, ...], ...]:
    found: dict[int, set[str]] = {}
    for table in read:
        if not {"run", "seed"} <= set(table.columns):
            continue
        for run, seed in table[["run", "seed"]].drop_duplicates().itertuples(index=False):
            found.setdefault(int(seed), set()).add(str(run))
    if not found or not set(seeds) <= set(found):
        return ()
    return tuple(tuple(sorted(found[seed])) for seed in seeds)
