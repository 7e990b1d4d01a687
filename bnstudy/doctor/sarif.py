"""A report as a SARIF 2.1.0 log (OASIS), the format that code hosts show findings from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bnstudy.doctor.finding import Finding

if TYPE_CHECKING:
    from bnstudy.doctor.report import Report

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def log(report: Report) -> dict[str, Any]:
    """Return the log of one run of the doctor; suppressed findings are marked as such."""
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
    results = [_result(report, f, index[f.code], False) for f in report.findings]
    results += [_result(report, f, index[f.code], True) for f in report.suppressed]
    driver = {"name": "bnstudy doctor", "version": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "results": results, "columnKind": "unicodeCodePoints"}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def address(reference: str) -> str:
    """Return where a thread, given as owner/repository#number, is read."""
    repository, _, number = reference.partition("#")
    return f"https://github.com/{repository}/issues/{number}"


def _result(report: Report, finding: Finding, rule: int, suppressed: bool) -> dict[str, Any]:
    name = finding.layer or report.subject
    place: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": name, "kind": "member"}]}
    if report.file is not None:
        place["physicalLocation"] = {"artifactLocation": {"uri": quote(report.file)}}
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": finding.severity,
        "message": {"text": f"{finding.layer or 'model'}: {finding.seen}. {finding.cause}\n{finding.fix}"},
        "locations": [place],
        "properties": {"sure": finding.sure, "evidence": finding.as_dict()["evidence"]},
    }
    if suppressed:
        result["suppressions"] = [{"kind": "external"}]
    return result
