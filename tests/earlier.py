"""Records as versions before compression wrote them, and processes that are killed while they rewrite them.

``python -m tests.earlier FOLDER TARGET`` compresses copies of FOLDER, each in a process that is killed before
another one of its changes of files, and leaves them in TARGET.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from bnstudy.records.arrays import ARRAYS
from bnstudy.records.compress import compress
from bnstudy.records.store import Store, written

CHANGES = ("os.rename", "os.remove", "os.mkdir")


def as_earlier(store: Store, name: str) -> None:
    """Rewrite a record in the format it would have had: plain files, and a header that says so."""
    folder = store.runs / name
    for file in folder.glob("*.gz"):
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    header = folder / "record.json"
    body = json.loads(header.read_bytes())
    body["format"] = 3 if set(body["tables"]) & set(ARRAYS) else 2
    header.write_bytes(written(body))


def kill_at(operation: int) -> None:
    """Have this process killed, as by the operating system, before its so-manyeth change of a file."""
    left = operation

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def kill_each(folder: Path, target: Path) -> None:
    """Compress a copy of ``folder`` in ``target`` for each operation, until one call lives to its end."""
    for operation in range(1000):
        copy = Path(shutil.copytree(folder, target / f"{operation:03d}"))
        child = os.fork()
        if child == 0:
            kill_at(operation)
            compress(Store(copy))
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            return


if __name__ == "__main__":
    kill_each(Path(sys.argv[1]), Path(sys.argv[2]))
