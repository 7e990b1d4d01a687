"""Records: whole or not there, and found out when damaged."""

from __future__ import annotations

import errno
import json
import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnstudy.spec import RunSpec
from bnstudy.study.store import Record, RecordError, Store


def record(seed=0):
    tables = {"training": {"step": [1], "loss": [2.5], "accuracy": [0.1], "learning_rate": [0.001]}}
    return Record(RunSpec(seed=seed), {"source": "abc"}, "finished", tables)


def test_a_record_comes_back_as_it_was(tmp_path):
    store = Store(tmp_path)
    path = store.write(record())
    assert store.read(path) == record()
    assert list(store.records()) == [record()]
    assert [p.name for p in store.runs.iterdir()] == [f"{record().spec.run_id}.json"]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_flipped_bit_is_found(tmp_path, data):
    store = Store(tmp_path)
    path = store.write(record())
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 2))  # the last byte is the line's end
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with pytest.raises(RecordError, match=re.escape(str(path))):
        store.read(path)


def test_a_truncated_record_is_found(tmp_path):
    store = Store(tmp_path)
    path = store.write(record())
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RecordError, match="damaged"):
        list(store.records())


def test_a_record_under_another_runs_name_is_found(tmp_path):
    store = Store(tmp_path)
    path = store.write(record(0))
    other = store.path(RunSpec(seed=1))
    path.rename(other)
    with pytest.raises(RecordError, match="not the run that its name says"):
        store.read(other)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_earlier_records_and_no_half_one(tmp_path, monkeypatch, call):
    store = Store(tmp_path)
    store.write(record(0))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(RecordError, match=r"can't write the record .*No space left on device"):
            store.write(record(1))
    assert [r.spec.seed for r in store.records()] == [0]
    assert len(list(store.runs.iterdir())) == 1


def test_records_are_one_line_of_json(tmp_path):
    text = Store(tmp_path).write(record()).read_text()
    assert text.count("\n") == 1
    assert json.loads(text)["format"] == 1
