"""What every probe shares: when to measure, and the rows that come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pandas as pd

Schedule = Callable[[int], bool]
Row = tuple[str, str, float]  # layer, quantity, value


def always(step: int) -> bool:
    """Measure at every step."""
    del step
    return True


def every(n: int) -> Schedule:
    """Return the schedule that measures at step 1 and at every ``n``-th step from there."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"n is {n!r}; allowed: an integer of at least 1")
    return lambda step: (step - 1) % n == 0


class Log:
    """Counts a probe's steps from 1 and collects the rows of those that ``schedule`` picks."""

    def __init__(self, schedule: Schedule) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule is {schedule!r}; allowed: a function of the step that returns a bool")
        self._schedule = schedule
        self._steps = 0
        self._rows: list[tuple[int, str, str, float]] = []

    @contextmanager
    def step(self) -> Iterator[list[Row] | None]:
        """Yield the list that takes this step's rows, or None where nothing is to be measured.

        A step that raises doesn't count, and leaves no rows.
        """
        number = self._steps + 1
        rows: list[Row] | None = [] if self._schedule(number) else None
        yield rows
        self._steps = number
        self._rows += [(number, *row) for row in rows or ()]

    def frame(self) -> pd.DataFrame:
        """Return one row a measurement: step (from 1), layer, quantity, value."""
        return pd.DataFrame(self._rows, columns=["step", "layer", "quantity", "value"])
