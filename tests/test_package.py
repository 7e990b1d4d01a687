"""The data package: standard tools read and check the numbers without bnstudy."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bnstudy
from bnstudy.records.compress import compress
from bnstudy.records.package import contents, describe, is_current
from bnstudy.records.spec import RunSpec
from bnstudy.records.store import Store, written
from tests.earlier import as_earlier

DATA = Path(__file__).parents[1] / "data"
frictionless = pytest.importorskip("frictionless")


@pytest.fixture
def copy(tmp_path):
    """Two records of one experiment, described: the second as versions before compression wrote it."""
    store = Store(tmp_path)
    store.runs.mkdir()
    for name in bnstudy.load("decay").runs[:2]:
        shutil.copytree(DATA / "runs" / name, store.runs / name)
    compress(store)
    as_earlier(store, store.names()[-1])
    describe(store)
    return store


def validate(folder):
    return frictionless.Package(str(folder / "datapackage.json")).validate()


def test_what_is_committed_describes_the_committed_records():
    assert is_current(Store(DATA)), "out of date; write it again with: bnstudy describe"


def test_the_committed_package_is_valid_frictionless_data():
    # Of tables of many records a fifth, each time the same: another test reads all of them, and here a value
    # takes a hundred times as long.
    package = json.loads((DATA / "datapackage.json").read_text())
    for resource in package["resources"]:
        paths = resource["path"]
        if isinstance(paths, list) and len(paths) > 100:
            resource["path"] = paths[::5]
    report = frictionless.Package(package, basepath=str(DATA)).validate()
    assert report.valid, report.to_summary()
    assert {task.name for task in report.tasks} >= {"runs", "training", "evaluation"}


def test_every_column_of_every_table_is_described_with_its_unit():
    package = json.loads((DATA / "datapackage.json").read_text())
    tables = [resource for resource in package["resources"] if resource["format"] == "csv"]
    # An array has no columns; what its axes are is told with it.
    assert all(r["description"] for r in package["resources"] if r not in tables)
    for resource in tables:
        first = resource["path"] if isinstance(resource["path"], str) else resource["path"][0]
        header = list(pd.read_csv(DATA / first, nrows=0))
        fields = resource["schema"]["fields"]
        assert [field["name"] for field in fields] == header
        assert all(field["description"] and field["unit"] for field in fields)


def test_plain_pandas_reads_what_bnstudy_reads():
    package = json.loads((DATA / "datapackage.json").read_text())
    [paths] = [r["path"] for r in package["resources"] if r["name"] == "evaluation"]
    plain = pd.concat(pd.read_csv(DATA / path, dtype={"run": str}) for path in paths)
    ours = bnstudy.load("decay")["evaluation"]
    plain = plain[plain["run"].isin(ours["run"])].sort_values(["run", "step"], kind="stable")
    ours = ours.sort_values(["run", "step"], kind="stable")
    assert plain["accuracy"].tolist() == ours["accuracy"].tolist()
    assert set(pd.read_csv(DATA / "runs.csv", dtype={"run": str})["run"]) >= set(ours["run"])


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (",test,", ",test,extra,", "extra-cell"),
        (",batch,,,", ",batch,,,two", "type-error"),
        ("\n", "\nffffffffffffffff,1,test,batch,,,1,0.5\n", "foreign-key"),
    ],
)
@pytest.mark.parametrize("number", [0, 1])
def test_a_wrong_table_is_found_in_any_record(copy, number, old, new, error):
    [path] = (copy.runs / copy.names()[number]).glob("evaluation.csv*")
    assert path.name == ("evaluation.csv.gz", "evaluation.csv")[number]
    opened = gzip.open if number == 0 else open
    with opened(path, "rt") as file:
        text = file.read()
    with opened(path, "wt") as file:
        file.write(text.replace(old, new, 1))
    report = validate(copy.root)
    assert error in {row[-1] for row in report.flatten(["name", "type"])}


def test_files_of_both_kinds_are_one_table(copy):
    first, second = copy.names()
    resource = frictionless.Package(str(copy.root / "datapackage.json")).get_resource("evaluation")
    assert resource.path == f"runs/{first}/evaluation.csv.gz"
    assert resource.extrapaths == [f"runs/{second}/evaluation.csv"]
    found = [row["accuracy"] for row in resource.read_rows()]
    ours = pd.concat(bnstudy.load("decay")["evaluation"].query("run == @name") for name in (first, second))
    assert [float(x) for x in found] == ours["accuracy"].tolist()
    before = json.loads((copy.root / "datapackage.json").read_text())
    assert not any("compression" in r for r in before["resources"])
    compress(copy)
    after = json.loads((copy.root / "datapackage.json").read_text())
    assert [r.get("compression") for r in after["resources"]] == [None, "gz", "gz"]
    assert validate(copy.root).valid


@pytest.mark.parametrize("number", [0, 1])
def test_a_table_of_one_file_is_read_in_either_form(copy, number):
    shutil.rmtree(copy.runs / copy.names()[1 - number])
    describe(copy)
    report = validate(copy.root)
    assert report.valid, report.to_summary()
    rows = next(task.stats["rows"] for task in report.tasks if task.name == "evaluation")
    assert rows == len(bnstudy.load("decay")["evaluation"].query(f"run == {copy.names()[0]!r}"))


def test_the_description_follows_the_records(copy):
    assert is_current(copy)
    before = contents(copy)
    shutil.rmtree(copy.runs / copy.names()[0])
    assert not is_current(copy)
    describe(copy)
    assert is_current(copy)
    assert contents(copy) != before
    assert validate(copy.root).valid


def test_arrays_are_described_beside_the_tables(copy):
    for seed in (0, 1):
        values = np.arange(6, dtype=np.uint8).reshape(2, 3) + seed
        copy.write(RunSpec(seed=seed, dataset="digits"), {}, "finished", {"hits": values})
    describe(copy)
    report = validate(copy.root)
    assert report.valid, report.to_summary()
    package = json.loads((copy.root / "datapackage.json").read_text())
    [hits] = [resource for resource in package["resources"] if resource["name"] == "hits"]
    assert "type" not in hits
    assert hits["compression"] == "gz"
    assert hits["description"].endswith("Unit: 1")
    # Plain NumPy reads them.
    found = set()
    for path in hits["path"]:
        with gzip.open(copy.root / path) as file:
            found.add(int(np.load(file, allow_pickle=False)[0, 0]))
    assert found == {0, 1}


def test_a_damaged_or_newer_record_is_left_out_and_said(copy):
    damaged, newer = copy.names()
    (copy.runs / damaged / "training.csv.gz").write_text("")
    path = copy.runs / newer / "record.json"
    path.write_bytes(written({**json.loads(path.read_text()), "format": 99}))
    found = describe(copy)
    assert (list(found.damaged), list(found.newer), list(found.sound)) == ([damaged], [newer], [])
    assert is_current(copy)
    assert validate(copy.root).valid
