"""What runs failed with, until they succeed: ``failures/<name>.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bnstudy.records.files import remove, write_file
from bnstudy.records.spec import Spec
from bnstudy.records.store import RecordError, Store
from bnstudy.study.work import Failed


def path(store: Store, name: str) -> Path:
    """Return where the failure of a run is written."""
    return store.root / "failures" / f"{name}.json"


def write(store: Store, spec: Spec, failure: Failed) -> Path:
    """Write what a run failed with, in place of what it failed with before.

    Raises:
        RecordError: the disk is full or the folder read-only.
    """
    target = path(store, spec.name)
    body = {
        "run": spec.run_id,
        "spec": json.loads(spec.canonical()),
        "error": failure.error,
        "traceback": failure.traceback.splitlines(),
    }
    try:
        write_file(target, (json.dumps(body, indent=1) + "\n").encode())
    except OSError as error:
        raise RecordError(f"can't write the failure {target}: {error.strerror or error}") from error
    return target


def read(store: Store, name: str) -> dict[str, Any] | None:
    """Return what a run failed with when it last ran, or None."""
    try:
        body = json.loads(path(store, name).read_text())
    except (OSError, ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) and isinstance(body.get("error"), str) else None


def forget(store: Store, name: str) -> None:
    """Remove the failure of a run that has succeeded since."""
    remove(path(store, name))
