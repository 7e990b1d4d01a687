"""One process at a time for each run."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from bnstudy.records.store import RecordError, Store


class RunLock:
    """The right to train and record one run, held by at most one process.

    The operating system gives it back when its holder ends, however it ends.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.path: Path = store.root / ".locks" / f"{name}.lock"
        self._lock = FileLock(self.path, thread_local=False)

    def acquire(self) -> bool:
        """Take the lock if nobody has it, and say whether it is taken.

        Raises:
            RecordError: the folder can't be written to.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        except OSError as error:
            raise RecordError(
                f"can't record runs in {self.path.parent.parent}: {error.strerror or error}; "
                "data_dir (--data-dir) names another folder"
            ) from error
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()
