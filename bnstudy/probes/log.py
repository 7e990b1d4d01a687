"""Which steps a probe measures, and the rows that come out."""

from __future__ import annotations

from collections.abc import Callable

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
        self._newest: list[Row] = []
        self._measured: int | None = None

    @property
    def steps(self) -> int:
        """How many steps were counted."""
        return self._steps

    @property
    def measured(self) -> int | None:
        """The last step that was measured, or None."""
        return self._measured

    def due(self) -> bool:
        """Say whether the step that comes next is to be measured."""
        return self._schedule(self._steps + 1)

    def count(self, rows: list[Row] | None) -> None:
        """Count a step, with the rows that it gave; None where it wasn't measured."""
        self._steps += 1
        if rows is not None:
            self._newest, self._measured = rows, self._steps
            self._rows += [(self._steps, *row) for row in rows]

    def newest(self) -> list[Row]:
        """Return the rows of the last step that was measured."""
        return list(self._newest)

    def frame(self) -> pd.DataFrame:
        """Return one row a measurement: step (from 1), layer, quantity, value."""
        return pd.DataFrame(self._rows, columns=["step", "layer", "quantity", "value"])
