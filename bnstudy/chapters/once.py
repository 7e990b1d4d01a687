"""What a build of the book works out once, for all of its processes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

# The folder in which a build keeps what its first process worked out, for all the others.
ONCE = "BNSTUDY_MEASURED"


def in_build() -> bool:
    """Say whether this is a process of a build: records and code stay as they were at its beginning."""
    return bool(os.environ.get(ONCE))


def once(asked: Sequence[str], make: Callable[[], Any]) -> Any:
    """Return what ``make`` returns, which JSON can hold; it is called once for all processes of this build.

    ``asked`` is all that the answer depends on: the same words get the same answer.
    """
    kept = Path(os.environ[ONCE], hashlib.sha256("\n".join(asked).encode()).hexdigest()[:16] + ".json")
    with FileLock(kept.with_suffix(".lock")):
        if not kept.exists():
            kept.write_text(json.dumps(make()))
        return json.loads(kept.read_text())
