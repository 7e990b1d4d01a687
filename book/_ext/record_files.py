"""Sphinx extension: numbers that open, and the records behind them, published beside the book."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from bnstudy.analysis.page import RECORDS
from bnstudy.records.package import DESCRIPTOR, INDEX
from bnstudy.records.package import contents as describe
from bnstudy.records.store import HEADER, Store

ZIP = "records.zip"
# Deflate takes much off headers and plain tables. Off what gzip has had, and off weights, little.
STORED = {".npy", ".gz"}


def listed(data: Path) -> list[Path]:
    """Return every file of every record that is there whole, relative to ``data``, in order."""
    headers = sorted(data.glob(f"runs/[!.]*/{HEADER}"))
    files = [file for header in headers for file in sorted(header.parent.iterdir()) if file.is_file()]
    return [file.relative_to(data) for file in files]


def described(data: Path, files: list[Path]) -> dict[str, bytes]:
    """Return the package's description of the records, by file name: as it lies there, if it is of these."""
    names = {file.parts[1] for file in files}
    try:
        there = {name: (data / name).read_bytes() for name in (DESCRIPTOR, INDEX)}
        rows = csv.DictReader(io.StringIO(there[INDEX].decode()))
        if {row["run"] for row in rows} == names:
            return there
    except (OSError, KeyError):
        pass
    return {name: text.encode() for name, text in describe(Store(data)).items()}


def pack(inside: dict[str, bytes]) -> bytes:
    """Return a ZIP archive of files by name: the same bytes for the same contents."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(inside):
            # Neither when a file was written nor by whom is in it.
            entry = zipfile.ZipInfo(f"bnstudy-records/{name}", (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            entry.compress_type = zipfile.ZIP_STORED if Path(name).suffix in STORED else zipfile.ZIP_DEFLATED
            archive.writestr(entry, inside[name])
    return out.getvalue()


def publish(data: Path, target: Path) -> None:
    """Bring the records in ``data`` to ``target``; what lies there as it should is left alone.

    They are copied and not linked: what somebody does to the site must not touch them. A file that is there
    isn't made anew, since a file system without a journal is slow to make thousands of files where as many
    were deleted a moment before.
    """
    files = listed(data)
    contents = {file.as_posix(): (data / file).read_bytes() for file in files}
    made = described(data, files)
    made[ZIP] = pack(contents | made)
    wanted = contents.keys() | made.keys()
    for there in [path for path in target.rglob("*") if path.is_file()]:
        if there.relative_to(target).as_posix() not in wanted:
            there.unlink()
    for folder in {target, *(target / file.parent for file in files)}:
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        _bring(data / name, target / name, content)
    for name, content in made.items():
        (target / name).write_bytes(content)


def _bring(source: Path, copy: Path, content: bytes) -> None:
    asked = source.stat()
    with suppress(FileNotFoundError):
        there = copy.stat()
        if (there.st_size, there.st_mtime_ns) == (asked.st_size, asked.st_mtime_ns):
            return
    copy.write_bytes(content)
    os.utime(copy, ns=(asked.st_atime_ns, asked.st_mtime_ns))


def _publish(app: Any, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        publish(Path(app.srcdir) / "data", Path(app.outdir) / RECORDS)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_js_file("numbers.js")
    app.add_css_file("numbers.css")
    app.connect("build-finished", _publish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
