"""JSON objects that hold the checksum of the rest of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEY = "sha256"


def sealed(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with its checksum: the SHA-256 of its JSON with sorted keys, without itself."""
    rest = {key: value for key, value in body.items() if key != KEY}
    return {**rest, KEY: hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()}


def read_sealed(path: Path) -> dict[str, Any]:
    """Return the object of a file, without its checksum, which must be the right one.

    Raises:
        OSError: the file can't be read.
        ValueError: it holds no such object, or another than it was.
    """
    try:
        body = json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(body, dict) or sealed(body) != body:
        raise ValueError(f"{path} is damaged: it doesn't match its checksum")
    del body[KEY]
    return body
