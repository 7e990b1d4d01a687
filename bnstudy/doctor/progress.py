"""A progress bar, if tqdm is there and somebody looks."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any


class Progress:
    """Counts forward passes; says up front how many there will be, about."""

    def __init__(self, total: int, shown: bool) -> None:
        self.passes = 0
        self._bar: Any = None
        if not shown:
            return
        try:
            from tqdm.auto import tqdm
        except ImportError:
            print(f"doctor.diagnose: about {total} forward passes of a batch", file=sys.stderr)
        else:
            self._bar = tqdm(total=total, desc="doctor.diagnose, forward passes of a batch", leave=False)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def expect(self, more: int) -> None:
        """Add to the number of passes there will be."""
        if self._bar is not None:
            self._bar.total += more

    def step(self) -> None:
        """Count a pass."""
        self.passes += 1
        if self._bar is not None:
            self._bar.update()
