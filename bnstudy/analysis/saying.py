"""What a claim's headline is, and how its numbers and sentences are written in both languages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import pandas as pd

from bnstudy.analysis.behind import behind_amount
from bnstudy.analysis.judged.verdicts import Estimate
from bnstudy.analysis.judged.wording import Language, write_estimate
from bnstudy.analysis.rules import Unit
from bnstudy.analysis.statistics import Amount, Interval, bootstrap_interval, mean_interval
from bnstudy.analysis.trail import NO_TRAIL, Trail
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
    that a quantity has the interval that its chapter shows. ``trails`` are where the second round's
    quantities were read from, by name.
    """

    sources: Sources
    language: Language
    trails: Mapping[str, Trail] = field(default_factory=dict)

    def say(self, en: str, zh: str) -> str:
        """Return the one that is in the page's language."""
        return zh if self.language == "zh" else en

    def cite(self, value: object) -> str:
        """Return a value as a link to its records; a number that remembers its interval opens to it."""
        return self.sources.cite(value if isinstance(value, str) else str(value))

    def count(self, runs: pd.DataFrame) -> str:
        """Return how many runs a table has as a link, which opens to their records by seed."""
        return self.sources.count(runs)

    def estimate(self, found: Estimate) -> str:
        """Return a judged quantity's estimate as a link, which opens to its seeds and their records."""
        text = write_estimate(found, self.language)
        trail = self.trails.get(found.quantity.name, NO_TRAIL)
        sources = replace(self.sources, runs=trail.every_run() or self.sources.runs)
        return sources.cite(text, behind_amount(text, trail))

    def points(self, values: Iterable[float], by: By = bootstrap_interval) -> str:
        """Return the mean of differences of shares, signed, in points: ``"+8.1 [+6.2, +8.8]"``."""
        return self.cite(self._effect(by(values), "points", " percentage points"))

    def lost(self, values: Iterable[float], by: By = bootstrap_interval) -> str:
        """Return the mean of losses of accuracy in points, without a sign unless something was won."""
        text = self._effect(by(values), "points", " percentage points")
        return self.cite(Amount.of(text.replace("+", ""), text.interval, text.scale))

    def percent(self, values: Iterable[float], by: By = mean_interval) -> str:
        """Return a mean share in percent with its interval."""
        return self.sources.cite(by(values).percent())

    def factor(self, values: Iterable[float]) -> str:
        """Return 2 to the mean of binary logarithms, with its interval."""
        return self.cite(self._effect(bootstrap_interval(values), "factor", " ×"))

    def number(self, values: Iterable[float]) -> str:
        """Return a mean with its interval."""
        return self.cite(self._effect(bootstrap_interval(values), "number", ""))

    def _effect(self, found: Interval, unit: Unit, called: str) -> Amount:
        if not math.isfinite(found.low):
            return Amount.of(self.say("not measured", "未测量"), found, unit)
        return Amount.of(write_effect(found, unit, "percentage points").replace(called, ""), found, unit)
