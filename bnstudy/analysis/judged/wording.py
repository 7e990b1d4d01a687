"""How an estimate, an answer and a verdict of the second round are written, in both languages of the book."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

from bnstudy.analysis.judged.parts import Scale, Side, Words
from bnstudy.analysis.judged.verdicts import Answer, Estimate, Finding, Verdict
from bnstudy.analysis.statistics import Amount

Language = Literal["en", "zh"]

ANSWERS: dict[Answer, tuple[str, str]] = {
    "holds": ("holds", "成立"),
    "doesn't hold": ("doesn't hold", "不成立"),
    "can't tell": ("can't tell", "无法判断"),
}

VERDICTS: dict[Verdict, tuple[str, str]] = {
    "supported": ("supported", "成立"),
    "refuted": ("refuted", "不成立"),
    "partly": ("partly", "部分成立"),
    "open": ("open", "未定"),
    "not measured yet": ("not measured yet", "尚未测量"),
}


def _points(share: float, more: int = 0) -> str:
    # Adding zero turns a rounded -0.0 into 0.0, which has no sign.
    rounded = round(100 * share, 2 + more) + 0.0
    return f"{rounded:{'+' if rounded else ''}.{2 + more}f}"


# Each with the digits that one writes, and as many more as are asked for.
_NUMBERS: dict[Scale, Callable[..., str]] = {
    "points": _points,
    "factor": lambda value, more=0: f"{2**value:.{2 + more}f}",
    "number": lambda value, more=0: f"{round(value, 3 + more) + 0.0:.{3 + more}f}",
    "share": lambda value, more=0: f"{100 * value:.{more}f}",
}
_SIDES: dict[Side, tuple[str, str]] = {"above": ("above ", "高于 "), "below": ("below ", "低于 ")}
_UNITS: dict[Scale, tuple[str, str]] = {
    "points": (" points", " 个百分点"),
    "factor": (" ×", " 倍"),
    "number": ("", ""),
    "share": (" %", " %"),
}


def in_language(words: tuple[str, str], language: Language) -> str:
    """Return the words of a language.

    Raises:
        ValueError: the book has no such language.
    """
    if language not in ("en", "zh"):
        raise ValueError(f"language is {language!r}; allowed: 'en' or 'zh'")
    return words[language == "zh"]


def write_value(value: float, scale: Scale, language: Language = "en", more: int = 0) -> str:
    """Return a number in a quantity's scale, as a bound is written: ``"+0.50 points"``, ``"1.25 ×"``.

    ``more`` is how many digits there are beside those that one writes.
    """
    return _NUMBERS[scale](value, more) + in_language(_UNITS[scale], language)


def write_width(width: float, scale: Scale, language: Language = "en") -> str:
    """Return a distance in a quantity's scale: ``"±0.30 points"``, ``"a factor of 1.25"``."""
    said = write_value(width, scale, language).lstrip("+")
    if scale == "factor":
        return in_language(("a factor of {}", "{}"), language).format(said.removesuffix(" ×"))
    return f"±{said}"


def write_asked(side: Side, bound: float, scale: Scale, language: Language = "en") -> str:
    """Return what is asked of a quantity: ``"above +0.50 points"``, ``"within ±0.50 points"``."""
    if side == "within":
        return in_language(("within {}", "在 {}以内"), language).format(write_width(bound, scale, language))
    return in_language(_SIDES[side], language) + write_value(bound, scale, language)


def write_estimate(found: Estimate, language: Language = "en", more: int = 0) -> Amount:
    """Return an estimate with its interval: ``"+0.98 points [+0.77, +1.31]"``, ``"1.93 × [1.70, 2.20]"``.

    Where the interval is open on one side, as for times that were cut off, what it still says: ``"at least
    1.70 ×"``; where it is the whole line, why. It remembers the seeds' values. ``more`` digits are written
    beside those that one writes.
    """
    quantity = found.quantity
    seeds = tuple(quantity.reads[0].block.judged_seeds()) if quantity.reads else ()
    values = tuple(found.values or ())
    known = replace(found.interval, values=values, seeds=seeds if len(seeds) == len(values) else ())
    return Amount.of(_written(found, language, more), known, quantity.scale, (quantity.name, ""))


def _written(found: Estimate, language: Language, more: int = 0) -> str:
    number = partial(_NUMBERS[found.quantity.scale], more=more)
    unit = in_language(_UNITS[found.quantity.scale], language)
    low, high = found.interval.low, found.interval.high
    if math.isfinite(low) and math.isfinite(high):
        return f"{number(found.interval.mean)}{unit} [{number(low)}, {number(high)}]"
    if math.isfinite(low):
        return f"{in_language(('at least', '至少'), language)} {number(low)}{unit}"
    if math.isfinite(high):
        return f"{in_language(('at most', '至多'), language)} {number(high)}{unit}"
    if found.missing:
        return in_language(VERDICTS["not measured yet"], language)
    if found.untested:
        return f"{in_language(('not tested: ', '未能检验：'), language)}{found.untested}"
    return in_language(("undefined for some seeds", "部分种子无定义"), language)


def write_finding(finding: Finding, words: Words, language: Language = "en") -> str:
    """Return a part's sentence, its answer, its size, and the answers to its grades."""
    said = in_language(words.parts[finding.part.name], language).rstrip(".。")
    size = write_estimate(finding.estimate, language)
    held = in_language(ANSWERS[finding.answer], language)
    found = in_language((f"{said}: {held} ({size})", f"{said}：{held}（{size}）"), language)
    for grade, answer in finding.grades.items():
        wording = in_language(words.parts.get(grade, (grade, grade)), language).rstrip(".。")
        held = in_language(ANSWERS[answer], language)
        found += in_language((f"; {wording}: {held}", f"；{wording}：{held}"), language)
    return found + in_language((".", "。"), language)
