"""The second round's claims, found in the chapters: one family of quantities, and its rules' digests."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any

from bnstudy.analysis.judged.design import CONFIRMATORY
from bnstudy.analysis.judged.digest import digests_of, reads
from bnstudy.analysis.judged.parts import Claim, Quantity, Words, quantities_of
from bnstudy.analysis.judged.preregistration import Deviation


@cache
def chapters() -> tuple[str, ...]:
    """Return the names of the chapters that have judged claims, in alphabetical order."""
    return tuple(sorted(path.parent.name for path in Path(__file__).parent.glob("*/judged.py")))


@cache
def claims() -> dict[str, Claim]:
    """Return every judged claim by its id, C1 first."""
    found = [claim for chapter in chapters() for claim in _module(chapter).CLAIMS]
    return {claim.id: claim for claim in sorted(found, key=lambda claim: int(claim.id[1:]))}


@cache
def family() -> dict[str, Quantity]:
    """Return every judged quantity by its name, each once: as many as intervals have to hold together."""
    return quantities_of(claims().values())


@cache
def chapter_of() -> dict[str, str]:
    """Return the chapter of each claim."""
    return {claim.id: chapter for chapter in chapters() for claim in _module(chapter).CLAIMS}


@cache
def words() -> dict[str, Words]:
    """Return the sentences of each claim."""
    return {name: found for chapter in chapters() for name, found in _module(chapter).WORDS.items()}


@cache
def deviations() -> tuple[Deviation, ...]:
    """Return which records chapters judge although they don't keep to the frozen rules, and why."""
    return tuple(d for chapter in chapters() for d in getattr(_module(chapter), "DEVIATIONS", ()))


@cache
def digests() -> dict[str, str]:
    """Return the digest of each claim's rules, as they are now."""
    return digests_of(claims().values())


def rules_digests(spec: Any) -> dict[str, str]:
    """Return the digest of each claim that reads the run of ``spec``; none unless its seed is confirmatory.

    A record stores them when it is made: what the rules were that it was trained for.
    """
    if spec.seed not in CONFIRMATORY:
        return {}
    return {name: digests()[name] for name, claim in claims().items() if reads(claim, spec)}


def _module(chapter: str) -> Any:
    return importlib.import_module(f"bnstudy.chapters.{chapter}.judged")
