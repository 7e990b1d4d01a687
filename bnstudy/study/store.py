"""Where records live: one checksummed JSON file a run, never half-visible."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnstudy.spec import RunSpec

FORMAT = 1

Table = dict[str, list[Any]]


class RecordError(Exception):
    """A record is damaged, or can't be written; the message names the file."""


@dataclass(frozen=True)
class Record:
    """One run: what it was, where it comes from, how it ended and what was measured."""

    spec: RunSpec
    provenance: dict[str, Any]
    outcome: str
    tables: dict[str, Table]


class Store:
    """The records of one folder, ``runs/<run id>.json``. Reading it needs no torch."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.runs = self.root / "runs"

    def path(self, spec: RunSpec) -> Path:
        """Return where the record of ``spec`` is, or will be."""
        return self.runs / f"{spec.run_id}.json"

    def write(self, record: Record) -> Path:
        """Write a record atomically: a temporary file beside it, synced to disk, then renamed.

        Raises:
            RecordError: the disk is full or the folder read-only. Earlier records are untouched.
        """
        body = {
            "format": FORMAT,
            "spec": record.spec.model_dump(mode="json"),
            "provenance": record.provenance,
            "outcome": record.outcome,
            "tables": record.tables,
        }
        text = json.dumps({**body, "sha256": _checksum(body)}, sort_keys=True, allow_nan=True, indent=None)
        target = self.path(record.spec)
        temporary: Path | None = None
        try:
            self.runs.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.runs, suffix=".tmp")
            temporary = Path(name)
            with os.fdopen(handle, "w") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            os.replace(temporary, target)
        except OSError as error:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
            raise RecordError(f"can't write the record {target}: {error.strerror or error}") from error
        _sync_folder(self.runs)
        return target

    def read(self, path: Path) -> Record:
        """Read and verify one record.

        Raises:
            RecordError: the file is truncated, altered, or not the run that its name says.
        """
        try:
            body = json.loads(path.read_text())
            found = body.pop("sha256")
            if found != _checksum(body):
                raise RecordError(f"the record {path} is damaged: its content doesn't match its checksum")
            if body["format"] != FORMAT:
                raise RecordError(
                    f"the record {path} has format {body['format']!r}; this version reads {FORMAT}"
                )
            record = Record(RunSpec(**body["spec"]), body["provenance"], body["outcome"], body["tables"])
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise RecordError(f"the record {path} is damaged: {error}") from error
        if path.stem != record.spec.run_id:
            raise RecordError(
                f"the record {path} holds run {record.spec.run_id}, not the run that its name says"
            )
        return record

    def records(self) -> Iterator[Record]:
        """Yield every record, in order of run id."""
        for path in sorted(self.runs.glob("*.json")):
            yield self.read(path)


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, allow_nan=True).encode()).hexdigest()


def _sync_folder(folder: Path) -> None:
    # A rename survives a power cut only once the folder itself is on disk.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
