"""The checks there are: one a file in ``bnstudy/doctor/checks``, found by looking."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache
from typing import Any, Literal

from bnstudy.doctor import checks as folder
from bnstudy.doctor.finding import Check, Finding

Call = Literal["scan", "compare", "watch", "diagnose"]


@cache
def checks() -> dict[str, Check]:
    """Return every check by its code. A file that holds a ``CHECK`` is all that a new one takes."""
    names = sorted(module.name for module in pkgutil.iter_modules(folder.__path__))
    found = [importlib.import_module(f"{folder.__name__}.{name}").CHECK for name in names]
    return {check.code: check for check in found}


def codes() -> dict[str, str]:
    """Return every code with what it is about, in a line."""
    return {code: check.about for code, check in checks().items()}


def findings(call: Call, subject: Any) -> list[Finding]:
    """Return what all checks of a call find."""
    found: list[Finding] = []
    for check in checks().values():
        look = getattr(check, call)
        if look is not None:
            found += look(subject)
    return found


def check_ignored(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return suppressions as a tuple, or raise ``ValueError`` for a code that doesn't exist.

    A suppression is a code, or a code and a layer's name or shell pattern: ``"drift:layer4.*"``.
    """
    if isinstance(patterns, str):
        raise TypeError(f"ignore is the text {patterns!r}; allowed: a list of codes, as in [{patterns!r}]")
    kept = tuple(patterns)
    for pattern in kept:
        code = str(pattern).partition(":")[0]
        if code not in checks():
            raise ValueError(f"ignore has {code!r}; allowed: {', '.join(checks())}")
    return kept
