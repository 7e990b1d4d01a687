"""An experiment: only what is missing is trained, and reading needs no torch."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

import bnstudy
from bnstudy.chapters import plan_of
from bnstudy.records.spec import SpecError
from bnstudy.records.store import Store
from bnstudy.study.needs import needs

SETTINGS = {
    "dataset": "digits",
    "epochs": 1,
    "seeds": 2,
    "schedules": ["constant"],
    "batch_size": 64,
    "train_size": 128,
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    frames = bnstudy.run_study("decay", {**SETTINGS, "decays": [0.9]}, data_dir=folder, progress=False)
    return folder, frames


def test_what_is_recorded_is_not_trained_again(recorded, monkeypatch):
    folder, frames = recorded
    monkeypatch.setattr("bnstudy.train.fleet.train_fleet", lambda *_, **__: pytest.fail("trained again"))
    again = bnstudy.run_study("decay", {**SETTINGS, "decays": [0.9]}, data_dir=folder)
    pd.testing.assert_frame_equal(again["evaluation"], frames["evaluation"])
    loaded = bnstudy.load("decay", folder, **SETTINGS, decays=[0.9])
    pd.testing.assert_frame_equal(loaded["training"], frames["training"])


def test_a_new_arm_is_added_beside_the_recorded_one(recorded):
    folder, frames = recorded
    plan = plan_of("decay", {**SETTINGS, "decays": [0.9, 0.97]})
    assert [spec.decays for spec in needs(plan, Store(folder)).missing] == [(0.97,)] * 2
    both = bnstudy.run_study("decay", {**SETTINGS, "decays": "[0.9, 0.97]"}, data_dir=folder, progress=False)
    assert sorted(both["evaluation"]["decay"].dropna().unique()) == [0.9, 0.97]
    assert set(frames.runs) < set(both.runs)
    new = [r.spec for r in Store(folder).records() if r.spec.name not in frames.runs]
    assert {s.decays for s in new} == {(0.97,)}  # the recorded arm was not measured again
    # Batch and precise statistics, common to both arms, stand in the table once.
    common = both["evaluation"][both["evaluation"]["statistics"] == "precise"]
    assert not common.duplicated(["schedule", "seed", "step", "split"]).any()
    assert len(both["training"]) == len(frames["training"])


def test_provenance(recorded):
    folder, _ = recorded
    for record in Store(folder).records():
        assert record.provenance["bnstudy"] == bnstudy.__version__
        assert record.provenance["data_sha256"] == bnstudy.load_dataset("digits").sha256
        assert record.provenance["threads"] == 1
        assert record.provenance["wall_seconds"] > 0


def test_missing_records_name_the_command(tmp_path):
    with pytest.raises(LookupError, match=r"not recorded in .*bnstudy run decay"):
        bnstudy.load("decay", tmp_path)


def test_errors_come_before_any_work(tmp_path):
    for parameters, message in [
        ({"decay": 0.9}, "unknown parameter 'decay'"),
        ({"decays": 1.5}, "decays is 1.5"),
        ({"dataset": "mnist"}, "dataset is 'mnist'"),
    ]:
        with pytest.raises(SpecError, match=message):
            bnstudy.run_study("decay", parameters, data_dir=tmp_path)
    with pytest.raises(SpecError, match=r"experiment is 'decya'; allowed: .*'decay', 'decay_range'"):
        bnstudy.run_study("decya")
    assert list(tmp_path.iterdir()) == []


def test_a_notebooks_namespace_is_read():
    import math

    namespace = {"__name__": "x", "_private": 1, "In": [], "math": math, "decays": [2.0]}
    with pytest.raises(SpecError, match=r"decays is 2.0"):
        bnstudy.run_study("decay", namespace)


def test_reading_and_drawing_import_no_torch():
    """The committed records become every figure and verdict of the chapter without torch."""
    code = """
import sys, bnstudy
assert "torch" not in sys.modules and "pandas" not in sys.modules
frames = bnstudy.load("decay")
from bnstudy.analysis import page
from bnstudy.chapters.decay import figures
from bnstudy.chapters.decay.page import DecayChapter
figures.accuracy_over_training(frames["evaluation"]); figures.error_by_decay(frames["evaluation"])
chapter = DecayChapter(frames, frames.study, frames.runs)
chapter.answer(), chapter.why(), chapter.table(), list(chapter.frames())
page.glued_verdicts(chapter.verdicts, chapter.sources), page.rules_table(chapter.verdicts)
assert "torch" not in sys.modules, "torch was imported"
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"MPLBACKEND": "agg", "PATH": ""})
