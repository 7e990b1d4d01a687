"""Records of earlier versions rewritten with compressed files: the same content in a third of the room."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from bnstudy.records.files import remove, write_file
from bnstudy.records.lock import RunLock
from bnstudy.records.package import describe, is_current
from bnstudy.records.store import FORMAT, HEADER, Record, RecordError, Store, as_kept, file_of, header_of


@dataclass
class Compressed:
    """What became of the records, by name.

    * ``rewritten``: with compressed files, or rid of what a killed call left beside them.
    * ``already``: so before.
    * ``in_use``: left, since another process has them.
    * ``damaged``, ``newer``: left, with what is wrong.
    * ``before``, ``after``: bytes of all files of the sound ones.
    """

    rewritten: list[str] = field(default_factory=list)
    already: list[str] = field(default_factory=list)
    in_use: list[str] = field(default_factory=list)
    damaged: dict[str, RecordError] = field(default_factory=dict)
    newer: dict[str, RecordError] = field(default_factory=dict)
    before: int = 0
    after: int = 0

    @property
    def complete(self) -> bool:
        """Whether every record is compressed now."""
        return not (self.in_use or self.damaged or self.newer)


def compress(store: Store) -> Compressed:
    """Rewrite every sound record that isn't compressed, then describe them all again.

    A record is whole at any moment: its compressed files are written beside the others and read back, its new
    header takes the old one's place, and only then goes what the new header doesn't name. What a killed call
    left behind goes as well.

    Raises:
        RecordError: a file can't be written. All that was recorded can still be read.
    """
    done = Compressed()
    for name in store.names():
        _compress(store, name, done)
    scan = store.scan()
    if scan.sound and not is_current(store, scan):
        describe(store)
    return done


def _compress(store: Store, name: str, done: Compressed) -> None:
    record = _sound(store, name, done)
    if record is None:
        return
    folder = store.path(record.spec)
    if record.format == FORMAT and not _left_over(folder, record):
        done.already.append(name)
        size = _size(folder)
        done.before, done.after = done.before + size, done.after + size
        return
    lock = RunLock(store, name)
    if not lock.acquire():
        done.in_use.append(name)
        return
    try:
        # Another process may have compressed it, or set it aside, since it was looked at.
        record = _sound(store, name, done)
        if record is None:
            return
        done.before += _size(folder)
        if record.format != FORMAT:
            record = _rewrite(store, record)
        for path in _left_over(folder, record):
            remove(path)
        done.after += _size(folder)
        done.rewritten.append(name)
    finally:
        lock.release()


def _sound(store: Store, name: str, done: Compressed) -> Record | None:
    found = store.scan([name])
    done.damaged |= found.damaged
    done.newer |= found.newer
    return found.sound.get(name)


def _rewrite(store: Store, record: Record) -> Record:
    folder = store.path(record.spec)
    new = replace(record, format=FORMAT)
    kept = {file_of(table, record.format) for table in record.tables}
    tables = [table for table in record.tables if file_of(table) not in kept]
    try:
        for table in tables:
            write_file(folder / file_of(table), as_kept(table, store.content(record, table)))
            store.content(new, table)  # it reads back as it was
    except (OSError, ValueError, RecordError) as error:
        for table in tables:
            remove(folder / file_of(table))
        raise _refused(folder, error) from error
    try:
        write_file(folder / HEADER, header_of(new))
    except OSError as error:
        # Whichever header is there now, the files that it names are there too.
        raise _refused(folder, error) from error
    return new


def _refused(folder: Path, error: Exception) -> RecordError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return RecordError(f"can't compress the record {folder}: {reason}; nothing of it is lost")


def _left_over(folder: Path, record: Record) -> list[Path]:
    """Return a compressed record's files of earlier formats, and those that a killed writer began."""
    plain = {file_of(table, 3) for table in record.tables} - {file_of(table) for table in record.tables}
    files = [folder / file for file in sorted(plain) if (folder / file).is_file()]
    return [*files, *sorted(folder.glob(".*.partial"))]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
