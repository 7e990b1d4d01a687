"""Sphinx extension: numbers that open, and the records behind them, published beside the book."""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
import zipfile
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


def fingerprint(data: Path, files: list[Path]) -> str:
    """Return a digest of which files there are, how large they are and when they were written."""
    told = hashlib.sha256()
    for file in (*files, Path(DESCRIPTOR), Path(INDEX)):
        if (data / file).is_file():
            stat = (data / file).stat()
            told.update(f"{file.as_posix()} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return told.hexdigest()


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


def publish(data: Path, target: Path, last: str = "") -> str:
    """Bring the records in ``data`` to ``target``, unless their fingerprint is ``last``; return it.

    They are copied and not linked: what somebody does to the site must not touch them.
    """
    files = listed(data)
    now = fingerprint(data, files)
    if now == last and (target / ZIP).is_file():
        return now
    shutil.rmtree(target, ignore_errors=True)
    for folder in {file.parent for file in files}:
        (target / folder).mkdir(parents=True)
    target.mkdir(parents=True, exist_ok=True)
    contents = {file.as_posix(): (data / file).read_bytes() for file in files} | described(data, files)
    for name, content in contents.items():
        (target / name).write_bytes(content)
    (target / ZIP).write_bytes(pack(contents))
    return now


def _publish(app: Any, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        # Beside the doctrees, as what else is kept between builds.
        kept = Path(app.doctreedir) / "records.txt"
        last = kept.read_text() if kept.is_file() else ""
        kept.write_text(publish(Path(app.srcdir) / "data", Path(app.outdir) / RECORDS, last))


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_js_file("numbers.js")
    app.add_css_file("numbers.css")
    app.connect("build-finished", _publish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
