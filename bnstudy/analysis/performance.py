"""Recorded benchmark results as tables: what a run costs, and how far it is from the machine's floors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from bnstudy.analysis.style import WITHOUT

Result = dict[str, Any]


def results(folder: Path) -> dict[str, Result]:
    """Return the recorded results of ``bnstudy bench --json`` in a folder, by file name.

    Raises:
        FileNotFoundError: there is none; the message has the command that records one.
    """
    found = {file.name: json.loads(file.read_text()) for file in sorted(folder.glob("cpu*.json"))}
    if not found:
        raise FileNotFoundError(
            f"no benchmark result in {folder}; record one with: bnstudy bench --json {folder / 'cpu.json'}"
        )
    return found


def recorded(folder: Path, name: str) -> Result | None:
    """Return a recorded result of one of the scripts in ``benchmarks/``, or None."""
    path = folder / name
    return json.loads(path.read_text()) if path.exists() else None


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


def conditions(result: Result) -> str:
    """Return on what machine and with what settings a result was measured."""
    machine, settings = result["machine"], result["settings"]
    return (
        f"{machine['processor']}, {machine['threads']} of {machine['cores']} cores, "
        f"PyTorch {machine['torch']}, {machine['instructions']}, load {machine['load']} at the start; "
        f"batch size {settings['batch_size']}, "
        f"{settings['pairs']} pairs of {settings['steps']} steps on {settings['dataset']}"
    )


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
    row = {"line": line["name"], "measured": "", "lowest to highest": "", "first": "", "second": ""}
    if "not_measured" in line:
        row["measured"] = f"not measured: {line['not_measured']}"
    elif "value" in line:
        row["measured"] = f"{line['value']:.3g} {line['unit']}"
    else:
        row["measured"] = f"{line['ratio']:.2f} times"
        row["lowest to highest"] = f"{line['low']:.2f} to {line['high']:.2f}"
        for side, key in (("first", "over"), ("second", "under")):
            row[side] = f"{line[key]['name']}: {line[key]['rate']:,.0f} {line['unit']}"
    return {**row, "target": line["target"] or ""}


def _reached(found: list[dict[str, Any]], precision: str) -> float | None:
    sides = (line.get(key) for line in found for key in ("over", "under"))
    return next((float(side["rate"]) for side in sides if side and side["name"] == precision), None)
