"""Sources that were found to give the same records as another, bit for bit.

A change of the code that decides a run's numbers makes its records stale, also where it changes no number.
What shows that is to train some of the records again; which ones, and between which sources, is kept in
``sources.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from filelock import FileLock

from bnstudy.records.files import write_file
from bnstudy.records.spec import Spec
from bnstudy.records.store import Record, RecordError, Store
from bnstudy.study.deciding import all_defaults, kind_of, same_defaults, source_of

FILE = "sources.json"

Entry = dict[str, Any]


def stale(records: Iterable[Record], store: Store) -> list[str]:
    """Return the names of the records made by other code than today's, and none that gives the same.

    Raises:
        RecordError: ``sources.json`` is damaged.
    """
    entries = _entries(store)
    return sorted(r.spec.name for r in records if not _is_current(r, entries))


def count_as_today(store: Store, record: Record) -> bool:
    """Say whether the code that made a record gives the same numbers as today's, as far as is known.

    Raises:
        RecordError: ``sources.json`` is damaged.
    """
    return _is_current(record, _entries(store))


def accept(store: Store, source: str, spec: Spec, **found: Any) -> None:
    """Write down that today's code gives such runs again as ``source`` gave them, bit for bit.

    Args:
        store: whose ``sources.json`` is to say so.
        source: the digest that the records hold.
        spec: one of them: it counts for its kind, with its probes.
        found: what showed it.

    Raises:
        RecordError: the file is damaged, or can't be written.
    """
    entry = {
        "source": source,
        "same_as": source_of(spec),
        "of": kind_of(spec),
        "defaults": all_defaults(spec),
        **found,
    }
    path = store.root / FILE
    try:
        # Two processes may have something to add.
        with FileLock(store.root / ".locks" / f"{FILE}.lock"):
            write_file(path, (json.dumps([*_entries(store), entry], indent=1) + "\n").encode())
    except OSError as error:
        raise RecordError(f"can't write {path}: {error.strerror or error}") from error


def accept_drawn(store: Store, drawn: Sequence[Record], among: Iterable[Record]) -> list[str]:
    """Write down that today's code gave these records again; return a sentence for each source and kind.

    A source counts for a kind of run once two of its records came out the same, or all that there are.

    Raises:
        RecordError: the file is damaged, or can't be written.
    """
    there = _by_source_and_kind(among)
    said = []
    for (source, kind), again in _by_source_and_kind(drawn).items():
        total = len(there[source, kind])
        count = f"{len(again)} of {total} records of source {source} and kind {kind!r} came out the same"
        if len(again) < min(2, total):
            said.append(f"{count}: too few, so that they stay stale")
            continue
        names = sorted(record.spec.name for record in again)
        accept(store, source, again[0].spec, trained_again=names, records=total)
        said.append(f"{count}: all of them count as today's")
    return said


def _by_source_and_kind(records: Iterable[Record]) -> dict[tuple[str, str], list[Record]]:
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        key = str(record.provenance.get("source")), kind_of(record.spec)
        found.setdefault(key, []).append(record)
    return found


def _is_current(record: Record, entries: list[Entry]) -> bool:
    spec, made = record.spec, record.provenance
    kind = kind_of(spec)
    try:
        today = source_of(spec)
    except ValueError:
        return False  # of a network that isn't here
    mine = [entry for entry in entries if entry.get("of", kind) == kind]
    # The first records don't hold the defaults that they were made with; what carried them over does.
    reached: dict[Any, Any] = {made.get("source"): made.get("defaults")}
    todo = list(reached)
    while todo and today not in reached:
        source = todo.pop()
        for entry in mine:
            pair = (entry["source"], entry["same_as"])
            if source in pair:
                other = pair[source == pair[0]]
                if other not in reached:
                    known = reached[source]
                    reached[other] = entry.get("defaults") if known is None else known
                    todo.append(other)
    return today in reached and same_defaults(spec, reached[today] or {})


def _entries(store: Store) -> list[Entry]:
    path = store.root / FILE
    try:
        found: Any = json.loads(path.read_text())
        if not isinstance(found, list):
            raise ValueError("it holds no list")
        for entry in found:
            if not isinstance(entry, dict) or not {"source", "same_as"} <= set(entry):
                raise ValueError("an entry without source or same_as")
            if not isinstance(entry.get("defaults", {}), dict):
                raise ValueError("an entry whose defaults are no object")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path} is damaged: {error}") from error
    return found
