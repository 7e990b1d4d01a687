"""What was read of a folder of records, kept for as long as its files stay as they were."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import bnstudy
from bnstudy.chapters.found import EXPERIMENTS
from bnstudy.chapters.loading import load
from bnstudy.chapters.once import in_build, once
from bnstudy.records.store import Record, Store
from bnstudy.study.equivalent import stale
from bnstudy.study.frames import Frames
from bnstudy.study.run import default_data_dir


def state_of_code() -> str:
    """Return a hash of names, sizes and times of change of all files of the package's code."""
    package = Path(bnstudy.__file__).parent
    files = ((str(path), path.stat()) for path in sorted(package.rglob("*.py")))
    return _hash([(name, there.st_size, there.st_mtime_ns) for name, there in files])


def state_of(store: Store) -> str:
    """Return a hash of names, sizes and times of change of all files of all records."""
    return _state_at_first(store.root.resolve()) if in_build() else _state(store)


@cache
def _state_at_first(root: Path) -> str:
    return _state(Store(root))


def _state(store: Store) -> str:
    found = []
    for folder in os.scandir(store.runs) if store.runs.is_dir() else ():
        for entry in os.scandir(folder) if folder.is_dir() else ():
            there = entry.stat(follow_symlinks=False)
            found.append((folder.name, entry.name, there.st_size, there.st_mtime_ns))
    return _hash(sorted(found))


def once_for(asked: Sequence[str], store: Store, make: Callable[[], Any]) -> Any:
    """Return what ``make`` makes of records; within a build it is called once for all processes.

    Other code, and so other rules, or other records are another question than ``asked``. The rules' own
    digests take longer than reading what was measured.
    """
    if not in_build():
        return make()
    return once([*asked, str(store.root.resolve()), state_of(store), state_of_code()], make)


def records_of(first_seeds: range, store: Store) -> tuple[Record, ...]:
    """Return the records of the runs of all studies whose first seed is one of these.

    Raises:
        RecordError: one of them is damaged.
    """
    return _records(first_seeds, store.root.resolve(), state_of(store))


def stale_of(frames: Frames) -> list[str]:
    """Return the names of the stale records behind tables; a build looks for them once, among all records.

    Raises:
        RecordError: ``sources.json`` is damaged.
    """
    if not in_build():
        return frames.stale
    store = Store(frames.root)
    found = once_for(["stale"], store, lambda: stale(store.scan().sound.values(), store))
    return sorted(frames.records.keys() & set(found))


def frames_of(block: str, data_dir: str | os.PathLike[str] = "", **parameters: Any) -> Frames:
    """Return a study's tables, as planned or with other parameters.

    Raises:
        SpecError: a parameter is unknown or out of range.
        NotRecordedError: a run is not recorded, or its record is damaged.
    """
    store = Store(data_dir or default_data_dir())
    if parameters:
        return load(block, store.root, **parameters)
    return _frames(block, store.root.resolve(), state_of(store))


def _hash(found: list[tuple[object, ...]]) -> str:
    # Python's own hash of strings is another in every process.
    return hashlib.sha256(repr(found).encode()).hexdigest()


@lru_cache(maxsize=2)
def _records(first_seeds: range, root: Path, state: str) -> tuple[Record, ...]:
    studies = [study for study in EXPERIMENTS.values() if study.first_seed in first_seeds]
    scan = Store(root).scan(dict.fromkeys(run.spec.name for study in studies for run in study().runs()))
    for error in scan.damaged.values():
        raise error
    return tuple(scan.sound.values())


@lru_cache(maxsize=8)
def _frames(block: str, root: Path, state: str) -> Frames:
    return load(block, root)
