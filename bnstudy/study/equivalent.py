"""Sources that were found to give the same records as another, bit for bit.

A change of the deciding source makes every record stale, also where it changes no number. What shows that
is to train some of the records again; which ones, and between which sources, is kept in ``sources.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from bnstudy.records.provenance import source_digest
from bnstudy.records.store import Record, RecordError, Store

FILE = "sources.json"

Entry = dict[str, Any]


def equivalents(store: Store) -> frozenset[str]:
    """Return the digests of today's source and of all that were found to give the same records.

    Raises:
        RecordError: the file is damaged.
    """
    known = {source_digest()}
    pairs = [{entry["source"], entry["same_as"]} for entry in _entries(store)]
    # A source that equals one that equals today's.
    while joined := [pair for pair in pairs if pair & known and not pair <= known]:
        known.update(*joined)
    return frozenset(known)


def stale(records: Iterable[Record], store: Store) -> list[str]:
    """Return the names of the records made by other source than today's, and none that gives the same."""
    current = equivalents(store)
    return sorted(r.spec.name for r in records if r.provenance.get("source") not in current)


def accept(store: Store, again: Sequence[Record]) -> list[str]:
    """Write down that today's source gave these records again, bit for bit; return their sources.

    Raises:
        RecordError: the file can't be written.
    """
    today = source_digest()
    entries = _entries(store)
    sources = sorted({str(record.provenance["source"]) for record in again} - {today})
    for source in sources:
        runs = sorted(r.spec.name for r in again if r.provenance["source"] == source)
        entries.append({"source": source, "same_as": today, "trained_again": runs})
    try:
        (store.root / FILE).write_text(json.dumps(entries, indent=1) + "\n")
    except OSError as error:
        raise RecordError(f"can't write {store.root / FILE}: {error.strerror or error}") from error
    return sources


def _entries(store: Store) -> list[Entry]:
    path = store.root / FILE
    try:
        found: list[Entry] = json.loads(path.read_text())
        if not all({"source", "same_as"} <= set(entry) for entry in found):
            raise ValueError("an entry without source or same_as")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise RecordError(f"{path} is damaged: {error}") from error
    return found
