"""Benchmark results as tables: nothing is lost, nothing is invented."""

from __future__ import annotations

import json

import pytest

from bnstudy.analysis import performance

RESULT = {
    "lines": [
        {
            "name": "slow / quick",
            "over": {"name": "slow", "rate": 300.0},
            "under": {"name": "bfloat16", "rate": 1200.0},
            "unit": "images/s",
            "ratio": 4.0,
            "low": 3.5,
            "high": 4.25,
            "pairs": 3,
            "target": "at least 5",
        },
        {"name": "import", "value": 0.0123, "unit": "s", "target": None},
        {"name": "GPU", "not_measured": "no GPU here", "target": "at least 20"},
    ],
    "floors": {
        "bfloat16": {"matrix_rate": 4e11, "copy_rate": 2e10, "arithmetic": 5600.0, "traffic": 14000.0}
        | {"both": 4000.0}
    },
}


def test_a_line_a_row():
    ratio, value, none = performance.lines(RESULT).to_dict("records")
    assert (ratio["measured"], ratio["lowest to highest"]) == ("4.00 times", "3.50 to 4.25")
    assert (ratio["first"], ratio["second"]) == ("slow: 300 images/s", "bfloat16: 1,200 images/s")
    assert value["measured"] == "0.0123 s"
    assert none["measured"] == "not measured: no GPU here"
    assert [row["target"] for row in (ratio, value, none)] == ["at least 5", "", "at least 20"]


def test_what_a_step_reaches_of_the_floor():
    [row] = performance.floors(RESULT).to_dict("records")
    assert row["matrix products"] == "400 GFLOP/s"
    assert row["a step reaches"] == "1,200 images/s, 30% of both"


def test_fleets_by_size_and_way():
    rows = [
        {"fleet_size": n, "way": way, "median": m, "lowest": m - 0.1, "highest": m + 0.1}
        for n, way, m in [(1, "grouped", 1.0), (2, "grouped", 0.6), (1, "vmap", 0.9), (2, "vmap", 0.4)]
    ]
    table = performance.fleets({"rows": rows}).set_index("runs side by side")
    assert table.loc[2, "vmap"] == "0.40 (0.30 to 0.50)"
    assert list(table.columns) == ["grouped", "vmap"]


def test_no_result_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="bnstudy bench --json"):
        performance.results(tmp_path)
    (tmp_path / "cpu.json").write_text(json.dumps(RESULT))
    assert performance.results(tmp_path) == {"cpu.json": RESULT}
    assert performance.recorded(tmp_path, "fleet.json") is None
