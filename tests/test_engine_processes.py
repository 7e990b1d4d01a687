"""The engine under real processes: killed, doubled, interrupted, spread over a cluster."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from bnstudy.blocks.step_costs import StepCostsStudy
from bnstudy.cli import main
from bnstudy.records.store import Store
from bnstudy.study import executors, run
from bnstudy.study.executors import InProcess
from tests.engine import ENVIRONMENT, RUNS, command, content, fork, start


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The folder of a study that ran in one go."""
    folder, out = tmp_path_factory.mktemp("uninterrupted"), tmp_path_factory.mktemp("said") / "out.json"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)  # the server of all forks is started with it
        process = fork(folder, out)
    process.join(120)
    assert process.exitcode == 0, out.read_text()
    assert len(json.loads(out.read_text())["trained"]) == RUNS
    return folder


@pytest.fixture(scope="module")
def uninterrupted(reference):
    return content(reference)


@pytest.fixture
def one_thread(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)  # forked processes inherit it


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition() and running(process) and time.monotonic() < end:
        time.sleep(0.01)
    assert time.monotonic() < end, "waited in vain"


def running(process) -> bool:
    return process.poll() is None if isinstance(process, subprocess.Popen) else process.is_alive()


def locks(folder: Path) -> float:
    # A run that starts makes or touches its lock.
    return max((p.stat().st_mtime for p in (folder / ".locks").glob("*")), default=0.0)


@pytest.mark.usefixtures("one_thread")
def test_ten_kills_leave_the_store_that_an_uninterrupted_study_leaves(tmp_path, reference, uninterrupted):
    chance = random.Random()
    # Within one run or the next, so that ten kills fit into twelve runs.
    longest = 1.5 * min(record.provenance["wall_seconds"] for record in Store(reference).records())
    kills = 0
    for _ in range(10):
        before = locks(tmp_path)
        process = fork(tmp_path)
        wait_for(lambda before=before: locks(tmp_path) > before, process)
        time.sleep(chance.uniform(0, longest))
        if process.is_alive():
            process.kill()
            kills += 1
        process.join()
        assert not Store(tmp_path).scan().damaged
    assert kills >= 8
    out = tmp_path / "said"
    process = fork(tmp_path, out)
    process.join()
    assert process.exitcode == 0, out.read_text()
    assert content(tmp_path) == uninterrupted


@pytest.mark.usefixtures("one_thread")
def test_two_processes_train_each_run_once(tmp_path, uninterrupted):
    said = [tmp_path / "first.json", tmp_path / "second.json"]
    both = [fork(tmp_path, out) for out in said]
    for process, out in zip(both, said, strict=True):
        process.join(200)
        assert process.exitcode == 0, out.read_text()
    first, second = (set(json.loads(out.read_text())["trained"]) for out in said)
    assert first | second == {Path(name).parts[1] for name in uninterrupted}
    assert not first & second
    assert first
    assert second
    assert content(tmp_path) == uninterrupted


@pytest.mark.usefixtures("one_thread")
def test_ctrl_c_stops_after_the_run_in_flight(tmp_path):
    out = tmp_path / "said"
    process = fork(tmp_path, out)
    wait_for(lambda: locks(tmp_path) > 0, process)
    os.kill(process.pid, signal.SIGINT)
    process.join(100)
    assert process.exitcode == 130, out.read_text()
    assert "stopping after the runs in flight" in out.read_text()
    scan = Store(tmp_path).scan()
    started = {p.stem for p in (tmp_path / ".locks").glob("*.lock")}
    assert 1 <= len(scan.sound) < RUNS
    assert started <= set(scan.sound)
    assert not scan.damaged


def test_workers_give_the_same_records_though_one_of_them_is_killed(tmp_path, uninterrupted):
    psutil = pytest.importorskip("psutil")
    process = start(tmp_path, "--workers", "2")
    wait_for(lambda: any(tmp_path.glob("runs/[!.]*")), process)
    started = (child for child in psutil.Process(process.pid).children(recursive=True))
    next(child for child in started if "spawn_main" in " ".join(child.cmdline())).kill()
    out, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert len(json.loads(out)["trained"]) == RUNS
    found = content(tmp_path)
    # Two cores for two workers: one thread each, as in the sequential run.
    if found[next(name for name in found if name.endswith("record.json"))]["provenance"]["threads"] == 1:
        assert found == uninterrupted
    assert found.keys() == uninterrupted.keys()


def _die(path):
    path.write_text(path.read_text() + "x")
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_run_that_kills_every_worker_fails_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "RETRIES", 1)
    tries = tmp_path / "tries"
    tries.write_text("")
    with executors.processes(2) as pool:
        bad, good = pool.submit(_die, tries), pool.submit(os.getpid)
        assert good.result(60) != os.getpid()
        assert "the process that did it died" in str(bad.exception(120))
        assert pool.submit(abs, -1).result(60) == 1
    assert len(tries.read_text()) == 1 + executors.RETRIES


def test_each_run_can_have_a_process_of_its_own():
    with executors.processes(1, fresh=True) as pool:
        fresh = [pool.submit(os.getpid).result(60) for _ in range(3)]
    with executors.processes(1) as pool:
        same = [pool.submit(os.getpid).result(60) for _ in range(2)]
    assert len({*fresh, os.getpid()}) == 4
    assert len(set(same)) == 1


@pytest.mark.parametrize("workers", [None, 2])
def test_a_study_whose_sample_is_processes_gets_one_a_run(tmp_path, monkeypatch, workers):
    asked = []

    @contextmanager
    def given(count, *, fresh=False):
        asked.append((count, fresh))
        yield InProcess()

    given_workers = executors.processes
    monkeypatch.setattr(executors, "processes", given)
    plan = StepCostsStudy(dataset="digits", seeds=2, rounds=1, steps=1, batch_size=8)
    if workers is None:
        run.run_plan(plan, data_dir=tmp_path, progress=False)
    else:
        with given_workers(workers) as pool:
            run.run_plan(plan, data_dir=tmp_path, progress=False, executor=pool)
    assert asked == [(1, True)]
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_workers_end_with_a_killed_parent(tmp_path):
    psutil = pytest.importorskip("psutil")
    process = start(tmp_path, "--workers", "2")
    wait_for(lambda: psutil.Process(process.pid).children(recursive=True), process)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive


@pytest.fixture
def cluster(tmp_path):
    """A Dask scheduler and two workers, on loopback, as processes of their own."""
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    quiet = {"env": ENVIRONMENT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    local = ["--host", "127.0.0.1", "--no-dashboard"]
    scheduler = subprocess.Popen(
        [*dask, "scheduler", *local, "--port", "0", "--scheduler-file", str(file)], **quiet
    )
    worker = [*dask, "worker", "--scheduler-file", str(file), *local, "--nthreads", "1", "--no-nanny"]
    workers = [subprocess.Popen(worker, **quiet) for _ in range(2)]
    try:
        wait_for(lambda: file.exists() and file.read_text().strip().endswith("}"), scheduler)
        yield json.loads(file.read_text())["address"], workers
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


def test_a_cluster_completes_the_study_though_a_worker_is_killed(tmp_path, cluster, uninterrupted):
    address, workers = cluster
    folder = tmp_path / "data"
    process = start(folder, "--scheduler", address)
    wait_for(lambda: len(Store(folder).names()) >= 2, process)
    workers[0].kill()
    out, error = process.communicate(timeout=200)
    assert process.returncode == 0, error
    assert len(json.loads(out)["trained"]) == RUNS
    assert content(folder) == uninterrupted


def test_no_scheduler_is_a_clear_error(tmp_path, monkeypatch, capsys):
    pytest.importorskip("distributed")
    monkeypatch.setattr(executors, "PATIENCE", 1)
    assert main(command(tmp_path, "--scheduler", "tcp://127.0.0.1:1")[3:]) == 1
    said = capsys.readouterr().err
    assert "bnstudy: scheduler is 'tcp://127.0.0.1:1'; no Dask scheduler answers there" in said
