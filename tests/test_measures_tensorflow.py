"""Real TensorFlow trains the network that bnstudy trains; and what is said where there is none."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from bnstudy import run_study
from bnstudy.records.kinds import TensorFlowSpec
from bnstudy.records.spec import RunSpec
from bnstudy.records.tables import RUNS, columns_of, to_csv
from bnstudy.study import StudyError
from bnstudy.study.measures.tensorflow import (
    ARMS,
    FIRST_STEPS,
    INSTALL_COMMAND,
    VARIABLE,
    TensorFlowError,
    measure,
    tensorflow_python,
)
from bnstudy.train.fleet import train_run

ROOT = Path(__file__).resolve().parents[1]

# Two epochs of a part of the images, each with a smaller last batch: all that decides the order of the data.
# A rate at which Adam does not yet make differences of rounding grow.
SETTINGS = {
    "dataset": "digits",
    "train_size": 72,
    "batch_size": 16,
    "epochs": 2,
    "seed": 3,
    "learning_rate": 1e-4,
}
STEPS, SMALLER = 10, (5, 10)


@pytest.fixture(scope="module", params=ARMS)
def trained(request, few_digits):
    """The same run by TensorFlow (tables and versions) and by bnstudy (tables)."""
    try:
        tensorflow_python()
    except TensorFlowError as error:
        pytest.skip(str(error))
    tables, libraries = measure(TensorFlowSpec(**SETTINGS, updates=request.param), few_digits)
    spec = RunSpec(
        **SETTINGS,
        updates=request.param,
        precision="float32",
        zero_debias=("none",),
        statistics=("batch", "moving"),
        evaluations=1,
    )
    return tables, libraries, train_run(spec, few_digits, progress=False).tables


@pytest.mark.slow
def test_tensorflow_trains_the_same_network(trained):
    """Weights, images, their order, the loss and Adam are the same: the losses differ by rounding."""
    theirs, ours = trained[0]["training"], trained[2]["training"]
    assert theirs["step"] == ours["step"]
    assert theirs["learning_rate"] == ours["learning_rate"]
    np.testing.assert_allclose(theirs["loss"], ours["loss"], rtol=0, atol=1e-4)
    # One image may tip over.
    np.testing.assert_allclose(theirs["accuracy"], ours["accuracy"], rtol=0, atol=1 / 8)
    # A network that learned nothing would be further off.
    assert np.ptp(theirs["loss"]) > 0.1


@pytest.mark.slow
def test_tensorflow_evaluates_the_same_network(trained):
    """Also with the moving averages, so each way to keep them is what bnstudy calls by its name."""
    theirs, ours = trained[0]["evaluation"], trained[2]["evaluation"]
    keys = [column for column in theirs if column not in ("loss", "accuracy")]
    expected = {
        row: (loss, accuracy)
        for *row_, loss, accuracy in zip(*(ours[c] for c in (*keys, "loss", "accuracy")), strict=True)
        if "test" in (row := tuple(row_))
    }
    found = {
        tuple(row): (loss, accuracy)
        for *row, loss, accuracy in zip(*(theirs[c] for c in (*keys, "loss", "accuracy")), strict=True)
    }
    assert set(found) == set(expected)
    for row, (loss, accuracy) in found.items():
        assert loss == pytest.approx(expected[row][0], abs=1e-3), row
        assert accuracy == pytest.approx(expected[row][1], abs=1 / 40 + 1e-6), row


@pytest.mark.slow
def test_a_run_has_the_tables_that_a_record_holds(trained):
    tables, libraries, _ = trained
    for name, table in tables.items():
        rows = to_csv(name, "0123456789abcdef", table).decode().splitlines()
        assert rows[0].split(",") == columns_of(name)
        assert len(rows) > 1
    assert set(libraries) == {"tensorflow", "tf-slim"}
    timed = [step for step in range(FIRST_STEPS + 1, STEPS + 1) if step not in SMALLER]
    assert tables["cost"]["round"] == timed
    assert min(tables["cost"]["seconds_per_step"]) > 0


def test_every_field_of_the_spec_has_a_column():
    assert set(TensorFlowSpec.model_fields) <= {column.name for column in RUNS}


def test_a_missing_environment_is_named_with_what_makes_it(few_digits, monkeypatch, tmp_path):
    missing = tmp_path / "bin" / "python"
    monkeypatch.setenv(VARIABLE, str(missing))
    with pytest.raises(TensorFlowError) as raised:
        measure(TensorFlowSpec(**SETTINGS), few_digits)
    for part in (VARIABLE, str(missing), INSTALL_COMMAND):
        assert part in str(raised.value)


def test_the_command_that_makes_the_environment_is_one():
    python, script, option = INSTALL_COMMAND.split()
    shown = subprocess.run(
        [sys.executable, ROOT / script, "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert python == "python"
    assert option in shown


def test_an_environment_without_tensorflow_is_reported_in_one_line(few_digits, monkeypatch, tmp_path):
    empty = tmp_path / "environment"
    venv.create(empty, symlinks=True)
    monkeypatch.setenv(VARIABLE, str(empty / "bin" / "python"))
    with pytest.raises(TensorFlowError, match=r"status 1: .*No module named '\w+'") as raised:
        measure(TensorFlowSpec(**SETTINGS), few_digits)
    assert "\n" not in str(raised.value)


def test_more_images_than_there_are_is_refused(few_digits, monkeypatch):
    monkeypatch.setenv(VARIABLE, sys.executable)
    with pytest.raises(ValueError, match="train_size is 81; allowed: at most 80"):
        measure(TensorFlowSpec(**{**SETTINGS, "train_size": 81}), few_digits)


def test_a_study_that_asks_for_tensorflow_where_there_is_none_runs_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("BNSTUDY_TENSORFLOW", str(tmp_path / "nowhere"))
    with pytest.raises(StudyError, match=r"BNSTUDY_TENSORFLOW is .*nowhere.*tensorflow=False"):
        run_study("updates_collections", {"dataset": "digits", "tensorflow": True, "data_dir": tmp_path})
    assert not (tmp_path / "runs").exists()
