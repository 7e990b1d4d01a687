"""What was found of a claim, in one sentence with its number, and what to do about it; in both languages."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, cast

from bnstudy.analysis.judged.verdicts import Judgement, Verdict
from bnstudy.analysis.judged.wording import Language, write_estimate
from bnstudy.analysis.statistics import Interval, bootstrap_interval, mean_interval
from bnstudy.analysis.tables import Tables
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


class Headlines(Protocol):
    """A chapter's ``headlines.py``.

    ``FOUND`` has a sentence for each judged quantity by its name, with ``{}`` where its estimate stands;
    ``ADVICE`` what to do, by claim and verdict, or for every other verdict under ``""``.
    """

    FOUND: Mapping[str, Said]
    ADVICE: Mapping[str, Mapping[Verdict | str, Said]]

    def explored(self, tables: Tables, write: Writer) -> dict[str, str]:
        """Return what the chapter's own study shows of each of its claims; nothing of what it lacks."""


def of(chapter: str) -> Headlines | None:
    """Return a chapter's headlines, if it has any."""
    module = f"bnstudy.chapters.{chapter}.headlines"
    try:
        return cast(Headlines, importlib.import_module(module))
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        return None


def advice(said: Headlines, claim: str, verdict: Verdict | str, language: Language) -> str:
    """Return what to do about a claim, by what was found of it."""
    choices = said.ADVICE[claim]
    return str(getattr(choices.get(verdict, choices[""]), language))


def confirmed(said: Headlines, judgement: Judgement, write: Writer) -> Headline:
    """Return what the second round found of a claim: a sentence for each quantity that votes, once."""
    quantities = {f.part.quantity.name: f.estimate for f in judgement.findings if f.part.votes}
    sentences = [
        str(getattr(said.FOUND[name], write.language)).format(
            write.cite(write_estimate(estimate, write.language))
        )
        for name, estimate in quantities.items()
    ]
    space = "" if write.language == "zh" else " "
    name = judgement.claim.id
    return Headline(space.join(sentences), advice(said, name, judgement.verdict, write.language))
