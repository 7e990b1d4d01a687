"""The chapters as a rerunner uses them: through papermill, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import nbformat
import pytest
from papermill import inspect_notebook
from papermill.exceptions import PapermillExecutionError

from bnstudy.chapters import EXPERIMENTS
from tests import notebooks
from tests.notebooks import BOOK

NOTEBOOKS = [name for name in EXPERIMENTS if (BOOK / f"{name}.ipynb").exists()]

SMALL_SHIFT = """
dataset: digits
train_size: 16
seeds: 2
sgd_rates: [0.1]
adam_rates: [0.01]
batch_size: 8
probed_steps: 2
"""

NEW_ARM = """
dataset: digits
epochs: 1
seeds: 2
train_size: 32
batch_size: 16
decays: [0.9, 0.97]
schedules: [constant]
"""


def papermill(chapter, out, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "papermill", str(BOOK / f"{chapter}.ipynb"), str(out), *arguments],
        capture_output=True,
        text=True,
        cwd=out.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=280,
    )


def test_a_bad_parameter_stops_papermill_in_the_first_cell(tmp_path):
    where = ["-p", "data_dir", str(tmp_path / "data")]
    done = papermill("decay", tmp_path / "out.ipynb", "-p", "decays", "1.5", *where)
    assert done.returncode != 0
    assert "decays is 1.5; allowed: a list of numbers, each from 0 to below 1" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("chapter", "parameters", "message"),
    [
        ("decay", "decay: 0.9", "unknown parameter 'decay'"),
        ("decay", "dataset: mnist", "dataset is 'mnist'; allowed: 'cifar10' or 'digits'"),
        ("covariate_shift", "probed_steps: 0", "probed_steps is 0"),
    ],
)
def test_bad_parameters_stop_in_the_first_cell(tmp_path, chapter, parameters, message):
    with pytest.raises(PapermillExecutionError, match=message):
        notebooks.execute(chapter, tmp_path, parameters)
    assert not (tmp_path / "runs").exists()


def test_new_arms_are_trained_and_shown(tmp_path):
    shown = notebooks.execute("decay", tmp_path, NEW_ARM)
    assert len(list((tmp_path / "runs").iterdir())) == 2
    assert any("0.97" in data.get("text/html", "") for data in shown)
    assert sum("image/svg+xml" in data for data in shown) == 2


def test_the_covariate_shift_chapter_trains_what_it_shows(tmp_path):
    # The second time, the runs of two arms are there.
    for norms, runs in (("[none, batch]", 8), ("[none, batch, noisy]", 12)):
        shown = notebooks.execute("covariate_shift", tmp_path, f"{SMALL_SHIFT}norms: {norms}\n")
        assert len(list((tmp_path / "runs").iterdir())) == runs
        assert sum("image/svg+xml" in data for data in shown) == 6
        texts = [data.get("text/markdown", "") + data.get("text/html", "") for data in shown]
        # Without all three arms there is nothing to compare: the verdicts say so, the rest is shown.
        (answer,) = (text for text in texts if "C2 is " in text)
        assert ("C2 is not measured yet" in answer) == ("noisy" not in norms)
        for training in ("sgd 0.1", "adam 0.01"):
            assert any(f'data-label="{training}"' in text for text in texts)


@pytest.mark.parametrize("chapter", NOTEBOOKS)
def test_the_notebook_is_committed_without_outputs(chapter):
    notebook = nbformat.read(BOOK / f"{chapter}.ipynb", 4)
    assert all(not cell.get("outputs") for cell in notebook.cells)


@pytest.mark.parametrize("chapter", NOTEBOOKS)
def test_every_parameter_is_annotated_and_explained(chapter):
    notebook = BOOK / f"{chapter}.ipynb"
    assert set(inspect_notebook(notebook)) == {*EXPERIMENTS[chapter].model_fields, "device", "data_dir"}
    source = next(
        c.source for c in nbformat.read(notebook, 4).cells if "parameters" in c.metadata.get("tags", [])
    )
    for line in source.splitlines():
        assert ": " in line.split("=")[0], f"no annotation: {line}"
        assert "#" in line, f"no comment: {line}"
