"""Questions after the fact, against the same trainings with arms that were kept for them."""

from __future__ import annotations

import json
import pickle
import shutil

import pandas as pd
import pytest
import torch
from pydantic import Field

from bnstudy import chapters, doctor
from bnstudy.blocks.core import CoreStudy
from bnstudy.chapters.asking import answerable
from bnstudy.chapters.found import EXPERIMENTS
from bnstudy.cli import main
from bnstudy.records.spec import SpecError
from bnstudy.records.store import RecordError, Store
from bnstudy.study.asking import Question
from bnstudy.study.executors import InProcess
from bnstudy.study.frames import Frames
from bnstudy.study.run import NotRecordedError, run_plan
from bnstudy.train.data import load_dataset
from bnstudy.train.feed import DeviceData

DECAY = {
    "dataset": "digits",
    "epochs": 1,
    "seeds": 2,
    "train_size": 32,
    "batch_size": 16,
    "schedules": ["constant"],
}


class SmallCore(CoreStudy):
    """The block, in seconds: two seeds on 32 digits."""

    seeds: int = Field(default=2, ge=2, le=32)
    decays: tuple[float, ...] = (0.0, 0.9, 0.999)

    def base(self):
        return {**super().base(), "train_size": 32, "batch_size": 16, "epochs": 2, "annealed_epochs": 1}

    def _looks_of_none(self):
        return ({"epochs": (2.0,)},)

    def _looks_of_batch(self):
        statistics = ("batch", "moving", "precise")
        look = {"epochs": (1.0, 2.0), "statistics": statistics, "decays": self.decays, "precise_images": 32}
        return ({**look, "zero_debias": ("none", "both"), "test_batches": (5,), "snapshot": True},)


@pytest.fixture(scope="module")
def block():
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(EXPERIMENTS, "core", SmallCore)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory, block):
    """A small core block, and a decay study with the decays 0.9 and 0.99 alone."""
    folder = tmp_path_factory.mktemp("data")
    run_plan(SmallCore(dataset="digits"), data_dir=folder, progress=False)
    chapters.run_study("decay", {**DECAY, "decays": [0.9, 0.99]}, data_dir=folder, progress=False)
    return folder


def settings(folder, **changes):
    return {**DECAY, "data_dir": str(folder), "progress": False, **changes}


def runs(folder):
    return sorted(path.name for path in (folder / "runs").iterdir())


def test_a_new_decay_is_what_an_arm_kept_for_it_gives(folder, tmp_path):
    question = {"decays": [0.5, 0.97], "zero_debias": ["none", "both"], "test_batches": [5], "leaked": True}
    found = chapters.ask("core", question, dataset="digits", data_dir=folder, progress=False).tables
    plan = SmallCore(dataset="digits", decays=(0.5, 0.97))
    truth = run_plan(plan, data_dir=tmp_path, progress=False)
    key = ["arm", "seed", "step", "split", "statistics", "decay", "zero_debias"]
    rows = truth["checkpoints"]
    rows = rows[(rows["statistics"] == "moving") & (rows["arm"] == "batch")].merge(
        found["checkpoints"], on=key, suffixes=("", "_again"), validate="one_to_one"
    )
    assert len(rows) == len(found["checkpoints"]) == 2 * 2 * 2 * 2
    assert set(rows["source"]) == {"snapshot"}
    # Convolutions round to bfloat16: a statistic a millionth off may turn a borderline image.
    assert ((rows["loss_again"] / rows["loss"] - 1).abs() < 2e-3).all()
    assert ((rows["accuracy_again"] - rows["accuracy"]).abs() <= 1.01 / 359).all()
    key = ["seed", "step", "order", "test_batch_size", "statistics"]
    rows = truth["test_batches"].merge(found["test_batches"], on=key, suffixes=("", "_again"))
    assert len(rows) == len(found["test_batches"]) == 2 * 2 * 2
    assert ((rows["loss_again"] / rows["loss"] - 1).abs() < 2e-2).all()


def test_frames_have_every_decay_that_a_look_measured(folder):
    frames = chapters.load("core", folder, dataset="digits")
    assert set(frames["checkpoints"]["decay"].dropna()) == {0.0, 0.9, 0.999}


def test_a_chapter_answers_an_unrecorded_decay_from_snapshots_and_trains_nothing(folder):
    before = runs(folder)
    opened = chapters.open("decay", settings(folder, decays=[0.9, 0.97]))
    assert runs(folder) == before
    assert opened.asked.decays == (0.97,)
    assert opened.study.decays == (0.9,)
    rows = opened.asked.rows
    assert set(rows[rows["source"] == "snapshot"]["decay"]) == {0.97}
    assert set(rows[rows["source"] == "training"]["decay"].dropna()) == {0.0, 0.9, 0.999}
    assert rows.groupby("phase")["epoch"].unique().str[0].to_dict() == {"constant rate": 1.0, "annealed": 2.0}
    shown = str(opened.other_decays())
    assert "<td>0.97</td>\n      <td>snapshot</td>" in shown
    assert "<td>0.9</td>\n      <td>training</td>" in shown
    assert "not trained for this page" in shown
    assert "<svg" in shown
    assert "0.97" not in str(opened.table())
    again = str(opened.again(**{**DECAY, "decays": [0.9, 0.97]}))
    assert "answers decay 0.97 from snapshots of the recorded study `core`, without training" in again


def test_where_every_decay_is_recorded_nothing_is_asked(folder):
    opened = chapters.open("decay", settings(folder, decays=[0.9, 0.99]))
    assert opened.asked is None
    assert "is recorded" in str(opened.other_decays())


def test_the_usual_decay_stands_beside_new_ones(folder):
    given, unrecorded = answerable("decay", settings(folder, decays="[0.97, 0.98]"))
    assert given["decays"] == [0.9]
    assert unrecorded.decays == (0.97, 0.98)


@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": 0.01},  # another training, of which nothing is recorded
        {"decays": [0.9, 0.99995]},  # beyond the nodes
        {"decays": [0.9], "seeds": 3},
    ],
)
def test_what_snapshots_cannot_answer_is_trained_as_ever(folder, changes):
    given = settings(folder, **{"decays": [0.9, 0.97], **changes})
    assert answerable("decay", given) == (given, None)


def test_without_all_of_the_blocks_seeds_nothing_is_answered(folder, tmp_path):
    shutil.copytree(folder / "runs", tmp_path / "runs")
    given = settings(tmp_path, decays=[0.9, 0.97])
    assert answerable("decay", given)[1] is not None
    store = Store(tmp_path)
    one = next(r for r in store.records() if "snapshots" in r.tables)
    averages = store.path(one.spec) / "snapshot_averages.npy"
    averages.write_bytes(averages.read_bytes()[:-1])
    with pytest.raises(RecordError, match=f"{one.spec.name} is damaged: snapshot_averages.npy"):
        answerable("decay", given)
    store.set_aside(one.spec.name)
    assert answerable("decay", given) == (given, None)
    with pytest.raises(NotRecordedError, match="1 of 2 runs of 'core' with snapshots are not recorded"):
        chapters.ask("core", dataset="digits", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"decays": [0.99995]}, r"\[0.99995\] with 0.99995; allowed of a snapshot: 0 to 0.9999"),
        ({"decay": 0.9}, "unknown parameter 'decay'; allowed: statistics, decays"),
        ({"statistics": []}, "statistics and test_batches are empty"),
        ({"test_batches": [1000]}, "test_batches is 1000; allowed: 1 to 359"),
        ({"statistics": "precise", "precise_images": 33}, "precise_images is 33; allowed: at most 32"),
    ],
)
def test_a_question_without_an_answer_is_refused_by_name(folder, question, message):
    with pytest.raises(SpecError, match=message):
        chapters.ask("core", question, dataset="digits", data_dir=folder, progress=False)


def test_a_study_without_snapshots_is_refused_by_name(folder):
    with pytest.raises(NotRecordedError, match="study 'decay' plans no snapshots"):
        chapters.ask("decay", data_dir=folder)


def test_any_executor_answers_alike(folder):
    here, there = (
        chapters.ask(
            "core", {"decays": 0.3}, dataset="digits", data_dir=folder, progress=False, executor=executor
        )
        for executor in (None, InProcess())
    )
    assert here.tables["checkpoints"].equals(there.tables["checkpoints"])
    record = next(iter(Store(folder).records()))
    assert pickle.loads(pickle.dumps((record, Question()))) == (record, Question())


def test_a_run_that_diverged_before_its_snapshot_is_named(folder, tmp_path):
    source, target = Store(folder), Store(tmp_path)
    for i, found in enumerate(Frames(plan := SmallCore(dataset="digits"), source, []).study.runs()):
        record = source.read(found.spec.name)
        tables = (
            {} if i == 1 else {n: source.array(record, n) for n in record.tables if n.startswith("snapshot_")}
        )
        if found.arms["arm"] == "batch":
            steps = [] if i == 1 else [2, 4]
            tables["snapshots"] = {"step": steps} if steps else {}
        target.write(found.spec, {}, "diverged at step 1" if i == 1 else "finished", tables)
    answered = chapters.ask("core", dataset="digits", data_dir=tmp_path, progress=False)
    assert list(answered.without.values()) == ["diverged at step 1"]
    assert len(answered.runs) == plan.seeds - 1
    assert json.dumps(answered.runs)


def test_the_command_line_asks_too(folder, capsys, tmp_path):
    where = ["--set", "dataset=digits", "--data-dir", str(folder), "--quiet"]
    file = tmp_path / "rows.csv"
    assert main(["ask", "core", "--decays", "0.3", "0.97", "--csv", str(file), *where]) == 0
    said = capsys.readouterr().out
    assert "from snapshots of 2 recorded runs; nothing was trained" in said
    rows = pd.read_csv(file)
    assert set(rows["decay"]) == {0.3, 0.97}
    assert set(rows["source"]) == {"snapshot"}
    mean = rows[(rows["decay"] == 0.97) & (rows["step"] == 4)]["accuracy"].mean()
    [line] = [line for line in said.splitlines() if " 4 " in line and "0.97" in line]
    assert f"{100 * mean:.1f} [" in line
    assert main(["ask", "core", "--test-batches", "3", "--json", *where]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"experiment", "runs", "test_batches"}
    assert len(found["test_batches"]) == 2 * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["core", "--decays", "1.5"], "decays is 1.5; allowed: a list of numbers"),
        (["core", "--statistics", "running"], "statistics is"),
        (["decay"], "study 'decay' plans no snapshots"),
        (["core", "--set", "seeds=3"], "1 of 3 runs of 'core' with snapshots are not recorded"),
    ],
)
def test_the_command_line_refuses_in_one_line(folder, capsys, arguments, message):
    assert main(["ask", *arguments, "--set", "dataset=digits", "--data-dir", str(folder), "--quiet"]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_the_doctor_tells_a_decay_that_was_too_large_in_a_recorded_network(folder):
    data = DeviceData(load_dataset("digits"), torch.float32, torch.device("cpu"))

    def batches(split, count):
        index = torch.arange(count).split(32)
        return [(x, y[:, 0]) for x, y in (split.batch(part[:, None]) for part in index)]

    where = {"dataset": "digits", "data_dir": folder, "seed": 101}
    train, test = batches(data.train, 128), batches(data.test, 128)
    gap = {}
    for decay in (0.5, 0.9999):
        net = chapters.restored("core", decay=decay, **where)
        report = doctor.diagnose(net, train, test, progress=False)
        assert "statistics-harm" in [finding.code for finding in report.findings]
        gap[decay] = report.layers["mean_gap"].max()
    # Four steps leave the one where it started, and fill the other.
    assert gap[0.9999] > 2 * gap[0.5]
    debiased = chapters.restored("core", decay=0.9999, zero_debias="both", epoch=1, **where)
    assert not debiased.training


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 5}, "seed is 5; allowed: 100, 101"),
        ({"epoch": 3}, r"epoch is 3; allowed of run \w+: \[1.0, 2.0\]"),
        ({"decay": 1.0}, "decay is 1.0; allowed: 0 to 0.9999"),
    ],
)
def test_a_network_that_was_not_kept_is_refused_by_name(folder, changes, message):
    with pytest.raises(ValueError, match=message):
        chapters.restored("core", dataset="digits", data_dir=folder, **changes)
