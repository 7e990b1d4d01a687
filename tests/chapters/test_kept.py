"""Records that are read once: they are read again as soon as one of their files changes."""

from __future__ import annotations

import pytest

from bnstudy.blocks.core import CoreStudy
from bnstudy.chapters import kept
from bnstudy.chapters.found import EXPERIMENTS
from bnstudy.records.store import RecordError, Store


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A folder with all planned runs of a small core block, which is the only study there is."""

    class Small(CoreStudy):
        dataset: str = "digits"
        seeds: int = 2

    monkeypatch.setitem(EXPERIMENTS, "core", Small)
    found = Store(tmp_path)
    rows = {"step": [1, 2], "loss": [2.0, 1.0], "accuracy": [0.1, 0.2], "learning_rate": [0.1, 0.1]}
    for run in Small().runs():
        found.write(
            run.spec,
            {"device": "planted", "wall_seconds": 1.0, "source": "planted"},
            "finished",
            {"training": rows},
        )
    return found


def test_what_stays_is_read_once(store, monkeypatch):
    kept.records_of(range(100, 200), store)
    kept.frames_of("core", store.root)
    monkeypatch.setattr(Store, "read", lambda *_: pytest.fail("read again"))
    assert len(kept.records_of(range(100, 200), store)) == 4
    assert len(kept.frames_of("core", store.root)["training"]) == 8


def test_a_changed_file_is_read_again(store):
    first = kept.records_of(range(100, 200), store)
    (table,) = sorted(store.runs.glob(f"{first[0].spec.name}/training*"))
    table.write_bytes(table.read_bytes()[::-1])  # as long as it was
    with pytest.raises(RecordError, match="is damaged: training"):
        kept.records_of(range(100, 200), store)


def test_a_record_that_goes_is_gone(store):
    before = kept.state_of(store)
    for file in (path := store.runs / kept.records_of(range(100, 200), store)[0].spec.name).iterdir():
        file.unlink()
    path.rmdir()
    assert kept.state_of(store) != before
    assert len(kept.records_of(range(100, 200), store)) == 3


def test_no_folder_has_no_records(tmp_path):
    assert kept.records_of(range(100, 200), Store(tmp_path / "nowhere")) == ()
