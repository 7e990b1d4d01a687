"""What runs failed with, until they succeed: ``failures/<name>.json``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

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
    partial = target.with_suffix(".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(body, indent=1) + "\n")
        os.replace(partial, target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RecordError(f"can't write the failure {target}: {error.strerror or error}") from error
    return target


def read(store: Store, name: str) -> dict[str, Any] | None:
    """Return what a run failed with when it last ran, or None."""
    try:
        body = json.loads(path(store, name).read_text())
    except (OSError, ValueError):
        return None
    return body if isinstance(body, dict) else None


def forget(store: Store, name: str) -> None:
    """Remove the failure of a run that has succeeded since."""
    path(store, name).unlink(missing_ok=True)
