"""The claims of the second round, found in the chapters, and the family of quantities that they ask about."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import bnstudy
from bnstudy.analysis.judged.parts import Claim, Quantity, Words


@cache
def chapters() -> tuple[str, ...]:
    """Return the names of the chapters that have judged claims, in alphabetical order."""
    folder = Path(bnstudy.__file__).parent / "chapters"
    return tuple(sorted(path.parent.name for path in folder.glob("*/judged.py")))


@cache
def claims() -> dict[str, Claim]:
    """Return every judged claim by its id, C1 first."""
    found = [claim for chapter in chapters() for claim in _module(chapter).CLAIMS]
    return {claim.id: claim for claim in sorted(found, key=lambda claim: int(claim.id[1:]))}


@cache
def chapter_of() -> dict[str, str]:
    """Return the chapter of each claim."""
    return {claim.id: chapter for chapter in chapters() for claim in _module(chapter).CLAIMS}


@cache
def words() -> dict[str, Words]:
    """Return the sentences of each claim."""
    return {name: found for chapter in chapters() for name, found in _module(chapter).WORDS.items()}


@cache
def family() -> dict[str, Quantity]:
    """Return every judged quantity by its name, each once: as many as intervals have to hold together.

    Raises:
        ValueError: two different quantities have one name.
    """
    return quantities(claims().values())


def quantities(of: Iterable[Claim]) -> dict[str, Quantity]:
    """Return the quantities of claims by name, each once.

    Raises:
        ValueError: two different quantities have one name.
    """
    found: dict[str, Quantity] = {}
    for claim in of:
        for quantity in claim.quantities():
            if found.setdefault(quantity.name, quantity) != quantity:
                raise ValueError(f"two quantities are called {quantity.name!r}; allowed: one")
    return found


def _module(chapter: str) -> Any:
    # By name, since analysis lies below the chapters.
    return importlib.import_module(f"bnstudy.chapters.{chapter}.judged")
