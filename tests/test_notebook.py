"""The decay chapter as a rerunner uses it: through papermill, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from bnstudy.study import DecayStudy

NOTEBOOK = Path(__file__).parents[1] / "book" / "decay.ipynb"


def papermill(out, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "papermill", str(NOTEBOOK), str(out), *arguments],
        capture_output=True,
        text=True,
        cwd=out.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=280,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "decay", "0.9"], "unknown parameter 'decay'"),
        (["-p", "decays", "1.5"], "decays is 1.5; allowed: a list of numbers, each from 0 to below 1"),
        (["-p", "dataset", "mnist"], "dataset is 'mnist'; allowed: 'cifar10' or 'digits'"),
    ],
)
def test_bad_parameters_stop_in_the_first_cell(tmp_path, arguments, message):
    done = papermill(tmp_path / "out.ipynb", *arguments, "-p", "data_dir", str(tmp_path / "data"))
    assert done.returncode != 0
    assert message in done.stderr
    assert not (tmp_path / "data").exists()


def test_new_arms_are_trained_and_shown(tmp_path):
    arguments = [
        "-p",
        "dataset",
        "digits",
        "-p",
        "epochs",
        "1",
        "-p",
        "seeds",
        "2",
        "-p",
        "batch_size",
        "512",
    ]
    arguments += [
        "-p",
        "decays",
        "[0.9, 0.97]",
        "-y",
        "schedules: [constant]",
        "-p",
        "data_dir",
        str(tmp_path),
    ]
    done = papermill(tmp_path / "out.ipynb", *arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(list((tmp_path / "runs").iterdir())) == 2
    outputs = [o for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells for o in cell.get("outputs", [])]
    shown = [o["data"] for o in outputs if "data" in o]
    assert any("0.97" in data.get("text/html", "") for data in shown)
    assert sum("image/svg+xml" in data for data in shown) == 2


def test_the_notebook_is_committed_without_outputs():
    notebook = nbformat.read(NOTEBOOK, 4)
    assert all(not cell.get("outputs") for cell in notebook.cells)


def test_every_parameter_is_annotated_and_explained():
    done = subprocess.run(
        [sys.executable, "-m", "papermill", "--help-notebook", str(NOTEBOOK)], capture_output=True, text=True
    )
    listed = set(re.findall(r"^  (\w+): ", done.stdout, re.M))
    assert listed == {*DecayStudy.model_fields, "device", "data_dir"}
    source = next(
        c.source for c in nbformat.read(NOTEBOOK, 4).cells if "parameters" in c.metadata.get("tags", [])
    )
    for line in source.splitlines():
        assert ": " in line.split("=")[0], f"no annotation: {line}"
        assert "#" in line, f"no comment: {line}"
