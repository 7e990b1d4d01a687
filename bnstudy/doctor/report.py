"""What the doctor found: as text, in a notebook, as a table, for loggers, and as JSON and SARIF."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import pandas as pd

from bnstudy.doctor import sarif, text, web
from bnstudy.doctor.finding import SEVERITIES, Finding, plain

COLUMNS = ("severity", "code", "layer", "seen", "cause", "fix", "sure", "reference", "evidence")


class Report:
    """Findings, the worst first, and what was looked at.

    Attributes:
        call: "scan", "compare", "watch" or "diagnose".
        subject: what was looked at, in words.
        findings: those that count.
        suppressed: those that ``ignore`` named.
        batch_norms: how many batch-norm layers were looked at.
        remarks: what the call couldn't see, and what its measurements rest on.
        layers: a row a layer, of ``diagnose``: its gap, and what exchanging its statistics wins back.
        file: the path of the checkpoint that was scanned, with forward slashes, or None.
        measured: a row a kind of statistics, of ``diagnose``: accuracy and loss with it.
    """

    def __init__(
        self,
        call: str,
        subject: str,
        findings: Iterable[Finding],
        batch_norms: int,
        *,
        remarks: Sequence[str] = (),
        ignored: Sequence[str] = (),
        layers: pd.DataFrame | None = None,
        measured: pd.DataFrame | None = None,
        file: str | None = None,
    ) -> None:
        ranked = sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), f.code))
        self.call, self.subject, self.batch_norms = call, subject, batch_norms
        self.findings = [f for f in ranked if not _ignores(ignored, f)]
        self.suppressed = [f for f in ranked if _ignores(ignored, f)]
        self.remarks = [*remarks]
        if not batch_norms:
            self.remarks.insert(0, "No batch-norm layer with statistics is here.")
        self.layers = layers
        self.measured = measured
        self.file = file

    @property
    def ok(self) -> bool:
        """Return whether there is no error and no warning."""
        return all(finding.severity == "note" for finding in self.findings)

    @property
    def codes(self) -> set[str]:
        """Return the codes of all findings that aren't suppressed."""
        return {finding.code for finding in self.findings}

    def count(self, severity: str) -> int:
        """Return how many findings have a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def frame(self) -> pd.DataFrame:
        """Return a row a finding: severity, code, layer, seen, cause, fix, sure, reference, evidence."""
        rows = [{name: getattr(finding, name) for name in COLUMNS} for finding in self.findings]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def scalars(self) -> dict[str, float]:
        """Return numbers for a logger: findings by severity and by code, and the evidence's numbers.

        A name is ``doctor/<code>`` (how many), or ``doctor/<code>/<evidence>``: the largest over layers.
        """
        found = {f"doctor/{severity}s": float(self.count(severity)) for severity in SEVERITIES}
        for finding in self.findings:
            name = f"doctor/{finding.code}"
            found[name] = found.get(name, 0.0) + 1.0
            for key, value in finding.evidence.items():
                if isinstance(value, (int, float)):
                    entry = f"{name}/{key}"
                    found[entry] = max(found.get(entry, float(value)), float(value))
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        from bnstudy import __version__

        return {
            "bnstudy": __version__,
            "call": self.call,
            "subject": self.subject,
            "batch_norms": self.batch_norms,
            "ok": self.ok,
            "findings": [finding.as_dict() for finding in self.findings],
            "suppressed": [finding.as_dict() for finding in self.suppressed],
            "remarks": self.remarks,
            "layers": _records(self.layers),
            "measured": _records(self.measured),
        }

    def to_json(self, indent: int | None = 1) -> str:
        """Return everything as JSON."""
        return json.dumps(self.as_dict(), indent=indent, allow_nan=False)

    def to_sarif(self, indent: int | None = 1) -> str:
        """Return the findings as SARIF 2.1.0, which code hosts show beside a change."""
        log = sarif.log(self.subject, self.findings, self.suppressed, self.file)
        return json.dumps(log, indent=indent, allow_nan=False)

    def __str__(self) -> str:
        return text.of(self._headline(), self.findings, self.remarks)

    def __repr__(self) -> str:
        counts = ", ".join(f"{self.count(s)} {s}s" for s in SEVERITIES)
        return f"<{self.call} of {self.subject}: {counts}>"

    def _repr_html_(self) -> str:
        return web.of(self._headline(), self.findings, self.remarks, self.layers)

    def _headline(self) -> str:
        said = [f"{n} {s}{'s' * (n != 1)}" for s in SEVERITIES if (n := self.count(s))]
        if self.suppressed:
            said.append(f"{len(self.suppressed)} suppressed")
        layers = f"{self.batch_norms} batch-norm layer{'s' * (self.batch_norms != 1)}"
        return f"{self.call} of {self.subject}, {layers}: {', '.join(said) or 'nothing found'}"


def _ignores(patterns: Sequence[str], finding: Finding) -> bool:
    for pattern in patterns:
        code, _, layer = pattern.partition(":")
        if code == finding.code and (not layer or fnmatchcase(finding.layer or "", layer)):
            return True
    return False


def _records(table: pd.DataFrame | None) -> list[dict[str, Any]] | None:
    if table is None:
        return None
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): plain(value) for name, value in row.items()} for row in rows]
