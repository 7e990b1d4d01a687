"""Files that are written whole or not at all, and are on the disk once they are there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def write_file(path: Path, content: bytes) -> None:
    """Write a file in place of the one that is there; a reader sees one or the other.

    Raises:
        OSError: the disk is full or the folder read-only. The file that was there still is.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(partial, content)
        os.replace(partial, path)
        _sync_folder(path.parent)
    except OSError:
        remove(partial)
        raise


def write_folder(folder: Path, partial: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder that isn't there yet, by way of ``partial`` beside it.

    Raises:
        OSError: the disk is full, the parent read-only, or ``folder`` is there. Nothing is left then.
    """
    partial.mkdir(parents=True)
    for name, content in files.items():
        _write(partial / name, content)
    _sync_folder(partial)
    partial.rename(folder)
    _sync_folder(folder.parent)


def remove(path: Path) -> None:
    """Remove a file, if it is there and can be removed."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    # A rename survives a power cut only once the folder itself is on disk.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
