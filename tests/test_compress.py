"""Compressed records: smaller, the same to the last byte, and whole at whatever moment a rewriting ends."""

from __future__ import annotations

import dataclasses
import errno
import gzip
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bnstudy.cli import main
from bnstudy.records import gzipped
from bnstudy.records.compress import compress
from bnstudy.records.gzipped import packed, unpacked
from bnstudy.records.lock import RunLock
from bnstudy.records.package import describe, is_current
from bnstudy.records.spec import RunSpec
from bnstudy.records.store import RecordError, Store, written
from tests.earlier import as_earlier

ROOT = Path(__file__).parents[1]
MADE_BEFORE = ROOT / "tests" / "digits_records"
HITS = np.arange(400, dtype=np.uint8).reshape(4, 100)
WEIGHTS = np.linspace(-1, 1, 60, dtype=np.float32).reshape(2, 30)


def training(count=40, seed=0):
    chance = np.random.default_rng(seed)
    return {
        "step": list(range(1, count + 1)),
        "loss": chance.random(count).tolist(),
        "accuracy": chance.random(count).tolist(),
        "learning_rate": [0.001] * count,
    }


def write(store, seed=0, **more):
    tables = {"training": training(seed=seed), "evaluation": {}, **more}
    return store.write(RunSpec(seed=seed), {"source": "abc"}, "finished", tables)


def files(folder):
    """Every file but locks, by its path in the folder."""
    found = sorted(p for p in folder.rglob("*") if p.is_file() and ".locks" not in p.parts)
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


def contents(store):
    """All that the records hold, however they are kept."""
    return {
        r.spec.name: (r.spec, r.provenance, r.outcome, {t: store.content(r, t) for t in r.tables})
        for r in store.records()
    }


@pytest.fixture
def pair(tmp_path):
    """Two records, one of them with arrays: as today's are written, and as those before were."""
    today, before = Store(tmp_path / "today"), Store(tmp_path / "before")
    write(today)
    write(today, seed=1, hits=HITS, snapshot_parameters=WEIGHTS, snapshots={"step": [1, 2]})
    shutil.copytree(today.root, before.root)
    for name in before.names():
        as_earlier(before, name)
    describe(today)
    describe(before)
    return today, before


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=2000) | st.text("0123456789,.\n", max_size=3000).map(str.encode))
@example(b"")
def test_gzip_takes_everything_in_and_gives_it_back(content):
    kept = packed(content)
    assert unpacked(kept) == content
    assert gzip.decompress(kept) == content
    assert unpacked(gzip.compress(content, 1)) == content  # another one's, with a time
    assert (kept[:3], kept[3], kept[4:8]) == (b"\x1f\x8b\x08", 0, bytes(4))  # no name, no time
    assert packed(content) == kept


TEXT = packed("".join(f"run,{i},{i / 7:.9g}\n" for i in range(60)).encode())


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=40), st.integers(1, len(TEXT)))
@example(bytes(8), 1)
@example(packed(b""), 8)
@example(TEXT, len(TEXT))
def test_what_is_cut_short_or_goes_on_is_refused(more, cut):
    for damaged in (TEXT + more, TEXT[:-cut], TEXT[cut:]):
        with pytest.raises(ValueError, match=r"gzip|short|follow|Error|allowed"):
            unpacked(damaged)


def test_a_small_file_does_not_fill_the_memory():
    zeros = bytearray(packed(bytes(2**26)))
    assert len(zeros) < 2**17
    tracemalloc.start()
    try:
        # As many as it has, but it says ten; then more than any table has.
        for said, error in ((10, "more than it says"), (2**31, "says that it holds 2147483648 bytes")):
            zeros[-4:] = said.to_bytes(4, "little")
            with pytest.raises(ValueError, match=error):
                unpacked(bytes(zeros))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_what_could_not_be_read_again_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(gzipped, "LARGEST", 1000)
    with pytest.raises(ValueError, match=r"'training' is a file of \d+ bytes; allowed: at most 1000"):
        write(Store(tmp_path))
    assert not Store(tmp_path).runs.exists()


def test_tables_are_compressed_and_arrays_where_it_gains(pair):
    today, before = pair
    record = today.read(RunSpec(seed=1).name)
    assert record.format == 4
    assert {p.name for p in today.path(record.spec).iterdir()} == {
        "record.json",
        "training.csv.gz",
        "evaluation.csv.gz",
        "snapshots.csv.gz",
        "hits.npy.gz",
        "snapshot_parameters.npy",
    }
    table = pd.read_csv(today.path(record.spec) / "training.csv.gz")
    assert table["loss"].tolist() == [float(f"{x:.9g}") for x in training(seed=1)["loss"]]
    with gzip.open(today.path(record.spec) / "hits.npy.gz") as file:
        np.testing.assert_array_equal(np.load(file, allow_pickle=False), HITS)
    np.testing.assert_array_equal(today.array(record, "hits"), HITS)
    assert {r.format for r in before.records()} == {2, 3}
    assert contents(before) == contents(today)


_FIELD = st.floats(width=32) | st.none()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(1, 10**6), _FIELD, _FIELD, _FIELD), max_size=12), twice=st.booleans()
)
def test_rewriting_gives_what_writing_gives(tmp_path, rows, twice):
    shutil.rmtree(tmp_path)
    today, before = Store(tmp_path / "today"), Store(tmp_path / "before")
    columns = zip(*rows, strict=True) if rows else [[]] * 4
    table = dict(zip(("step", "loss", "accuracy", "learning_rate"), map(list, columns), strict=True))
    write(today, training=table, **({"hits": HITS} if twice else {}))
    shutil.copytree(today.root, before.root)
    as_earlier(before, RunSpec().name)
    held = contents(before)
    done = compress(before)
    assert done.rewritten == [RunSpec().name]
    assert contents(before) == held
    assert files(before.runs) == files(today.runs)


def test_real_records_of_the_first_format_are_read_and_rewritten(tmp_path):
    store = Store(shutil.copytree(MADE_BEFORE, tmp_path / "data"))
    held = contents(store)
    assert {r.format for r in store.records()} == {2}
    done = compress(store)
    assert (len(done.rewritten), done.already, done.complete) == (len(held), [], True)
    assert contents(store) == held
    assert done.after == sum(len(content) for content in files(store.runs).values())
    assert done.before == sum(len(content) for content in files(MADE_BEFORE / "runs").values())
    again = compress(store)
    assert (again.rewritten, again.already) == ([], done.rewritten)
    assert again.before == again.after == done.after


def test_a_kill_at_any_moment_loses_nothing(pair, tmp_path):
    today, before = pair
    target = tmp_path / "killed"
    target.mkdir()
    command = [sys.executable, "-m", "tests.earlier", str(before.root), str(target)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=ROOT)
    held, whole = contents(before), files(today.root)
    stopped = sorted(target.iterdir())
    assert len(stopped) > 20
    states = set()
    for folder in stopped:
        store = Store(folder)
        assert contents(store) == held
        states.add(tuple(files(folder)))
        compress(store)
        # A begun index is as `describe` leaves it: another process may be writing one.
        assert {k: v for k, v in files(folder).items() if not k.endswith(".partial") or "/" in k} == whole
    assert len(states) > 10  # begun files, both forms side by side, either header


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_loses_nothing_whenever_it_fills(pair, tmp_path, monkeypatch, call):
    today, before = pair
    held, real = contents(before), getattr(os, call)
    for room in range(100):
        folder = Path(shutil.copytree(before.root, tmp_path / f"{room}"))
        calls = []

        def full(*arguments, room=room, calls=calls):
            calls.append(arguments)
            if len(calls) > room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            try:
                compress(Store(folder))
            except RecordError as error:
                assert "No space left on device" in str(error)  # noqa: PT017
            else:
                break
        assert contents(Store(folder)) == held
        compress(Store(folder))
        assert files(folder) == files(today.root)
    assert room > 6


def test_damaged_newer_and_busy_records_are_named_and_left(pair, capsys):
    _, before = pair
    for seed in (2, 3):
        write(before, seed)
    damaged, newer, busy = (RunSpec(seed=seed).name for seed in (1, 2, 0))
    (before.runs / damaged / "hits.npy").write_bytes(b"\x93NUMPY")
    header = before.runs / newer / "record.json"
    header.write_bytes(written({**json.loads(header.read_text()), "format": 5}))
    kept = {name: files(before.runs / name) for name in (damaged, newer, busy)}
    lock = RunLock(before, busy)
    assert lock.acquire()
    try:
        assert main(["compress", "--data-dir", str(before.root), "--json"]) == 4
    finally:
        lock.release()
    found = json.loads(capsys.readouterr().out)
    assert list(found["damaged"]) == [damaged]
    assert "hits.npy doesn't match its checksum" in found["damaged"][damaged]
    assert list(found["newer"]) == [newer]
    assert (found["in_use"], found["already"]) == ([busy], [RunSpec(seed=3).name])
    assert {name: files(before.runs / name) for name in kept} == kept
    assert main(["compress", "--data-dir", str(before.root)]) == 4
    said = capsys.readouterr()
    assert "1 records compressed, 1 were so before" in said.out
    assert f"left as it is: the record {before.runs / damaged} is damaged" in said.err
    assert files(before.runs / damaged) == kept[damaged]


def test_the_command_says_what_it_saved_and_describes_the_records(pair, capsys):
    today, before = pair
    was, now = (sum(map(len, files(s.runs).values())) for s in (before, today))
    assert main(["compress", "--data-dir", str(before.root)]) == 0
    said = capsys.readouterr().out
    assert f"2 records compressed, 0 were so before, in {before.runs}" in said
    assert f"{was:,} bytes before, {now:,} now, {was - now:,} saved" in said
    assert is_current(before)
    assert files(before.root) == files(today.root)


def test_nothing_is_made_where_there_are_no_records(tmp_path):
    assert main(["compress", "--data-dir", str(tmp_path / "nowhere")]) == 0
    assert list(tmp_path.iterdir()) == []


def test_whoever_read_the_header_before_can_read_on(pair):
    _, before = pair
    records = list(before.records())
    held = contents(before)
    compress(before)
    for record in records:
        assert {t: before.content(record, t) for t in record.tables} == held[record.spec.name][3]
    # Today's files under a header of before are none that it names.
    folder = before.path(records[0].spec)
    body = {**json.loads((folder / "record.json").read_text()), "format": records[0].format}
    (folder / "record.json").write_bytes(written(body))
    with pytest.raises(RecordError, match=f"{folder.name} is damaged: .*No such file"):
        before.read(folder.name)


@pytest.mark.parametrize("change", [lambda b: b[:-9], lambda b: b + b"\0", lambda b: b[::-1], lambda b: b""])
def test_a_damaged_gzip_file_is_named(pair, change):
    today, _ = pair
    path = today.runs / RunSpec(seed=1).name / "hits.npy.gz"
    path.write_bytes(change(path.read_bytes()))
    message = f"the record {path.parent} is damaged: hits.npy.gz can't be unpacked: "
    scan = today.scan()
    assert str(scan.damaged[path.parent.name]).startswith(message)
    assert list(scan.sound) == [RunSpec().name]


def test_other_content_in_a_sound_gzip_file_is_found(pair):
    today, _ = pair
    path = today.runs / RunSpec().name / "training.csv.gz"
    path.write_bytes(packed(gzip.decompress(path.read_bytes()).replace(b"0.001", b"0.002", 1)))
    with pytest.raises(RecordError, match=r"training\.csv\.gz doesn't match its checksum"):
        today.read(path.parent.name)


@pytest.mark.parametrize(("seed", "other"), [(0, 3), (1, 2), (0, 1), (1, True)])
def test_a_header_that_names_another_format_than_its_files_is_damaged(pair, seed, other):
    _, before = pair
    header = before.runs / RunSpec(seed=seed).name / "record.json"
    header.write_bytes(written({**json.loads(header.read_text()), "format": other}))
    assert list(before.scan().damaged) == [header.parent.name]


def test_a_record_remembers_its_format(pair):
    _, before = pair
    record = before.read(RunSpec().name)
    assert record.format == 2
    assert dataclasses.replace(record, format=4) != record
