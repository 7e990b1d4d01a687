"""Every claim that a chapter's rules decide, and what the recorded studies say to each rule."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from bnstudy.analysis.rules import Claim, Measured, Rule, measure_all
from bnstudy.analysis.trail import Trail
from bnstudy.chapters.found import parts
from bnstudy.chapters.kept import once_for
from bnstudy.chapters.loading import load
from bnstudy.records.spec import SpecError
from bnstudy.records.store import Store
from bnstudy.study.run import default_data_dir


def _claims() -> Iterable[Claim]:
    for chapter in parts("rules"):
        rules = importlib.import_module(f"bnstudy.chapters.{chapter}.rules")
        yield from getattr(rules, "CLAIMS", ())


# In the order of their numbers.
CLAIMS: tuple[Claim, ...] = tuple(sorted(_claims(), key=lambda claim: (len(claim.id), claim.id)))


def recorded(claims: Iterable[Claim] = CLAIMS, data_dir: str | os.PathLike[str] = "") -> dict[str, Measured]:
    """Return what each rule of ``claims`` measures, by study, less the studies not recorded in full.

    A study with a record missing is as good as not measured here; its own chapter stops the build over it.

    """
    rules = [part for claim in claims for rule in claim.rules for part in (rule, rule.premise) if part]
    asked = ["rules", *(rule.part for rule in rules)]
    store = Store(data_dir or default_data_dir())
    found = once_for(
        asked, store, lambda: {study: asdict(m) for study, m in _measure(rules, data_dir).items()}
    )
    return {study: _from_plain(each) for study, each in found.items()}


def _from_plain(found: Mapping[str, Any]) -> Measured:
    trails = {part: Trail(**trail) for part, trail in found["trails"].items()}
    return Measured(**{**found, "trails": trails})


def _measure(rules: Iterable[Rule], data_dir: str | os.PathLike[str]) -> dict[str, Measured]:
    by_study: dict[str, list[Rule]] = {}
    for rule in rules:
        by_study.setdefault(rule.study, []).append(rule)
    measured = {}
    for study, read in by_study.items():
        try:
            frames = load(study, data_dir)
        except (SpecError, LookupError):
            continue
        measured[study] = measure_all(read, frames, frames.runs)
    return measured
