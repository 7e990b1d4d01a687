"""A report as a SARIF 2.1.0 log (OASIS), the format that code hosts show findings from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from bnstudy.doctor.finding import Finding

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def log(
    subject: str, findings: Sequence[Finding], suppressed: Sequence[Finding], file: str | None
) -> dict[str, Any]:
    """Return the log of one run of the doctor; suppressed findings are marked as such.

    ``subject`` stands where a finding names no layer, and ``file`` is the checkpoint's path, if there is one.
    """
    from bnstudy import __version__
    from bnstudy.doctor.registry import checks

    rules = [
        {
            "id": check.code,
            "shortDescription": {"text": check.about},
            "helpUri": address(check.reference),
        }
        for check in checks().values()
    ]
    index = {rule["id"]: number for number, rule in enumerate(rules)}
    results = [_result(f, index[f.code], subject, file) for f in findings]
    results += [
        {**_result(f, index[f.code], subject, file), "suppressions": [{"kind": "external"}]}
        for f in suppressed
    ]
    driver = {"name": "bnstudy doctor", "version": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "results": results, "columnKind": "unicodeCodePoints"}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def address(reference: str) -> str:
    """Return where a thread, given as owner/repository#number, is read."""
    repository, _, number = reference.partition("#")
    return f"https://github.com/{repository}/issues/{number}"


def _result(finding: Finding, rule: int, subject: str, file: str | None) -> dict[str, Any]:
    name = finding.layer or subject
    place: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": name, "kind": "member"}]}
    if file is not None:
        place["physicalLocation"] = {"artifactLocation": {"uri": quote(file)}}
    return {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": finding.severity,
        "message": {"text": f"{finding.layer or 'model'}: {finding.seen}. {finding.cause}\n{finding.fix}"},
        "locations": [place],
        "properties": {"sure": finding.sure, "evidence": finding.as_dict()["evidence"]},
    }
