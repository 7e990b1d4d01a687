"""Records as judged quantities read them: by block, arm and seed, each table when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from bnstudy.analysis.judged.design import BLOCKS, CONFIRMATORY
from bnstudy.analysis.judged.training import Arm, Bytes, Training

Blocks = dict[str, dict[str, Arm]]

# Tables that say when a training ended.
_TIMED = ("training", "checkpoints", "hits_index")


class Source(NamedTuple):
    """A record: its spec, how it ended, the names of its tables, and how to get one, or the hits."""

    spec: Any
    outcome: str
    names: tuple[str, ...]
    table: Callable[[str], pd.DataFrame]
    hits: Callable[[], Bytes] | None = None


def blocks_of(sources: Iterable[Source]) -> Blocks:
    """Return the confirmatory ones of some records by block, arm and seed; what no block has is left out.

    Raises:
        ValueError: two records are of the same arm and seed, as with two learning rates; give those of the
            study alone.
    """
    found: dict[str, dict[str, dict[int, Training]]] = {}
    names: dict[tuple[str, str, int], str] = {}
    for source in sources:
        if source.spec.seed in CONFIRMATORY:
            for block, arm in places_of(source.spec):
                here = (block, arm, source.spec.seed)
                other = names.setdefault(here, source.spec.name)
                if other != source.spec.name:
                    raise ValueError(
                        f"records {other} and {source.spec.name} are both of block {block!r}, arm {arm!r}, "
                        f"seed {source.spec.seed}; allowed: one"
                    )
                found.setdefault(block, {}).setdefault(arm, {})[source.spec.seed] = _training(source)
    return {block: dict(arms) for block, arms in found.items()}


def places_of(spec: Any) -> list[tuple[str, str]]:
    """Return the blocks and arms that a run is one of, whatever its seed."""
    return [(block.name, arm) for block in BLOCKS.values() for arm in block.arms_of(spec)]


def _training(source: Source) -> Training:
    tables = _Tables(source)
    diverged = source.outcome.startswith("diverged")
    hits = source.hits() if source.hits is not None and "hits_index" in source.names else None
    return Training(diverged, _steps_per_epoch(source, tables, diverged), tables, hits)


def _steps_per_epoch(source: Source, tables: Mapping[str, pd.DataFrame], diverged: bool) -> float:
    epochs = getattr(source.spec, "epochs", None)
    there = [name for name in _TIMED if name in tables]
    if diverged or epochs is None or not there:
        return float("nan")
    # A table of a training may have every tenth step alone, and then ends before the last one, at which a
    # run that has looks is looked at.
    return float(max(tables[name]["step"].max() for name in there) / epochs)


class _Tables(Mapping[str, pd.DataFrame]):
    """The tables of a record by name, each read once, when it is first asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._read: dict[str, pd.DataFrame] = {}

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._source.names:
            raise KeyError(name)
        if name not in self._read:
            self._read[name] = self._source.table(name)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._source.names)

    def __len__(self) -> int:
        return len(self._source.names)
