"""Benchmark results as tables: nothing is lost, nothing is invented."""

from __future__ import annotations

import json
import re
import shlex
from argparse import ArgumentParser
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from bnstudy.bench import command, lines
from bnstudy.chapters.performance import figures as performance_figures
from bnstudy.chapters.performance import page as performance
from bnstudy.records.sealed import sealed

matplotlib.use("agg")

ROOT = Path(__file__).parents[2]

RESULT = {
    "machine": {"threads": 2},
    "settings": {"dataset": "cifar10", "batch_size": 64, "steps": 8, "pairs": 3},
    "lines": [
        {
            "name": "ordinary loop / single run",
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
    assert [row["met or missed"] for row in (ratio, value, none)] == ["missed", "", "not measured"]


def line(target, **numbers):
    return {"name": "a line", "target": target, **numbers}


@pytest.mark.parametrize(
    ("target", "good", "bad"),
    [("at least 5", 5.0, 4.99), ("at most 5", 5.0, 5.01), ("above 5", 5.01, 5.0), ("below 5", 4.99, 5.0)],
)
def test_a_target_is_met_or_missed(target, good, bad):
    for key in ("ratio", "value"):
        assert performance.met(line(target, **{key: good})) is True
        assert performance.met(line(target, **{key: bad})) is False
        assert performance.met(line(None, **{key: good})) is None
    assert performance.met(line(target, not_measured="no GPU here")) is None


def test_a_target_in_other_words_is_no_silent_miss():
    with pytest.raises(ValueError, match="target is 'about 5'; allowed: at least"):
        performance.met(line("about 5", ratio=5.0))


def test_every_target_of_the_benchmark_is_understood():
    targets = re.findall(
        r'"((?:at least|at most|above|below|[a-z ]+) [0-9.]+)"', Path(lines.__file__).read_text()
    )
    assert len(targets) > 5
    assert {performance.met(line(target, value=-1.0)) for target in targets} == {True, False}


@pytest.mark.parametrize(
    ("ratio", "low", "high", "said"),
    [
        (1.0, 0.9, 1.1, "met"),
        (1.0, 0.9, 1.4, "met, not by every pair"),
        (1.4, 1.1, 1.6, "missed, not by every pair"),
    ],
)
def test_a_spread_across_the_target_is_told(ratio, low, high, said):
    made = {**RESULT["lines"][0], "ratio": ratio, "low": low, "high": high, "target": "at most 1.3"}
    [row] = performance.lines({"lines": [made]}).to_dict("records")
    assert row["met or missed"] == said


def plain(text):
    return re.sub(r"<[^>]*>", "", text)


def test_the_answer_counts_targets_and_names_the_missed_ones():
    met = {"name": "import", "value": 0.0123, "unit": "s", "target": "below 0.3"}
    said = performance.answer({"cpu.json": {**RESULT, "lines": [*RESULT["lines"], met]}})
    assert plain(said) == (
        "One run trains 4.00 times as fast as the loop that people write, lowest to highest 3.50 to 4.25, "
        "and reaches 30 % in bfloat16 of what the machine allows. 1 of 3 targets are met; missed: "
        "ordinary loop / single run (4.00 times, where at least 5 is asked); not measured: GPU (no GPU here)."
    )
    assert said.count('href="performance.html#records" title="From 1 record: cpu.json"') == 4


def test_another_record_gives_another_answer():
    quick = {**RESULT["lines"][0], "ratio": 6.0, "high": 7.0}
    said = plain(performance.answer({"cpu.json": {**RESULT, "lines": [quick]}}))
    assert "6.00 times" in said
    assert said.endswith("1 of 1 targets are met.")
    none = plain(performance.answer({"cpu.json": {**RESULT, "lines": RESULT["lines"][1:]}}))
    assert none.startswith("How fast one run is against the ordinary loop was not measured.")


def test_the_command_of_a_result_asks_for_its_settings():
    words = shlex.split(performance.command(RESULT, "data/bench/cpu.json"))
    assert words[:2] == [".venv/bin/bnstudy", "bench"]
    parser = ArgumentParser()
    command.add_arguments(parser)
    options = vars(parser.parse_args(words[2:]))
    assert RESULT["settings"].items() <= options.items()
    assert (options["threads"], options["json"]) == (2, "data/bench/cpu.json")


def test_the_download_has_every_number_of_a_line_unrounded():
    table = performance.numbers({"cpu.json": RESULT})
    assert list(table["file"]) == ["cpu.json"] * 3
    ratio = RESULT["lines"][0]
    first = table.iloc[0]
    assert [first[key] for key in ("ratio", "low", "high", "pairs", "target")] == [
        4.0,
        3.5,
        4.25,
        3,
        "at least 5",
    ]
    assert (first["first"], first["first_rate"]) == tuple(ratio["over"].values())
    assert (first["second"], first["second_rate"]) == tuple(ratio["under"].values())
    assert list(table["met"])[:2] == [False, None]
    assert table["value"].iloc[1] == 0.0123
    assert table["not_measured"].iloc[2] == "no GPU here"
    assert pd.isna(table["ratio"].iloc[1])


def test_the_figure_has_each_ratio_its_spread_and_its_target():
    figure = performance_figures.ratios(RESULT)
    axis = figure.axes[0]
    spread, median, target = axis.lines
    assert list(spread.get_xdata()) == [3.5, 4.25]
    assert list(median.get_xdata()) == [4.0]
    assert list(target.get_xdata()) == [5.0]
    assert spread.get_color() == performance_figures.MET[False]
    assert [text.get_text() for text in figure.legends[0].texts] == ["target missed", "target"]
    plt.close(figure)


def test_the_tables_of_the_benchmarks_readme_are_those_of_the_records():
    from benchmarks.write_tables import section

    text = (ROOT / "benchmarks" / "README.md").read_text()
    for name, result in performance.results(ROOT / "data" / "bench").items():
        assert section(result, name) in text


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
    (tmp_path / "cpu.json").write_text(json.dumps(sealed(RESULT)))
    assert performance.results(tmp_path) == {"cpu.json": RESULT}
    assert performance.recorded(tmp_path, "fleet.json") is None


def test_a_whole_study_s_costs_are_the_record_s_and_a_missed_target_is_said():
    found = json.loads((ROOT / "data/bench/study_costs.json").read_text())
    share = found["evaluation's share"]["core block"]["median"]
    table = performance.study_costs(found).set_index("quantity")
    row = table.loc["evaluation's share, core block"]
    assert row["median (lowest to highest)"].startswith(f"{share:.3g} (")
    found["evaluation's share"]["core block"]["median"] = 0.2
    assert performance.study_costs(found).set_index("quantity").loc[row.name, "met"] == "yes"
    found["evaluation's share"]["core block"]["median"] = 0.3
    assert performance.study_costs(found).set_index("quantity").loc[row.name, "met"] == "no"
