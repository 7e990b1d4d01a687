"""Ctrl-C, taken in two steps: finish what is in flight, then stop at once."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any


class Interruptible:
    """A context in which the first Ctrl-C only sets ``asked``; the second one interrupts as ever.

    Outside the main thread, where signals can't be handled, it changes nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self._previous: Any = None

    def __enter__(self) -> Interruptible:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        print("\nstopping after the runs in flight; Ctrl-C again stops at once", file=sys.stderr)
