"""Records: whole or not there, and found out when damaged."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnstudy.records.spec import RunSpec
from bnstudy.records.store import RecordError, Store

TABLES = {
    "training": {"step": [1], "loss": [2.5], "accuracy": [0.1], "learning_rate": [0.001]},
    "evaluation": {},
}


def write(store, seed=0):
    return store.write(RunSpec(seed=seed), {"source": "abc"}, "finished", TABLES)


def test_a_record_comes_back_as_it_was(tmp_path):
    store = Store(tmp_path)
    record = write(store)
    assert store.read(record.spec.name) == record
    assert list(store.records()) == [record]
    assert store.table(record, "training").splitlines()[1] == f"{record.spec.name},1,2.5,0.1,0.001".encode()
    names = {p.name for p in store.path(record.spec).iterdir()}
    assert names == {"record.json", "training.csv", "evaluation.csv"}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_flipped_bit_is_found(tmp_path, data):
    store = Store(tmp_path)
    shutil.rmtree(store.runs, ignore_errors=True)
    record, other = write(store), write(store, seed=1)
    files = sorted(store.path(record.spec).iterdir())
    path = data.draw(st.sampled_from(files))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with pytest.raises(RecordError, match=re.escape(str(path.parent))):
        store.read(record.spec.name)
    scan = store.scan()
    assert list(scan.damaged) == [record.spec.name]
    assert list(scan.sound) == [other.spec.name]


@pytest.mark.parametrize("name", ["record.json", "training.csv"])
def test_a_missing_or_truncated_file_is_found(tmp_path, name):
    store = Store(tmp_path)
    path = store.path(write(store).spec) / name
    path.write_bytes(path.read_bytes()[:-10])
    assert len(store.scan().damaged) == 1
    path.unlink()
    assert len(store.scan().damaged) == 1


def test_a_record_under_another_runs_name_is_found(tmp_path):
    store = Store(tmp_path)
    other = store.path(RunSpec(seed=1))
    store.path(write(store).spec).rename(other)
    with pytest.raises(RecordError, match="not the run that its name says"):
        store.read(other.name)


def test_what_is_set_aside_hides_nothing_and_is_kept(tmp_path):
    store = Store(tmp_path)
    name = write(store).spec.name
    first = store.set_aside(name)
    write(store)
    second = store.set_aside(name)
    assert first != second
    assert all((p / "record.json").exists() for p in (first, second))
    assert store.names() == []


def test_what_a_killed_writer_left_is_no_record(tmp_path):
    store = Store(tmp_path)
    spec = RunSpec()
    store.partial(spec.name).mkdir(parents=True)
    (store.partial(spec.name) / "training.csv").write_text("half a ta")
    assert store.names() == []
    assert write(store) == store.read(spec.name)
    assert [p.name for p in store.runs.iterdir()] == [spec.name]


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_full_disk_leaves_earlier_records_and_no_half_one(tmp_path, monkeypatch, call):
    store = Store(tmp_path)
    first = write(store)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(RecordError, match=r"can't write the record .*No space left on device"):
            write(store, seed=1)
    assert list(store.records()) == [first]
    assert [p.name for p in store.runs.iterdir()] == [first.spec.name]


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs rights that this user lacks")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_really_full_disk(small_disk):
    store = Store(small_disk)
    written = []

    def fill():
        for seed in range(100):
            written.append(write(store, seed))

    with pytest.raises(RecordError, match=r"No space left on device"):
        fill()
    assert written
    assert {r.spec.name for r in store.records()} == {r.spec.name for r in written}
    assert not list(store.runs.glob(".*"))
