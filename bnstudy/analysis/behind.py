"""What a number on a page opens to: its seeds, its formula in words, its interval and its records."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from bnstudy.analysis.statistics import Amount, Interval, Scale
from bnstudy.analysis.trail import NO_TRAIL, Trail, trail_of

Bound = tuple[Literal["above", "below", "within"], float]

# What lies between the two names of a contrast, as rules write it; in Chinese behind what is compared.
_BETWEEN = re.compile(r" (?:minus|over) ")
_CHINESE = re.compile(
    r"(?:.*，)?(?:([^，]+?) ?(?<!衰)减 ?((?:[^，减]|(?<=衰)减)+?)|([^，与]+?) ?与 ?([^，与]+?)之比)(?:，.*)?"
)
# A decimal more than the number itself is written with, whatever its size.
_DIGITS = 4


@dataclass(frozen=True)
class Behind:
    """What is behind one number.

    ``interval`` has its values by seed, if it was made of any; ``formula`` says in English and in Chinese
    what they are; ``contrast`` what of each seed was compared with what (``"A minus B"``); ``bound`` what was
    asked, in the unit of the values; ``trail`` the two values that were compared, and the records.
    """

    interval: Interval
    scale: Scale
    formula: tuple[str, str] = ("", "")
    contrast: str = ""
    bound: Bound | None = None
    trail: Trail = NO_TRAIL

    def plain(self) -> dict[str, object]:
        """Return all of it as JSON has it, numbers as they are shown: shares in percent, factors as such."""
        found: dict[str, object] = {"scale": self.scale}
        ends = [self.interval.mean, self.interval.low, self.interval.high]
        found["interval"] = [self._shown(end) for end in ends]
        found["level"] = float(f"{100 * self.interval.level:.5g}")
        if any(self.formula):
            found["formula"] = list(self.formula)
        if self.interval.method:
            found["method"] = self.interval.method
        if self.bound:
            found["bound"] = [self.bound[0], self._shown(self.bound[1])]
        if self.interval.values:
            found["values"] = self._all_shown(self.interval.values)
        return found | self._by_seed()

    def _by_seed(self) -> dict[str, object]:
        """Return what is known of each value, in the values' order: of other seeds it isn't theirs.

        A quantity that was counted, or put together, has no value of each seed, but records.
        """
        count = len(self.interval.values) or len(self.trail.seeds)
        found: dict[str, object] = {}
        seeds = tuple(self.interval.seeds or self.trail.seeds)
        if not count or (self.trail.seeds and tuple(self.trail.seeds) != seeds):
            return {"seeds": list(seeds)} if count == len(seeds) else {}
        if len(seeds) == count:
            found["seeds"] = list(seeds)
        if len(self.trail.first) == count:
            found["first"] = self._all_shown(self.trail.first)
            found["second"] = self._all_shown(self.trail.second)
            names = _BETWEEN.split(self.contrast)
            chinese = _CHINESE.fullmatch(self.formula[1])
            if len(names) == 2:
                found["names"] = [names, [n.strip() for n in chinese.groups() if n] if chinese else names]
        if len(self.trail.runs) == count:
            found["runs"] = [list(runs) for runs in self.trail.runs]
        return found

    def _all_shown(self, values: Sequence[float]) -> list[float | None]:
        return [self._shown(value) for value in values]

    def _shown(self, value: float) -> float | None:
        """Return a value as it is read; None where it is no finite number, which JSON doesn't have."""
        if self.scale == "factor":
            value = 2**value
        elif self.scale != "number":
            value *= 100
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None

    def attribute(self) -> str:
        """Return it as an attribute of an HTML element that may stand within Markdown."""
        text = json.dumps(self.plain(), ensure_ascii=False, separators=(",", ":"))
        # Quotes may stand within single ones; a bar would end a table's cell, a backtick begin code.
        text = escape(text, quote=False).replace("'", "&#39;")
        for character in "|`$":
            text = text.replace(character, f"\\u{ord(character):04x}")
        return f"data-behind='{text}'"


def behind_count(counted: Iterable[tuple[int, str]]) -> Behind:
    """Return what is behind a number of runs: their records by seed. ``counted`` has the two of each."""
    trail = trail_of(counted)
    count = sum(map(len, trail.runs))
    return Behind(Interval(count, math.nan, math.nan, count), "number", trail=trail)


def behind_amount(text: str, trail: Trail = NO_TRAIL) -> Behind | None:
    """Return what is behind a written number that remembers its interval; None behind any other text."""
    if not isinstance(text, Amount):
        return None
    return Behind(text.interval, text.scale, text.formula, trail=trail)
