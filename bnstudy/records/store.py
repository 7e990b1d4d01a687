"""Where records live: a folder a run, checksummed, never half-visible."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bnstudy.other_specs import read_spec
from bnstudy.records.spec import Spec
from bnstudy.records.tables import Table, to_csv

FORMAT = 2
HEADER = "record.json"


class RecordError(Exception):
    """A record is damaged, or can't be written; the message names the file."""


@dataclass(frozen=True)
class Record:
    """One run: what it was, where it comes from, how it ended, and the SHA-256 of its tables by name."""

    spec: Spec
    provenance: dict[str, Any]
    outcome: str
    tables: dict[str, str]


@dataclass
class Scan:
    """What a folder of records holds: the sound ones by name, and what is wrong with each other one."""

    sound: dict[str, Record] = field(default_factory=dict)
    damaged: dict[str, RecordError] = field(default_factory=dict)


class Store:
    """The records of one folder, ``runs/<name>/``: ``record.json`` and one CSV file a table.

    A record's name is the first 16 hexadecimal digits of its run's id. Reading needs no torch
    and writes nothing.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.runs = self.root / "runs"

    def path(self, spec: Spec) -> Path:
        """Return the folder where the record of ``spec`` is, or will be."""
        return self.runs / spec.name

    def write(self, spec: Spec, provenance: dict[str, Any], outcome: str, tables: dict[str, Table]) -> Record:
        """Write a record whole or not at all: beside its place, synced to disk, then renamed.

        One process at a time may write a run (see ``bnstudy.records.lock``).

        Raises:
            RecordError: the disk is full, the folder read-only, or the run already recorded. Earlier
                records are untouched.
            ValueError: a table hasn't the columns that it must have.
        """
        files = {f"{name}.csv": to_csv(name, spec.name, table) for name, table in tables.items()}
        sums = {name: hashlib.sha256(files[f"{name}.csv"]).hexdigest() for name in tables}
        record = Record(spec, provenance, outcome, sums)
        files[HEADER] = _header(record)
        target, partial = self.path(spec), self.partial(spec.name)
        try:
            self.clear(spec.name)
            partial.mkdir(parents=True)
            for name, content in files.items():
                with (partial / name).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            _sync_folder(partial)
            partial.rename(target)
            _sync_folder(self.runs)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise RecordError(f"can't write the record {target}: {error.strerror or error}") from error
        return record

    def read(self, name: str) -> Record:
        """Read one record and verify all of it.

        Raises:
            RecordError: a file is missing, truncated or altered, or holds another run than its name says.
        """
        folder = self.runs / name
        try:
            content = (folder / HEADER).read_bytes()
            body = json.loads(content)
            if body["format"] != FORMAT:
                raise RecordError(
                    f"the record {folder} has format {body['format']!r}; this version reads {FORMAT}"
                )
            record = Record(read_spec(body["spec"]), body["provenance"], body["outcome"], body["tables"])
            if content != _header(record):
                raise RecordError(f"the record {folder} is damaged: {HEADER} doesn't match its checksum")
            if name != record.spec.name:
                raise RecordError(
                    f"the record {folder} holds run {record.spec.name}, not the run that its name says"
                )
            for table in record.tables:
                self.table(record, table)
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise RecordError(f"the record {folder} is damaged: {error}") from error
        return record

    def table(self, record: Record, name: str) -> bytes:
        """Return a table of a record as CSV.

        Raises:
            RecordError: its file is missing or doesn't match its checksum.
        """
        path = self.path(record.spec) / f"{name}.csv"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise RecordError(f"the record {path.parent} is damaged: {error}") from error
        if hashlib.sha256(content).hexdigest() != record.tables[name]:
            raise RecordError(f"the record {path.parent} is damaged: {path.name} doesn't match its checksum")
        return content

    def names(self) -> list[str]:
        """Return the names of all records, sound or not, in order."""
        return sorted(path.name for path in self.runs.glob("[!.]*") if path.is_dir())

    def scan(self, names: Iterable[str] | None = None) -> Scan:
        """Read the records of these names that there are, or all; damage to one hides no other."""
        found = Scan()
        for name in self.names() if names is None else names:
            if not (self.runs / name).exists():
                continue
            try:
                found.sound[name] = self.read(name)
            except RecordError as error:
                found.damaged[name] = error
        return found

    def records(self) -> Iterator[Record]:
        """Yield every record, in order of name.

        Raises:
            RecordError: the first damaged one.
        """
        for name in self.names():
            yield self.read(name)

    def set_aside(self, name: str) -> Path:
        """Move a damaged record to ``damaged/``, out of the way of its next run; return where it is now."""
        folder = self.root / "damaged"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            target = next(p for i in range(10**6) if not (p := folder / f"{name}.{i}").exists())
            (self.runs / name).rename(target)
        except OSError as error:
            raise RecordError(f"can't set aside {self.runs / name}: {error.strerror or error}") from error
        return target

    def partial(self, name: str) -> Path:
        """Return where a record is while it is being written; no reader looks there."""
        return self.runs / f".{name}.partial"

    def clear(self, name: str) -> None:
        """Remove what a killed writer of this run left behind."""
        shutil.rmtree(self.partial(name), ignore_errors=True)


def _header(record: Record) -> bytes:
    body = {
        "format": FORMAT,
        "run": record.spec.run_id,
        "spec": json.loads(record.spec.canonical()),
        "provenance": record.provenance,
        "outcome": record.outcome,
        "tables": record.tables,
    }
    body["sha256"] = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return (json.dumps(body, sort_keys=True, indent=1) + "\n").encode()


def _sync_folder(folder: Path) -> None:
    # A rename survives a power cut only once the folder itself is on disk.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
