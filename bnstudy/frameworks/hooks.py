"""Probes around a step whose beginning and end are two calls of somebody else's loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from typing import Any

from bnstudy.probes.probe import Given, Probe

# What every logger has: (values by name, step).
LogFunction = Callable[[Mapping[str, float], int], Any]


class Hooks:
    """Lets ``probes`` look at what happens between ``begin`` and ``end``.

    Raises ``TypeError`` unless all are probes.
    """

    def __init__(self, probes: Probe | Iterable[Probe]) -> None:
        self.probes = [probes] if isinstance(probes, Probe) else list(probes)
        for probe in self.probes:
            if not isinstance(probe, Probe):
                raise TypeError(f"probes has a {type(probe).__name__}; allowed: probes of bnstudy.probes")
        self._around: ExitStack | None = None
        self._given: list[tuple[Probe, Given]] = []
        self._logged: dict[Probe, int | None] = {}

    def begin(self, *batches: Any) -> None:
        """Begin a step, or a part of one, on these of the loader's batches."""
        self.drop()
        self._around = ExitStack()
        self._given = [(probe, self._around.enter_context(probe())) for probe in self.probes]
        for batch in batches:
            self.add(batch)

    def add(self, batch: Any) -> None:
        """Add a (micro-)batch of the step that is under way."""
        for probe, given in self._given:
            given.add(*probe.split(batch))

    def end(self) -> None:
        """End the step, and measure it."""
        around, self._around, self._given = self._around, None, []
        if around is not None:
            around.close()

    def drop(self, error: BaseException | None = None) -> None:
        """Forget the step that is under way, where there is one."""
        around, self._around, self._given = self._around, None, []
        if around is not None:
            error = error or _Dropped()
            with suppress(_Dropped):
                around.__exit__(type(error), error, error.__traceback__)

    def log(self, function: LogFunction, step: int) -> None:
        """Give ``function`` what was measured since it was last given something."""
        scalars: dict[str, float] = {}
        for probe in self.probes:
            if probe.measured != self._logged.get(probe):
                self._logged[probe] = probe.measured
                scalars |= probe.scalars()
        if scalars:
            function(scalars, step)


class _Dropped(Exception):
    """A step was begun and never ended."""
