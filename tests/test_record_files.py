"""The records as the book publishes them: whole, described, in an archive that is the same each time."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXTENSION = ROOT / "book" / "_ext" / "record_files.py"
RECORDED = ROOT / "data"


@pytest.fixture(scope="module")
def record_files():
    spec = importlib.util.spec_from_file_location("record_files_extension", EXTENSION)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def data(tmp_path):
    """Three real records."""
    for run in sorted((RECORDED / "runs").iterdir())[:3]:
        shutil.copytree(run, tmp_path / "data" / "runs" / run.name)
    return tmp_path / "data"


def test_every_file_of_every_record_is_there_and_described(record_files, data, tmp_path):
    site = tmp_path / "site" / "records"
    record_files.publish(data, site)
    for file in data.rglob("*.*"):
        assert (site / file.relative_to(data)).read_bytes() == file.read_bytes()
    package = json.loads((site / "datapackage.json").read_text())
    paths = [path for resource in package["resources"] for path in [resource["path"]]]
    paths = [path for one in paths for path in ([one] if isinstance(one, str) else one)]
    assert len(paths) > 3
    assert all((site / path).is_file() for path in paths)
    with zipfile.ZipFile(site / "records.zip") as archive:
        inside = {name.removeprefix("bnstudy-records/"): archive.read(name) for name in archive.namelist()}
    assert set(paths) <= set(inside)
    assert all((site / name).read_bytes() == content for name, content in inside.items())


def test_the_archive_is_of_the_records_alone_not_of_the_day(record_files, data):
    def packed():
        return record_files.pack(
            {file.as_posix(): (data / file).read_bytes() for file in record_files.listed(data)}
        )

    first = packed()
    for file in data.rglob("*.*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    assert packed() == first
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert archive.testzip() is None
        assert [entry.filename for entry in archive.infolist()] == sorted(archive.namelist())


def test_what_lies_there_as_it_should_is_left_alone_and_all_else_follows_the_records(
    record_files, data, tmp_path
):
    site = tmp_path / "records"
    record_files.publish(data, site)
    kept, edited, gone, changed = sorted(path for path in (site / "runs").rglob("*.*") if path.is_file())[:4]
    before = kept.stat()
    edited.write_text("an edit of the site")
    gone.unlink()
    (site / "runs" / "old").mkdir()
    (site / "runs" / "old" / "record.json").write_text("of a run that is no more")
    (data / changed.relative_to(site)).write_bytes(b"another result")
    record_files.publish(data, site)
    assert (kept.stat().st_ino, kept.stat().st_ctime_ns) == (before.st_ino, before.st_ctime_ns)
    for file in data.rglob("*.*"):
        assert (site / file.relative_to(data)).read_bytes() == file.read_bytes()
    assert not (site / "runs" / "old" / "record.json").exists()
    shutil.rmtree((data / changed.relative_to(site)).parent)
    record_files.publish(data, site)
    assert len(list((site / "runs").glob("*/record.json"))) == 2
    assert (site / "runs.csv").read_text().count("\n") == 3


def test_a_record_that_is_being_written_is_not_there_yet(record_files, data):
    whole, headless = list((data / "runs").iterdir())[:2]
    whole.rename(whole.with_name(f".{whole.name}.partial"))
    (headless / "record.json").unlink()
    assert {file.parts[1] for file in record_files.listed(data)} == {
        p.name for p in (data / "runs").iterdir()
    } - {
        headless.name,
        f".{whole.name}.partial",
    }


def test_a_description_of_other_records_is_made_anew(record_files, data):
    files = record_files.listed(data)
    made = record_files.described(data, files)
    for name, content in made.items():
        (data / name).write_bytes(content)
    (data / "datapackage.json").write_bytes(b"{} ")
    assert record_files.described(data, files)["datapackage.json"] == b"{} "
    shutil.rmtree(next((data / "runs").iterdir()))
    assert record_files.described(data, record_files.listed(data))["datapackage.json"] != b"{} "
