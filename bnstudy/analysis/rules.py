"""What a claim is, and what a rule has to say before its runs are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from bnstudy.analysis.tables import Tables

Answer = Literal["supported", "refuted", "open", "not measured yet"]
Unit = Literal["points", "factor", "number"]
Measure = Callable[[Tables], "pd.Series[float]"]

# An accuracy difference below this is of no practical use, whatever its sign.
SMALLEST_EFFECT = 0.005


@dataclass(frozen=True)
class Rule:
    """One contrast that decides a claim, or a part of one.

    ``measure`` turns the tables of ``study`` into one value a seed. The rule says *supported* if the effect,
    their mean, lies on ``side`` of ``threshold``, *refuted* if it lies on the other, *open* if the records
    can't tell. ``threshold`` is the smallest effect of interest, in the unit of the values: a share for
    "points", a binary logarithm for "factor".

    A rule that takes something for granted, as that a manipulation took hold, has it as its ``premise``:
    unless that is supported, the rule is open whatever its own effect. ``level`` says that the values are
    levels, not differences, so that an effect over their spread means nothing.
    """

    part: str
    study: str
    quantity: str
    contrast: str
    threshold: float
    measure: Measure
    side: Literal["above", "below"] = "above"
    unit: Unit = "points"
    premise: Rule | None = None
    level: bool = False


@dataclass(frozen=True)
class Claim:
    """A claim, in the article's words and in English, and the rules that it has to pass, all of them."""

    id: str
    original: str
    english: str
    chapter: str
    rules: tuple[Rule, ...]
