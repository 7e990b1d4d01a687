"""The doctor's error rates, from the recorded outcomes of ``benchmarks/doctor.py``: tables and sentences."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

Result = Mapping[str, Any]
Row = Mapping[str, Any]

LOUD = ("error", "warning")
# Codes, and faults of other codes, that are notes by rule.
QUIET = {"drift", "not-batch-norm", "redundant-bias", "last-batch", "epsilon-unusual"}
QUIET_FAULTS = {"accumulation", "momentum 0"}
Z = 1.959964
# What a step under watch may cost, as a multiple of one without.
WATCH = 1.03
# torch-audit's rules that speak of what a code speaks of; none reads a running statistic.
AUDIT_RULES = {
    "non-finite": {"TA100"},
    "non-finite-step": {"TA100"},
    "tiny-batch": {"TA304"},
    "redundant-bias": {"TA400"},
    "double-update": {"TA501"},
}
# Its rules on batch norm at all; the others judge devices, layouts, precision, weight decay and data.
AUDIT_BATCH_NORM = {"TA304", "TA400", "TA501"}


def results(folder: Path) -> dict[str, Result]:
    """Return the recorded results in a folder by data set; those that weren't recorded are absent."""
    found = {}
    for path in sorted(folder.glob("doctor-*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if "outcomes" in result:
            found[str(result["dataset"])] = result
    return found


def named(row: Row) -> bool:
    """Return whether any call said the fault's code, as an error or a warning unless it is a note by rule.

    A "can't tell" has the code, too, and doesn't count.
    """
    severities = {said[row["code"]] for said in row["said"].values() if row["code"] in said}
    quiet = row["code"] in QUIET or row["name"] in QUIET_FAULTS
    return bool(severities & set(LOUD)) or (quiet and bool(severities))


def alarms(row: Row) -> set[str]:
    """Return the codes that some call raised as an error or a warning."""
    return {code for said in row["said"].values() for code, severity in said.items() if severity in LOUD}


def interval(hits: int, cases: int) -> tuple[float, float]:
    """Return Wilson's (1927) 95 % interval of a share."""
    if not cases:
        return 0.0, 1.0
    share = hits / cases
    centre = (share + Z**2 / (2 * cases)) / (1 + Z**2 / cases)
    half = Z * math.sqrt(share * (1 - share) / cases + Z**2 / (4 * cases**2)) / (1 + Z**2 / cases)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def share(hits: int, cases: int) -> str:
    """Return a share with its interval: "98.3 % [91.0, 99.7] (58 of 59)"."""
    if not cases:
        return "–"
    low, high = interval(hits, cases)
    return f"{100 * hits / cases:.1f} % [{100 * low:.1f}, {100 * high:.1f}] ({hits} of {cases})"


def faults(result: Result) -> list[Row]:
    """Return the outcomes of injected faults."""
    return [row for row in result["outcomes"] if row["kind"] == "fault"]


def healthy(result: Result) -> list[Row]:
    """Return the outcomes of healthy models."""
    return [row for row in result["outcomes"] if row["kind"] == "healthy"]


def detection(result: Result) -> pd.DataFrame:
    """Return a row a code: cases named, with their interval, and the same of the harmful ones."""
    rows = []
    for code in sorted({row["code"] for row in faults(result)}):
        cases = [row for row in faults(result) if row["code"] == code]
        harmful = [row for row in cases if row["harmful"]]
        audited = [row for row in cases if row["audit"] is not None]
        rules = AUDIT_RULES.get(code, set())
        rows.append(
            {
                "code": code,
                "named": share(sum(map(named, cases)), len(cases)),
                "of harmful": share(sum(map(named, harmful)), len(harmful)),
                "faults": ", ".join(sorted({row["name"] for row in cases})),
                "torch-audit": f"{sum(bool(rules & set(r['audit'])) for r in audited)} of {len(audited)}"
                if rules and audited
                else "no such rule",
            }
        )
    return pd.DataFrame(rows)


def false_alarms(result: Result) -> pd.DataFrame:
    """Return a row a healthy kind: how many of its models got an error or a warning, and of which codes."""
    rows = []
    for name in dict.fromkeys(row["name"] for row in healthy(result)):
        cases = [row for row in healthy(result) if row["name"] == name]
        loud = [row for row in cases if alarms(row)]
        codes = sorted({code for row in loud for code in alarms(row)})
        rows.append(
            {
                "healthy kind": name,
                "false alarms": f"{len(loud)} of {len(cases)}",
                "codes": ", ".join(codes),
                "torch-audit, rules on batch norm": _audited(cases, AUDIT_BATCH_NORM),
                "torch-audit, all rules": _audited(cases, None),
            }
        )
    return pd.DataFrame(rows)


def confusion(result: Result) -> pd.DataFrame:
    """Return a row a code: which errors and warnings its faults got, its own and others', and how often."""
    rows = []
    for code in sorted({row["code"] for row in faults(result)}):
        cases = [row for row in faults(result) if row["code"] == code]
        counts = Counter(other for row in cases for other in alarms(row) if other != code)
        often = sorted(counts.items(), key=lambda other: (-other[1], other[0]))
        said = ", ".join(f"{other} {number}" for other, number in often)
        silent = sum(not alarms(row) for row in cases)
        rows.append(
            {
                "injected": code,
                "cases": len(cases),
                "own code": sum(map(named, cases)),
                "other errors and warnings": said,
                "no error or warning": silent,
            }
        )
    return pd.DataFrame(rows)


def missed(result: Result) -> pd.DataFrame:
    """Return a row a case whose code wasn't named, and whether it did harm."""
    rows = [
        {
            "fault": row["name"],
            "how much": row["severity"],
            "model": row["model"],
            "seed": row["seed"],
            "harmful": {True: "yes", False: "no", None: "not measured"}[row["harmful"]],
            "accuracy lost": _points(row["accuracy_lost"]),
            "said instead": ", ".join(sorted(alarms(row))) or "nothing",
        }
        for row in faults(result)
        if not named(row)
    ]
    return pd.DataFrame(
        rows, columns=["fault", "how much", "model", "seed", "harmful", "accuracy lost", "said instead"]
    )


def drift(result: Result) -> dict[str, int]:
    """Return how many cases were diagnosed, how many drifted, and how many of those did harm or none."""
    rows = [row for row in result["outcomes"] if "diagnose" in row["said"]]
    drifted = [row for row in rows if "drift" in row["said"]["diagnose"]]
    return {
        "diagnosed": len(rows),
        "drift": len(drifted),
        "harmless": sum(row["harmful"] is False for row in drifted),
        "harmful": sum(row["harmful"] is True for row in drifted),
    }


def drift_in_words(result: Result) -> str:
    """Return what drift meant, in a sentence."""
    found = drift(result)
    return (
        f"of {found['diagnosed']} diagnosed models {found['drift']} had drifted without measured harm; "
        f"against their twins {found['harmless']} of these lose nothing, and {found['harmful']} do."
    )


def headline(result: Result) -> dict[str, tuple[int, int]]:
    """Return hits and cases: all faults, harmful faults, false alarms; and torch-audit's of all three."""
    cases, well = faults(result), healthy(result)
    harmful = [row for row in cases if row["harmful"]]
    found = {
        "faults": (sum(map(named, cases)), len(cases)),
        "harmful": (sum(map(named, harmful)), len(harmful)),
        "false alarms": (sum(bool(alarms(row)) for row in well), len(well)),
    }
    if result["torch_audit"] is not None:
        for name, rows in (("audit faults", cases), ("audit harmful", harmful)):
            hits = sum(bool(AUDIT_RULES.get(row["code"], set()) & set(row["audit"])) for row in rows)
            found[name] = (hits, len(rows))
        found["audit false alarms"] = (sum(bool(row["audit"]) for row in well), len(well))
        on_norms = sum(bool(AUDIT_BATCH_NORM & set(row["audit"])) for row in well)
        found["audit false alarms on batch norm"] = (on_norms, len(well))
    return found


def answer(results: Mapping[str, Result]) -> str:
    """Return the page's answer in Markdown: rates against their goals, data set by data set."""
    said = []
    for dataset in ("digits", "cifar10"):
        if dataset not in results:
            said.append(f"On {dataset}: not measured.")
            continue
        result = results[dataset]
        rates = headline(result)
        goals = (_met(rates["harmful"], 0.95, above=True), _met(rates["false alarms"], 0.01, above=False))
        sentence = (
            f"**On {dataset}** the doctor names {share(*rates['harmful'])} of the harmful faults (goal: "
            f"95 %, "
            f"{goals[0]}) and {share(*rates['faults'])} of all; {share(*rates['false alarms'])} of the "
            f"healthy "
            f"models get an error or a warning (goal: at most 1 %, {goals[1]})."
        )
        if "audit harmful" in rates:
            sentence += (
                f" torch-audit {result['torch_audit']} names {share(*rates['audit harmful'])} of the "
                f"harmful ones, "
                f"and warns of {share(*rates['audit false alarms on batch norm'])} of the healthy models "
                f"by its "
                f"rules on batch norm."
            )
        said.append(sentence)
    return "\n\n".join(said)


def conditions(result: Result) -> str:
    """Return what the cases were made of, in a sentence."""
    sizes = result["sizes"]
    return (
        f"{len(result['outcomes'])} cases: models {', '.join(result['models'])}; seeds "
        f"{', '.join(map(str, result['seeds']))}; images of {sizes['side']} pixels, {sizes['steps']} steps; "
        f"{result['cpu_seconds'] / 60:.0f} minutes of one core; PyTorch {result['torch']}"
    )


def costs(result: Mapping[str, Any]) -> pd.DataFrame:
    """Return what each call costs, in steps of resnet18."""
    found = result["costs"]
    spread = f"{found['watch_lowest']:.3f} to {found['watch_highest']:.3f}"
    rows = [
        (
            "watch",
            f"{found['watch_ratio']:.3f} times a step",
            f"{spread}, {found['pairs']} pairs; goal: at most {WATCH:.2f}, "
            f"{'met' if found['watch_ratio'] <= WATCH else 'missed'} in the median",
        ),
        ("scan", f"{found['scan_steps']:.2f} steps", f"{1000 * found['scan_seconds']:.0f} ms"),
        ("diagnose", f"{found['diagnose_steps']:.1f} steps", found["diagnose_remark"]),
    ]
    return pd.DataFrame(rows, columns=["call", "cost", "besides"])


def _met(rate: tuple[int, int], goal: float, above: bool) -> str:
    """Return whether a share meets its goal, and whether its whole interval does."""
    hits, cases = rate
    if not cases:
        return "not measured"
    if not (hits / cases >= goal if above else hits / cases <= goal):
        return "missed"
    low, high = interval(hits, cases)
    return "met" if (low >= goal if above else high <= goal) else "met, but not by its whole interval"


def _audited(cases: Iterable[Row], rules: set[str] | None) -> str:
    audited = [row for row in cases if row["audit"] is not None]
    if not audited:
        return "not run"
    loud = [row for row in audited if (set(row["audit"]) if rules is None else rules & set(row["audit"]))]
    return f"{len(loud)} of {len(audited)}"


def _points(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} points"
