"""Records: whole or not there, and found out when damaged."""

from __future__ import annotations

import dataclasses
import errno
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnstudy.records.files import write_file
from bnstudy.records.spec import RunSpec
from bnstudy.records.store import NewerError, RecordError, Store, written

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
    assert names == {"record.json", "training.csv.gz", "evaluation.csv.gz"}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_flipped_bit_is_found(two_records, data):
    store, record, other = two_records
    files = sorted(store.path(record.spec).iterdir())
    path = data.draw(st.sampled_from(files))
    kept = path.read_bytes()
    content = bytearray(kept)
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        if path.suffix == ".gz" and not store.scan().damaged:
            # It changed nothing that a table holds, such as the day in gzip's header.
            assert store.content(record, path.name.partition(".")[0]) == gzip.decompress(kept)
            return
        with pytest.raises(RecordError, match=re.escape(str(path.parent))):
            store.read(record.spec.name)
        scan = store.scan()
        assert list(scan.damaged) == [record.spec.name]
        assert list(scan.sound) == [other.spec.name]
    finally:
        path.write_bytes(kept)


@pytest.fixture
def two_records(tmp_path):
    store = Store(tmp_path)
    return store, write(store), write(store, seed=1)


@pytest.mark.parametrize("name", ["record.json", "training.csv.gz"])
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


HITS = np.arange(12, dtype=np.uint8).reshape(3, 4)
WEIGHTS = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize("values", [HITS, HITS[::2], HITS.T[:2], np.zeros((0, 4), np.uint8)])
def test_an_array_comes_back_as_it_was(tmp_path, values):
    store = Store(tmp_path)
    record = store.write(RunSpec(), {}, "finished", {**TABLES, "hits": values})
    assert store.read(record.spec.name) == record
    found = store.array(record, "hits")
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)
    with pytest.raises(ValueError, match="read-only"):
        found[:1] = 7
    header = json.loads((store.path(record.spec) / "record.json").read_text())
    assert header["format"] == 4  # which versions before leave alone
    assert (store.path(record.spec) / "hits.npy.gz").exists()
    with pytest.raises(ValueError, match="table is 'hits'; allowed: training"):
        store.table(record, "hits")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("misses", HITS, "array is 'misses'; allowed: hits"),
        ("hits", HITS.astype(np.int64), r"type int64 and the shape \(3, 4\); allowed: uint8, with 2 axes"),
        ("hits", HITS[0], r"shape \(4,\); allowed: uint8, with 2 axes"),
        ("hits", np.array([[object()]]), "type object"),
        ("../hits", HITS, r"array is '\.\./hits'"),
        ("training", HITS, "array is 'training'"),
        ("hits", {}, "table is 'hits'"),
    ],
)
def test_an_array_that_is_not_what_it_must_be(tmp_path, name, values, message):
    with pytest.raises(ValueError, match=message):
        Store(tmp_path).write(RunSpec(), {}, "finished", {name: values})
    assert not Store(tmp_path).runs.exists()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_flipped_bit_of_an_array_is_found(tmp_path, data):
    store = Store(tmp_path)
    shutil.rmtree(store.runs, ignore_errors=True)
    record = store.write(RunSpec(), {}, "finished", {"snapshot_parameters": WEIGHTS})
    path = store.path(record.spec) / "snapshot_parameters.npy"
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"snapshot_parameters\.npy doesn't match its checksum"):
        store.read(record.spec.name)
    with pytest.raises(RecordError, match=r"snapshot_parameters\.npy doesn't match its checksum"):
        store.array(record, "snapshot_parameters")


def test_a_pickle_is_never_read(tmp_path):
    store = Store(tmp_path)
    record = store.write(RunSpec(), {}, "finished", {"hits": HITS})
    folder = store.path(record.spec)
    pickled = io.BytesIO()
    np.save(pickled, np.array([[print]], dtype=object), allow_pickle=True)
    content = pickled.getvalue()
    (folder / "hits.npy.gz").write_bytes(gzip.compress(content))
    forged = {**record.tables, "hits": hashlib.sha256(content).hexdigest()}
    with pytest.raises(RecordError, match="is damaged: Object arrays cannot be loaded"):
        store.array(dataclasses.replace(record, tables=forged), "hits")


def header(store, record, **changes):
    path = store.path(record.spec) / "record.json"
    path.write_bytes(written({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 5},
        {"format": "next"},
        {"more": 1},
        {"spec": {"kind": "train", "unheard_of": 1}},
        {"spec": {"kind": "train", "norm": "layer"}},
        {"tables": {"unheard_of": "0" * 64}},
        {"tables": {"../../escape": "0" * 64}},
        {"tables": {"/etc/passwd": "0" * 64}},
    ],
)
def test_what_this_version_does_not_know_is_newer_and_left_alone(tmp_path, changes):
    store = Store(tmp_path)
    record, other = write(store), write(store, seed=1)
    header(store, record, **changes)
    with pytest.raises(
        NewerError, match=f"{record.spec.name} says what this version doesn't know .* upgrade"
    ):
        store.read(record.spec.name)
    scan = store.scan()
    assert (list(scan.newer), scan.damaged, list(scan.sound)) == ([record.spec.name], {}, [other.spec.name])


@pytest.mark.parametrize(
    "changes",
    [
        {"provenance": []},
        {"provenance": "made"},
        {"outcome": None},
        {"tables": []},
        {"tables": None},
        {"tables": {"training": 3}},
        {"run": "0" * 64},
        {"spec": None},
        {"spec": []},
    ],
)
def test_a_header_that_holds_nonsense_is_damaged(tmp_path, changes):
    store = Store(tmp_path)
    record, other = write(store), write(store, seed=1)
    header(store, record, **changes)
    scan = store.scan()
    assert (list(scan.damaged), list(scan.sound)) == ([record.spec.name], [other.spec.name])


@pytest.mark.parametrize("content", ["[" * 200_000, '{"a":' * 200_000, "[1]", "7", "", "\0", '{"format": 2}'])
def test_whatever_a_header_holds_it_is_damage_and_no_crash(tmp_path, content):
    store = Store(tmp_path)
    record = write(store)
    (store.path(record.spec) / "record.json").write_text(content)
    assert list(store.scan().damaged) == [record.spec.name]


def test_a_link_that_leads_nowhere_is_a_damaged_record(tmp_path):
    store = Store(tmp_path)
    store.runs.mkdir()
    (store.runs / RunSpec().name).symlink_to(tmp_path / "gone")
    assert list(store.scan().damaged) == [RunSpec().name]
    assert list(store.scan([RunSpec().name]).damaged) == [RunSpec().name]
    store.set_aside(RunSpec().name)
    assert write(store) == store.read(RunSpec().name)


def test_a_record_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """Each file and folder that changed is synced, in an order that survives a power cut at any moment."""
    store = Store(tmp_path)
    done = []
    fsync, rename = os.fsync, os.rename

    def watched_sync(descriptor):
        done.append(("sync", Path(os.readlink(f"/proc/self/fd/{descriptor}"))))
        fsync(descriptor)

    def watched_rename(old, new, **more):
        done.append(("rename", Path(new)))
        rename(old, new, **more)

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(os, "rename", watched_rename)
    record = write(store)
    partial, target = store.partial(record.spec.name), store.path(record.spec)
    at = done.index(("rename", target))
    files = {("sync", partial / p.name) for p in target.iterdir()}
    assert len(files) == 3
    assert files | {("sync", partial)} <= set(done[:at])
    assert ("sync", store.runs) in done[at:]


def test_a_file_is_on_the_disk_before_it_replaces_another(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace

    def watched_sync(descriptor):
        done.append(("sync", Path(os.readlink(f"/proc/self/fd/{descriptor}"))))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append(("replace", paths[0])), replace(*paths)))
    write_file(tmp_path / "index", b"new")
    (_, first), (_, partial), (_, folder) = done
    assert first == partial
    assert folder == tmp_path
    assert (tmp_path / "index").read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["index"]
