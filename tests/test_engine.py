"""The engine in this process: failures stop nothing, damage is repaired, any executor will do."""

from __future__ import annotations

import gc
import gzip
import json
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

import bnstudy
from bnstudy.chapters import plan_of
from bnstudy.records.lock import RunLock
from bnstudy.records.spec import RunSpec
from bnstudy.records.store import Store
from bnstudy.study import StudyError
from bnstudy.study.engine import run_all
from bnstudy.study.status import status
from bnstudy.study.work import perform
from bnstudy.train.network import ArticleNet
from tests.engine import SETTINGS, content

SMALL = {**SETTINGS, "seeds": 2, "schedules": ["constant"]}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    frames = bnstudy.run_study("decay", SMALL, data_dir=folder, progress=False)
    return folder, frames


@pytest.fixture
def without_cifar(tmp_path, monkeypatch):
    monkeypatch.setenv("BNSTUDY_DATA", str(tmp_path / "nothing"))


def test_any_executor_gives_the_same_records(recorded, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        frames = bnstudy.run_study("decay", SMALL, data_dir=tmp_path, progress=False, executor=pool)
    assert content(tmp_path) == content(recorded[0])
    assert len(frames.trained) == 2
    pd.testing.assert_frame_equal(frames["evaluation"], recorded[1]["evaluation"])


def test_a_run_leaves_no_network_behind():
    def networks():
        return sum(isinstance(thing, ArticleNet) for thing in gc.get_objects())

    gc.collect()
    gc.disable()  # as if it came too late
    try:
        before = networks()
        perform([RunSpec(dataset="digits", train_size=20, batch_size=10, epochs=1, evaluations=1)])
        assert networks() == before
    finally:
        gc.enable()


def test_a_failing_run_is_recorded_and_stops_no_other(tmp_path, without_cifar):
    store = Store(tmp_path)
    good = [run.spec for run in plan_of("decay", SMALL).runs()]
    bad = RunSpec(dataset="cifar10")
    report = run_all([good[0], bad, good[1]], store, progress=False)
    assert report.trained == [good[0].name, good[1].name]
    assert list(report.failed) == [bad.name]
    written = json.loads((tmp_path / "failures" / f"{bad.name}.json").read_text())
    assert "cifar10.npz" in written["error"]
    assert any("load_dataset" in line for line in written["traceback"])
    assert RunSpec(**written["spec"]) == bad
    found = status(plan_of("decay", {"seeds": 2, "schedules": "constant"}), store)
    assert not found.complete


def test_a_study_with_failed_runs_says_so_and_a_success_forgets_them(tmp_path, without_cifar):
    settings = {"dataset": "cifar10", "seeds": 2, "schedules": ["constant"]}
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(StudyError, match=r"2 of 2 runs failed, the first of them \w{16} .*failures"),
    ):
        bnstudy.run_study("decay", settings, data_dir=tmp_path, progress=False, executor=pool)
    store = Store(tmp_path)
    assert len(status(plan_of("decay", settings), store).failed) == 2

    name = plan_of("decay", SMALL).runs()[0].spec.name
    (tmp_path / "failures" / f"{name}.json").write_text('{"error": "it was late"}')
    assert status(plan_of("decay", SMALL), store).failed == {name: "it was late"}
    bnstudy.run_study("decay", SMALL, data_dir=tmp_path, progress=False)
    assert not (tmp_path / "failures" / f"{name}.json").exists()


def test_a_damaged_record_is_set_aside_and_trained_again(recorded, tmp_path):
    bnstudy.run_study("decay", SMALL, data_dir=tmp_path, progress=False)
    store = Store(tmp_path)
    broken, sound = (run.spec for run in plan_of("decay", SMALL).runs())
    untouched = (store.path(sound) / "record.json").stat().st_mtime_ns
    path = store.path(broken) / "evaluation.csv.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"test", b"tset", 1)))
    damaged = path.read_bytes()

    with pytest.raises(LookupError, match=rf"{broken.name} is damaged: evaluation.csv.gz.*bnstudy run decay"):
        bnstudy.load("decay", tmp_path, **SMALL)
    assert list(status(plan_of("decay", SMALL), store).damaged) == [broken.name]

    frames = bnstudy.run_study("decay", SMALL, data_dir=tmp_path, progress=False)
    assert frames.trained == [broken.name]
    assert content(tmp_path) == content(recorded[0])
    assert (store.path(sound) / "record.json").stat().st_mtime_ns == untouched
    assert (tmp_path / "damaged" / f"{broken.name}.0" / "evaluation.csv.gz").read_bytes() == damaged


def test_a_record_of_other_code_is_used_and_flagged(tmp_path):
    store = Store(tmp_path)
    specs = [run.spec for run in plan_of("decay", SMALL).runs()]
    for spec in specs:
        store.write(spec, {"source": "of last year"}, "finished", {"training": {}, "evaluation": {}})
    frames = bnstudy.load("decay", tmp_path, **SMALL)
    assert frames.stale == frames.runs == sorted(spec.name for spec in specs)
    assert len(status(plan_of("decay", SMALL), store).stale) == 2


def test_a_run_that_another_process_records_meanwhile_is_not_trained(recorded, tmp_path):
    frames = bnstudy.run_study("decay", SMALL, data_dir=tmp_path, progress=False)
    specs = [run.spec for run in plan_of("decay", SMALL).runs()]
    report = run_all(specs, Store(tmp_path), progress=False)
    assert report.elsewhere == [spec.name for spec in specs]
    assert report.trained == []
    assert len(frames.trained) == 2


def test_a_lock_has_one_holder(tmp_path):
    store = Store(tmp_path)
    first, second = RunLock(store, "a"), RunLock(store, "a")
    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()


def test_fleets_give_the_same_records_within_rounding(recorded, tmp_path):
    settings = {**SMALL, "seeds": 3}
    specs = [run.spec for run in plan_of("decay", settings).runs()]
    store = Store(tmp_path)
    report = run_all(specs, store, fleet=2, progress=False)
    assert report.trained == [spec.name for spec in specs]
    fleets = [store.read(spec.name).provenance.get("fleet") for spec in specs]
    assert fleets == [{"size": 2, "index": 0}, {"size": 2, "index": 1}, None]
    alone = recorded[1]["training"]
    together = bnstudy.load("decay", tmp_path, **settings)["training"]
    both = alone.merge(together, on=["run", "step"], suffixes=("", "_fleet"))
    assert len(both) == len(alone)
    assert (both["loss"] - both["loss_fleet"]).abs().max() < 0.02  # a bfloat16 has eight bits
