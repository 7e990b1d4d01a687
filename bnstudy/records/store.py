"""Where records live: a folder a run, checksummed, never half-visible."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnstudy.records.arrays import ARRAYS, from_npy, to_npy
from bnstudy.records.files import write_folder
from bnstudy.records.gzipped import packed, unpacked
from bnstudy.records.kinds import read_spec
from bnstudy.records.spec import RunSpec, Spec
from bnstudy.records.tables import TABLES, Values, to_csv

if TYPE_CHECKING:
    from numpy.typing import NDArray

# 2: a CSV file a table. 3: with arrays, which version 2 can't read and must not take for its own.
# 4: what gzip makes smaller is compressed; the checksums are still those of what is inside.
FORMAT = 4
HEADER = "record.json"
GZIP = ".gz"
_TYPES = {"run": str, "spec": dict, "provenance": dict, "outcome": str, "tables": dict}


class RecordError(Exception):
    """A record is damaged, or can't be written; the message names the file."""


class NewerError(RecordError):
    """A record was written by a version that knows more than this one. It is left alone."""


@dataclass(frozen=True)
class Record:
    """One run: what it was, where it comes from, how it ended, and the SHA-256 of its tables by name.

    ``tables`` are checksums of the CSV and NPY that ``Store.content`` gives, whatever files they are kept in;
    which files those are, ``format`` decides.
    """

    spec: Spec
    provenance: dict[str, Any]
    outcome: str
    tables: dict[str, str]
    format: int = FORMAT


@dataclass
class Scan:
    """What a folder of records holds: the sound ones by name, and what is wrong with each other one.

    Those ``newer`` than this version are no less sound, but it can't read them.
    """

    sound: dict[str, Record] = field(default_factory=dict)
    damaged: dict[str, RecordError] = field(default_factory=dict)
    newer: dict[str, RecordError] = field(default_factory=dict)

    @cached_property
    def trajectories(self) -> dict[str, list[Record]]:
        """The sound records of training runs by their trajectory, once the scan is done."""
        found: dict[str, list[Record]] = {}
        for record in self.sound.values():
            if isinstance(record.spec, RunSpec):
                found.setdefault(record.spec.trajectory(), []).append(record)
        return found


class Store:
    """The records of one folder, ``runs/<name>/``: ``record.json``, a CSV file a table, an NPY file an array.

    Tables, and the arrays that it makes smaller, are gzip files; in records of versions before, they are not.
    A record's name is the first 16 hexadecimal digits of its run's id. Reading needs no torch
    and writes nothing.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).expanduser()
        self.runs = self.root / "runs"

    def path(self, spec: Spec) -> Path:
        """Return the folder where the record of ``spec`` is, or will be."""
        return self.runs / spec.name

    def write(
        self, spec: Spec, provenance: dict[str, Any], outcome: str, tables: Mapping[str, Values]
    ) -> Record:
        """Write a record whole or not at all: beside its place, synced to disk, then renamed.

        One process at a time may write a run (see ``bnstudy.records.lock``).

        Args:
            spec: the run.
            provenance: where its numbers come from.
            outcome: how it ended.
            tables: its tables (``bnstudy.records.tables``) and arrays (``bnstudy.records.arrays``), by name.

        Raises:
            RecordError: the disk is full, the folder read-only, or the run already recorded. Earlier
                records are untouched.
            ValueError: a table hasn't the columns that it must have, an array has another type or shape, or
                one of them is larger than a record can hold (1 GiB).
        """
        contents = {name: content_of(name, spec.name, values) for name, values in tables.items()}
        sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        record = Record(spec, provenance, outcome, sums)
        files = {file_of(name): as_kept(name, content) for name, content in contents.items()}
        target, partial = self.path(spec), self.partial(spec.name)
        try:
            self.clear(spec.name)
            write_folder(target, partial, {**files, HEADER: header_of(record)})
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise RecordError(f"can't write the record {target}: {error.strerror or error}") from error
        return record

    def read(self, name: str) -> Record:
        """Read one record and verify all of it.

        Raises:
            NewerError: it is intact, and says what this version doesn't know.
            RecordError: a file is missing, truncated or altered, or holds another run than its name says.
        """
        folder = self.runs / name
        try:
            record = _understood(folder, self._intact(folder))
            if name != record.spec.name:
                raise RecordError(
                    f"the record {folder} holds run {record.spec.name}, not the run that its name says"
                )
            for table in record.tables:
                self.content(record, table)
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise RecordError(f"the record {folder} is damaged: {error}") from error
        return record

    def content(self, record: Record, name: str) -> bytes:
        """Return a record's table as CSV, or its array as NPY, whether it is kept compressed or not.

        Raises:
            RecordError: it is missing or doesn't match its checksum.
        """
        folder = self.path(record.spec)
        try:
            try:
                return self._content(record, name)
            except FileNotFoundError:
                # It may have been compressed since its header was read.
                if record.format == FORMAT or self._intact(folder).get("format") != FORMAT:
                    raise
                return self._content(replace(record, format=FORMAT), name)
        except (OSError, ValueError, RecursionError) as error:
            raise RecordError(f"the record {folder} is damaged: {error}") from error

    def _content(self, record: Record, name: str) -> bytes:
        path = self.path(record.spec) / file_of(name, record.format)
        content = path.read_bytes()
        if path.suffix == GZIP:
            try:
                content = unpacked(content)
            except ValueError as error:
                raise ValueError(f"{path.name} can't be unpacked: {error}") from error
        if hashlib.sha256(content).hexdigest() != record.tables[name]:
            raise ValueError(f"{path.name} doesn't match its checksum")
        return content

    def table(self, record: Record, name: str) -> bytes:
        """Return a table of a record as CSV; raises as ``content`` does."""
        if name not in TABLES:
            raise ValueError(f"table is {name!r}; allowed: {', '.join(TABLES)}")
        return self.content(record, name)

    def array(self, record: Record, name: str) -> NDArray[Any]:
        """Return an array of a record, read-only; raises as ``content`` does."""
        try:
            return from_npy(name, self.content(record, name))
        except ValueError as error:
            raise RecordError(f"the record {self.path(record.spec)} is damaged: {error}") from error

    def _intact(self, folder: Path) -> dict[str, Any]:
        """Return a record's header as it was written, by whichever version."""
        content = (folder / HEADER).read_bytes()
        body = json.loads(content)
        if not isinstance(body, dict):
            raise ValueError(f"{HEADER} holds no object")
        if content != written(body):
            raise ValueError(f"{HEADER} doesn't match its checksum")
        del body["sha256"]
        return body

    def names(self) -> list[str]:
        """Return the names of all records, sound or not, in order."""
        # A link that leads nowhere is in a run's place too.
        return sorted(p.name for p in self.runs.glob("[!.]*") if p.is_dir() or p.is_symlink())

    def scan(self, names: Iterable[str] | None = None) -> Scan:
        """Read the records of these names that there are, or all; damage to one hides no other."""
        found = Scan()
        for name in self.names() if names is None else names:
            if not os.path.lexists(self.runs / name):
                continue
            try:
                found.sound[name] = self.read(name)
            except NewerError as error:
                found.newer[name] = error
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


def file_of(name: str, form: int = FORMAT) -> str:
    """Return the file name of a table or an array in a record of this format.

    Raises:
        ValueError: there is none of this name, such as one that leads out of the record's folder.
    """
    if name in TABLES:
        return f"{name}.csv{GZIP if form >= 4 else ''}"
    if name in ARRAYS:
        return f"{name}.npy{GZIP if form >= 4 and ARRAYS[name].gzipped else ''}"
    raise ValueError(f"table is {name!r}; allowed: {', '.join([*TABLES, *ARRAYS])}")


def as_kept(name: str, content: bytes) -> bytes:
    """Return the bytes of the file in which today's records keep a table's CSV or an array's NPY.

    Raises:
        ValueError: it is larger than a record can hold; the message names it.
    """
    if not file_of(name).endswith(GZIP):
        return content
    try:
        return packed(content)
    except ValueError as error:
        raise ValueError(f"table or array {name!r} is {error}") from error


def content_of(name: str, run: str, values: Values) -> bytes:
    """Return a run's table as CSV, or its array as NPY.

    Raises:
        ValueError: there is none of this name, or its columns, type or shape are others.
    """
    return to_csv(name, run, values) if isinstance(values, dict) else to_npy(name, values)


def header_of(record: Record) -> bytes:
    """Return a record's header as it is written."""
    return written(_body(record))


def _body(record: Record) -> dict[str, Any]:
    return {
        "format": record.format,
        "run": record.spec.run_id,
        "spec": json.loads(record.spec.canonical()),
        "provenance": record.provenance,
        "outcome": record.outcome,
        "tables": record.tables,
    }


def written(body: dict[str, Any]) -> bytes:
    """Return a header as it is written, in every format: with its checksum."""
    body = {key: value for key, value in body.items() if key != "sha256"}
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return (json.dumps({**body, "sha256": digest}, sort_keys=True, indent=1) + "\n").encode()


def _understood(folder: Path, body: dict[str, Any]) -> Record:
    """Return the record of an intact header."""
    if not all(isinstance(body[key], kind) for key, kind in _TYPES.items()):
        raise ValueError(f"{HEADER} isn't made up as it must be")
    known = isinstance(body["format"], int) and body["format"] <= FORMAT
    try:
        if not known or set(body) != {*_TYPES, "format"}:
            raise ValueError(f"format {body['format']!r}, with {', '.join(body)}")
        spec = read_spec(body["spec"])
        for name in body["tables"]:
            file_of(name)
    except ValueError as error:
        raise NewerError(
            f"the record {folder} says what this version doesn't know ({error}); upgrade bnstudy"
        ) from error
    record = Record(spec, body["provenance"], body["outcome"], body["tables"], body["format"])
    uncompressed = 3 if any(name in ARRAYS for name in record.tables) else 2
    if _body(record) != body or record.format not in (uncompressed, FORMAT):
        raise ValueError(f"{HEADER} doesn't say what it says it does")
    return record
