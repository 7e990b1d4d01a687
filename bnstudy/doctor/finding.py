"""What a check says: one finding, and the check that found it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]

# The worst first.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

Number = float | int | str | bool | None


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        code: the check's, as in ``doctor.codes()``.
        severity: "error" (what the model computes is wrong), "warning" (it costs something, or will),
            "note".
        layer: the layer's name in the model, or None for the model as a whole.
        seen: what was seen, in a sentence.
        cause: what it means and how it comes about, in a sentence.
        fix: what to do, as Python. ``model``, ``optimizer``, ``train_batches`` and, of a layer,
            ``layer`` are the reader's own.
        reference: a public thread with the same trouble, as owner/repository#number.
        sure: how sure the doctor is, and from what.
        evidence: the numbers behind ``seen``, by name.
    """

    code: str
    severity: Severity
    layer: str | None
    seen: str
    cause: str
    fix: str
    reference: str
    sure: str
    evidence: Mapping[str, Number] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it; a number that isn't finite is a string."""
        return {**vars(self), "evidence": {name: plain(value) for name, value in self.evidence.items()}}


@dataclass(frozen=True)
class Check:
    """A code, and how it is looked for: functions of what each of the doctor's calls gathers.

    Attributes:
        code: its name in reports and suppressions.
        about: what it is, in a line without a full stop.
        reference: a public thread, as owner/repository#number.
        scan: looks at a ``Subject``; None where a model at rest doesn't show it.
        compare: looks at a ``Pair``.
        watch: looks at a ``History``.
        diagnose: looks at an ``Examination``.
    """

    code: str
    about: str
    reference: str
    scan: Callable[[Any], Iterable[Finding]] | None = None
    compare: Callable[[Any], Iterable[Finding]] | None = None
    watch: Callable[[Any], Iterable[Finding]] | None = None
    diagnose: Callable[[Any], Iterable[Finding]] | None = None

    def finding(
        self,
        severity: Severity,
        layer: str | None,
        seen: str,
        *,
        cause: str,
        fix: str,
        sure: str = "certain: read off the layer's state",
        **evidence: Number,
    ) -> Finding:
        """Return a finding of this check."""
        return Finding(self.code, severity, layer, seen, cause, fix, self.reference, sure, evidence)


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: what isn't finite as a string."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
