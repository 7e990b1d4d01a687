"""``data/`` described for everyone: an index of the runs, and a Frictionless data package.

Neither adds anything to the records, and both are made from them. Specification:
https://datapackage.org/standard/data-package/
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bnstudy
from bnstudy.records.arrays import ARRAYS
from bnstudy.records.files import write_file
from bnstudy.records.store import GZIP, Record, RecordError, Scan, Store, file_of
from bnstudy.records.tables import RUNS, TABLES, Column

INDEX = "runs.csv"
DESCRIPTOR = "datapackage.json"


def describe(store: Store) -> Scan:
    """Write ``runs.csv`` and ``datapackage.json`` beside the records, and return what was found of these.

    Records that are damaged, or newer than this version, are left out.

    Raises:
        RecordError: a file can't be written; the records are untouched.
    """
    scan = store.scan()
    for name, content in _contents(scan).items():
        try:
            write_file(store.root / name, content.encode())
        except OSError as error:
            raise RecordError(f"can't write {store.root / name}: {error.strerror or error}") from error
    return scan


def is_current(store: Store, scan: Scan | None = None) -> bool:
    """Say whether both files describe the records that are there; ``scan`` is of all of them, if at hand."""
    return all(
        _text(store.root / name) == content for name, content in _contents(scan or store.scan()).items()
    )


def contents(store: Store) -> dict[str, str]:
    """Return what both files must hold, by file name."""
    return _contents(store.scan())


def _contents(scan: Scan) -> dict[str, str]:
    records = list(scan.sound.values())
    return {INDEX: _index(records), DESCRIPTOR: json.dumps(_descriptor(records), indent=1) + "\n"}


_OF_PROVENANCE = ("bnstudy", "date", "source", "device", "threads", "wall_seconds")


def _inner(made: dict[str, Any], outer: str, name: str) -> Any:
    found = made.get(outer)
    return found.get(name) if isinstance(found, dict) else None


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
                **{name: made.get(name) for name in _OF_PROVENANCE},
                "commit": _inner(made, "git", "commit"),
                "torch": _inner(made, "libraries", "torch"),
            }
        )
    return out.getvalue()


def _descriptor(records: list[Record]) -> dict[str, Any]:
    tables, arrays = (_paths(kind, records) for kind in (TABLES, ARRAYS))
    return {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": "bnstudy",
        "title": "Batch normalization, measured: the recorded runs",
        "description": "One folder a run under runs/, with record.json (specification, provenance, "
        "checksums), its tables and its arrays. A table's files, put together, are one tidy table; an "
        "array's are NumPy's, one a run.",
        "version": bnstudy.__version__,
        "licenses": [{"name": "MIT", "path": "https://opensource.org/license/mit"}],
        "resources": [
            _resource("runs", INDEX, RUNS, {"primaryKey": ["run"]}),
            *(_resource(name, paths, TABLES[name], _of_runs()) for name, paths in tables.items()),
            *(_array(name, paths) for name, paths in arrays.items()),
        ],
    }


def _paths(names: Iterable[str], records: list[Record]) -> dict[str, list[str]]:
    """Return the files of each table or array that some record has."""
    found = {
        name: [f"runs/{r.spec.name}/{file_of(name, r.format)}" for r in records if name in r.tables]
        for name in names
    }
    return {name: paths for name, paths in found.items() if paths}


def _array(name: str, paths: list[str]) -> dict[str, Any]:
    kind = ARRAYS[name]
    return {
        "name": name,
        "path": paths,
        **_compression(paths),
        "format": "npy",
        "mediatype": "application/x-npy",
        "description": f"{kind.meaning}. {kind.dtype}, axes: {'; '.join(kind.axes)}. Unit: {kind.unit}",
    }


def _compression(paths: list[str]) -> dict[str, str]:
    # Of files of both kinds none can be said; their names tell.
    return {"compression": "gz"} if all(path.endswith(GZIP) for path in paths) else {}


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
        **_compression([path] if isinstance(path, str) else path),
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
