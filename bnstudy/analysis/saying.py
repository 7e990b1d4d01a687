"""What a claim's headline is, and how its numbers and sentences are written in both languages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from bnstudy.analysis.judged.wording import Language
from bnstudy.analysis.statistics import Interval, bootstrap_interval, mean_interval
from bnstudy.analysis.words import Sources, write_effect

By = Callable[[Iterable[float]], Interval]


class Said(NamedTuple):
    """The same in both languages, as HTML."""

    en: str
    zh: str


@dataclass(frozen=True)
class Headline:
    """A claim's finding, and what to do about it, in one language, as HTML."""

    found: str
    advice: str


@dataclass(frozen=True)
class Writer:
    """Writes numbers as links to the records behind them, and sentences in one language.

    Intervals are at 95 %: the bootstrap's, as those of the chapters' rules, or another that is given, so
    that a quantity has the interval that its chapter shows.
    """

    sources: Sources
    language: Language

    def say(self, en: str, zh: str) -> str:
        """Return the one that is in the page's language."""
        return zh if self.language == "zh" else en

    def cite(self, value: object) -> str:
        """Return a value as a link to its records."""
        return self.sources.cite(str(value))

    def points(self, values: Iterable[float], by: By = bootstrap_interval) -> str:
        """Return the mean of differences of shares, signed, in points: ``"+8.1 [+6.2, +8.8]"``."""
        return self._effect(by(values), "points", " percentage points")

    def lost(self, values: Iterable[float], by: By = bootstrap_interval) -> str:
        """Return the mean of losses of accuracy in points, without a sign unless something was won."""
        return self.points(values, by).replace("+", "")

    def percent(self, values: Iterable[float], by: By = mean_interval) -> str:
        """Return a mean share in percent with its interval."""
        return self.cite(by(values).percent())

    def factor(self, values: Iterable[float]) -> str:
        """Return 2 to the mean of binary logarithms, with its interval."""
        return self._effect(bootstrap_interval(values), "factor", " ×")

    def number(self, values: Iterable[float]) -> str:
        """Return a mean with its interval."""
        return self._effect(bootstrap_interval(values), "number", "")

    def _effect(self, found: Interval, unit: str, called: str) -> str:
        if not math.isfinite(found.low):
            return self.cite(self.say("not measured", "未测量"))
        return self.cite(write_effect(found, unit, "percentage points").replace(called, ""))  # type: ignore[arg-type]
