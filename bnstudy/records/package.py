"""``data/`` described for everyone: an index of the runs, and a Frictionless data package.

Neither adds anything to the records, and both are made from them. Specification:
https://datapackage.org/standard/data-package/
"""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import bnstudy
from bnstudy.records.store import Record, RecordError, Store
from bnstudy.records.tables import RUNS, TABLES, Column

INDEX = "runs.csv"
DESCRIPTOR = "datapackage.json"


def describe(store: Store) -> None:
    """Write ``runs.csv`` and ``datapackage.json`` beside the records; damaged records are left out.

    Raises:
        RecordError: a file can't be written; the records are untouched.
    """
    for name, content in contents(store).items():
        partial = store.root / f".{name}.{os.getpid()}.partial"
        try:
            partial.write_text(content)
            os.replace(partial, store.root / name)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise RecordError(f"can't write {store.root / name}: {error.strerror or error}") from error


def is_current(store: Store) -> bool:
    """Say whether both files describe the records that are there."""
    return all(_text(store.root / name) == content for name, content in contents(store).items())


def contents(store: Store) -> dict[str, str]:
    """Return what both files must hold, by file name."""
    records = list(store.scan().sound.values())
    return {INDEX: _index(records), DESCRIPTOR: json.dumps(_descriptor(records), indent=1) + "\n"}


def _index(records: list[Record]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, [column.name for column in RUNS], lineterminator="\n")
    writer.writeheader()
    for record in records:
        spec = json.loads(record.spec.model_dump_json())
        made = record.provenance
        flags = {name: str(value).lower() for name, value in spec.items() if isinstance(value, bool)}
        lists = {name: json.dumps(value) for name, value in spec.items() if isinstance(value, list)}
        writer.writerow(
            {
                "run": record.spec.name,
                "id": record.spec.run_id,
                "outcome": record.outcome,
                **spec,
                **flags,
                **lists,
                **{name: made[name] for name in ("bnstudy", "source", "device", "threads", "wall_seconds")},
                "commit": made["git"]["commit"],
                "torch": made["libraries"]["torch"],
            }
        )
    return out.getvalue()


def _descriptor(records: list[Record]) -> dict[str, Any]:
    tables = {
        name: paths
        for name in TABLES
        if (paths := [f"runs/{r.spec.name}/{name}.csv" for r in records if name in r.tables])
    }
    return {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": "bnstudy",
        "title": "Batch normalization, measured: the recorded runs",
        "description": "One folder a run under runs/, with record.json (specification, provenance, "
        "checksums) and its tables. A table's files, put together, are one tidy table.",
        "version": bnstudy.__version__,
        "licenses": [{"name": "MIT", "path": "https://opensource.org/license/mit"}],
        "resources": [
            _resource("runs", INDEX, RUNS, {"primaryKey": ["run"]}),
            *(_resource(name, paths, TABLES[name], _of_runs()) for name, paths in tables.items()),
        ],
    }


def _of_runs() -> dict[str, Any]:
    return {"foreignKeys": [{"fields": ["run"], "reference": {"resource": "runs", "fields": ["run"]}}]}


def _resource(
    name: str, path: str | list[str], columns: tuple[Column, ...], keys: dict[str, Any]
) -> dict[str, Any]:
    fields = [{"name": c.name, "type": c.kind, "description": c.meaning, "unit": c.unit} for c in columns]
    return {
        "name": name,
        "type": "table",
        "path": path,
        "scheme": "multipart" if isinstance(path, list) and len(path) > 1 else "file",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": {"fields": fields, "missingValues": [""], **keys},
    }


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
