"""Recorded benchmark results as tables: what a run costs, and how far it is from the machine's floors."""

from __future__ import annotations

import operator
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bnstudy.analysis.style import WITHOUT
from bnstudy.analysis.words import Sources
from bnstudy.records.sealed import read_sealed

# How a target is worded, and what the measured value has to be.
_TARGETS = {"at least": operator.ge, "at most": operator.le, "above": operator.gt, "below": operator.lt}

# The line that the page asks about first: the loop that people write over one of our runs.
HEADLINE = "ordinary loop / single run"

Result = dict[str, Any]


def results(folder: Path) -> dict[str, Result]:
    """Return the recorded results of ``bnstudy bench --json`` in a folder, by file name.

    Raises:
        FileNotFoundError: there is none; the message has the command that records one.
        ValueError: one is damaged.
    """
    found = {file.name: read_sealed(file) for file in sorted(folder.glob("cpu*.json"))}
    if not found:
        raise FileNotFoundError(
            f"no benchmark result in {folder}; record one with: bnstudy bench --json {folder / 'cpu.json'}"
        )
    return found


def recorded(folder: Path, name: str) -> Result | None:
    """Return a recorded result of one of the scripts in ``benchmarks/``, or None."""
    path = folder / name
    return read_sealed(path) if path.exists() else None


def fleets(result: Result) -> pd.DataFrame:
    """Return, by fleet size and way to build it, the time of as many lone steps over one fleet step's."""
    rows = pd.DataFrame(result["rows"])
    rows["ratio"] = [f"{r['median']:.2f} ({r['lowest']:.2f} to {r['highest']:.2f})" for r in result["rows"]]
    wide = rows.pivot(index="fleet_size", columns="way", values="ratio")
    return wide.rename_axis(index="runs side by side", columns=None).reset_index()


def probe_costs(result: Result) -> pd.DataFrame:
    """Return what a training step with each probe costs, as a multiple of one without."""
    rows = [
        {"probe": probe, **{schedule.replace("_", " "): f"{cost:.2f}" for schedule, cost in costs.items()}}
        for probe, costs in result["probes"].items()
    ]
    return pd.DataFrame(rows).fillna("")


def shift_costs(result: Result) -> pd.DataFrame:
    """Return what the covariate-shift probe costs against the straightforward way, and how values differ."""
    return pd.DataFrame(
        [
            {
                "network": {"none": WITHOUT, "batch": "batch norm"}[norm],
                "layers": str(found["layers"]),
                "of the straightforward way": f"{found['of_straightforward']:.2f}",
                "largest relative difference": f"{found['largest_relative_difference']:.0e}",
            }
            for norm, found in result["ics"].items()
        ]
    )


def study_costs(result: Result) -> pd.DataFrame:
    """Return what a study costs: how much of it is evaluation, and what the ordinary way would take."""
    share, question = result["evaluation's share"], result["one question to every snapshot"]
    blocks = result["trainings of the article's network, all blocks without probes"]
    lines = [
        ("evaluation's share, core block", share["core block"], "at most 0.25"),
        (
            "ordinary way over the core block, arms judged",
            result["core block, arms judged"]["ordinary over ours"],
            "at least 30",
        ),
        (
            "ordinary way over the core block, arms judged or shown",
            result["core block, arms judged or shown"]["ordinary over ours"],
            "at least 30",
        ),
        (
            "ordinary way over all blocks without probes",
            blocks["ordinary over ours, arms judged or shown"],
            "at least 30",
        ),
        ("one decay more: ordinary way over asking snapshots", question["one decay, ordinary over ours"], ""),
    ]
    return pd.DataFrame(
        [
            {
                "quantity": name,
                "median (lowest to highest)": f"{found['median']:.3g} "
                f"({found['lowest']:.3g} to {found['highest']:.3g})",
                "target": target,
                "met": {True: "yes", False: "no", None: ""}[
                    met({"target": target, "ratio": found["median"]})
                ],
            }
            for name, found, target in lines
        ]
    )


def conditions(result: Result) -> str:
    """Return on what machine and with what settings a result was measured."""
    machine, settings = result["machine"], result["settings"]
    return (
        f"{machine['processor']}, {machine['threads']} of {machine['cores']} cores, "
        f"PyTorch {machine['torch']}, {machine['instructions']}, load {machine['load']} at the start; "
        f"batch size {settings['batch_size']}, "
        f"{settings['pairs']} pairs of {settings['steps']} steps on {settings['dataset']}"
    )


def met(line: Mapping[str, Any]) -> bool | None:
    """Return whether a line's median ratio, or its value, is what its target asks; None without either.

    Raises:
        ValueError: the target is worded in another way than those of ``bnstudy bench``.
    """
    if not line["target"]:
        return None
    words, _, bound = line["target"].rpartition(" ")
    if words not in _TARGETS:
        raise ValueError(f"target is {line['target']!r}; allowed: {', '.join(_TARGETS)}, and a number")
    measured = line.get("ratio", line.get("value"))
    return None if measured is None else bool(_TARGETS[words](measured, float(bound)))


def answer(found: Mapping[str, Result]) -> str:
    """Return two sentences a result: how fast a run is, and which targets are met; in Markdown."""
    return "\n\n".join(_answer(result, Sources("performance", [name])) for name, result in found.items())


def _answer(result: Result, sources: Sources) -> str:
    judged = [(line, met(line)) for line in result["lines"] if line["target"]]
    missed = [_against_target(line, sources) for line, good in judged if good is False]
    unknown = [f"{line['name']} ({line['not_measured']})" for line, good in judged if good is None]
    count = sum(good is True for _, good in judged)
    said = f"{sources.cite(f'{count} of {len(judged)} targets')} are met"
    said += f"; missed: {', '.join(missed)}" if missed else ""
    said += f"; not measured: {', '.join(unknown)}" if unknown else ""
    return f"{_speed(result, sources)} {said}."


def _against_target(line: Mapping[str, Any], sources: Sources) -> str:
    value = f"{line['ratio']:.2f} times" if "ratio" in line else f"{line['value']:.3g} {line['unit']}"
    return f"{line['name']} ({sources.cite(value)}, where {line['target']} is asked)"


def _speed(result: Result, sources: Sources) -> str:
    line = next((line for line in result["lines"] if line["name"] == HEADLINE and "ratio" in line), None)
    if line is None:
        return "How fast one run is against the ordinary loop was not measured."
    ratio = sources.cite(f"{line['ratio']:.2f} times")
    spread = f"lowest to highest {line['low']:.2f} to {line['high']:.2f}"
    said = f"One run trains {ratio} as fast as the loop that people write, {spread}"
    shares = []
    for precision, floor in result["floors"].items():
        rate = _reached(result["lines"], precision)
        if rate:
            share = f"{100 * rate / floor['both']:.0f} %"
            shares.append(f"{sources.cite(share)} in {precision}")
    return said + (f", and reaches {' and '.join(shares)} of what the machine allows." if shares else ".")


def command(result: Result, file: str) -> str:
    """Return the command that measures a result again, with its settings and number of threads."""
    settings = result["settings"]
    options = {
        "dataset": settings["dataset"],
        "threads": result["machine"]["threads"],
        "batch-size": settings["batch_size"],
        "steps": settings["steps"],
        "pairs": settings["pairs"],
        "json": file,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return shlex.join([".venv/bin/bnstudy", "bench", *words])


def numbers(found: Mapping[str, Result]) -> pd.DataFrame:
    """Return every line of every result with its unrounded numbers, for download."""
    rows = []
    for file, result in found.items():
        for line in result["lines"]:
            good = met(line)
            row = {key: line.get(key) for key in ("ratio", "low", "high", "pairs", "value", "unit")}
            for side, key in (("first", "over"), ("second", "under")):
                row |= {side: line.get(key, {}).get("name"), f"{side}_rate": line.get(key, {}).get("rate")}
            row |= {"target": line["target"], "met": good, "not_measured": line.get("not_measured")}
            rows.append({"file": file, "line": line["name"], **row})
    return pd.DataFrame(rows)


def lines(result: Result) -> pd.DataFrame:
    """Return a row a line: what was compared, the ratio with its spread, both rates, and the target."""
    return pd.DataFrame([_line(line) for line in result["lines"]])


def floors(result: Result) -> pd.DataFrame:
    """Return, by precision, the machine's rates, the floors that follow, and what a training step reaches."""
    rows = []
    for precision, floor in result["floors"].items():
        rate = _reached(result["lines"], precision)
        rows.append(
            {
                "precision": precision,
                "matrix products": f"{floor['matrix_rate'] / 1e9:,.0f} GFLOP/s",
                "copies": f"{floor['copy_rate'] / 1e9:,.0f} GB/s",
                "arithmetic": f"{floor['arithmetic']:,.0f} images/s",
                "traffic": f"{floor['traffic']:,.0f} images/s",
                "both": f"{floor['both']:,.0f} images/s",
                "a step reaches": f"{rate:,.0f} images/s, {rate / floor['both']:.0%} of both" if rate else "",
            }
        )
    return pd.DataFrame(rows)


def _line(line: dict[str, Any]) -> dict[str, str]:
    # On a phone only the first columns are seen at once.
    row = {"line": line["name"], "measured": "", "lowest to highest": ""}
    row |= {"target": line["target"] or "", "met or missed": _met_or_missed(line), "first": "", "second": ""}
    if "not_measured" in line:
        row["measured"] = f"not measured: {line['not_measured']}"
    elif "value" in line:
        row["measured"] = f"{line['value']:.3g} {line['unit']}"
    else:
        row["measured"] = f"{line['ratio']:.2f} times"
        row["lowest to highest"] = f"{line['low']:.2f} to {line['high']:.2f}"
        for side, key in (("first", "over"), ("second", "under")):
            row[side] = f"{line[key]['name']}: {line[key]['rate']:,.0f} {line['unit']}"
    return row


def _met_or_missed(line: Mapping[str, Any]) -> str:
    good = met(line)
    if good is None:
        return "not measured" if line["target"] else ""
    ends = [met({**line, "ratio": line[end]}) for end in ("low", "high") if end in line]
    return ("met" if good else "missed") + (", not by every pair" if set(ends) - {good} else "")


def _reached(found: list[dict[str, Any]], precision: str) -> float | None:
    sides = (line.get(key) for line in found for key in ("over", "under"))
    return next((float(side["rate"]) for side in sides if side and side["name"] == precision), None)
