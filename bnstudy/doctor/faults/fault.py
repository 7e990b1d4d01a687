"""A fault: its name, the code that names it, and how it is injected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bnstudy.doctor.faults.lab import Case, Lab


@dataclass(frozen=True)
class Fault:
    """A way to break batch norm.

    Attributes:
        name: what is done, in words.
        code: the doctor's for it.
        call: the call that should say so first.
        severities: how much of it, from little to much; what it counts is the injection's affair.
        inject: makes a case of it.
    """

    name: str
    code: str
    call: Literal["scan", "compare", "watch", "diagnose"]
    severities: tuple[float, ...]
    inject: Callable[[Lab, float], Case]


@dataclass(frozen=True)
class Healthy:
    """A kind of model with which nothing is wrong, and that a check could take for a fault."""

    name: str
    make: Callable[[Lab], Case]
