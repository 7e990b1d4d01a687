"""The command line: what it prints and returns, and that nothing happens on bad input."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bnstudy.cli import main
from bnstudy.records.sealed import read_sealed, sealed
from bnstudy.records.spec import RunSpec
from bnstudy.records.store import RecordError, Store, written
from bnstudy.study import failures
from bnstudy.study.work import Failed
from tests.engine import ENVIRONMENT, SETTINGS

SMALL = [f"{name}={value}" for name, value in {**SETTINGS, "seeds": 2, "schedules": ["constant"]}.items()]
SET = [x for item in SMALL for x in ("--set", item)]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    assert main(["run", "decay", *SET, "--data-dir", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture
def copy(recorded, tmp_path):
    return shutil.copytree(recorded, tmp_path / "data")


def damage(folder):
    path = next(Store(folder).runs.glob("*/training.csv.gz"))
    path.write_bytes(path.read_bytes()[:-1])
    return path.parent.name


def test_run_says_what_is_missing_and_that_all_is_recorded(tmp_path, capsys):
    assert main(["run", "decay", *SET, "--data-dir", str(tmp_path), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "decay: 2 runs needed, 0 records, 2 missing" in out
    assert "all 2 runs are recorded" in out
    assert main(["run", "decay", *SET, "--data-dir", str(tmp_path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["trained"] == []
    assert len(result["runs"]) == 2


def test_status_counts_and_estimates(recorded, capsys):
    assert main(["status", "decay", *SET, "--data-dir", str(recorded)]) == 0
    assert "decay: 2 runs needed, 2 records, 0 missing" in capsys.readouterr().out
    more = [*SET, "--set", "seeds=4", "--data-dir", str(recorded), "--json"]
    assert main(["status", "decay", *more]) == 4
    [found] = json.loads(capsys.readouterr().out)["experiments"]
    assert (found["needed"], len(found["missing"])) == (4, 2)
    seconds = [r.provenance["wall_seconds"] for r in Store(recorded).records()]
    assert found["estimate"] == pytest.approx(sum(seconds))  # two runs like the two that there are


@pytest.mark.parametrize("named", [[], ["all"]])
def test_status_of_everything(tmp_path, capsys, named):
    assert main(["status", *named, "--data-dir", str(tmp_path)]) == 4
    assert "decay: 10 runs needed, 0 records, 10 missing" in capsys.readouterr().out


def test_damage_is_named_and_repaired(copy, capsys):
    name = damage(copy)
    assert main(["verify", "--data-dir", str(copy)]) == 4
    out = capsys.readouterr().out
    assert "1 records sound, 1 damaged" in out
    assert name in out
    assert main(["status", "decay", *SET, "--data-dir", str(copy), "--json"]) == 4
    [found] = json.loads(capsys.readouterr().out)["experiments"]
    assert list(found["damaged"]) == [name]
    assert main(["run", "decay", *SET, "--data-dir", str(copy), "--quiet"]) == 0
    assert main(["verify", "--data-dir", str(copy)]) == 0


def test_verify_trains_again_and_compares(copy, capsys):
    options = ["verify", "--rerun", "1", "--data-dir", str(copy), "--json"]
    assert main([*options, "--seed", "0"]) == 0
    [again] = json.loads(capsys.readouterr().out)["reruns"]
    assert again["equal"]
    assert again["expected"] == "bit for bit"

    # A record that says otherwise, with checksums to match, is found only by training again.
    store = Store(copy)
    record = store.read(again["run"])
    lines = store.table(record, "training").decode().splitlines()
    header, *rows = (line.split(",")[1:] for line in lines)
    values = {name: [float(row[i]) for row in rows] for i, name in enumerate(header)}
    table = {**values, "step": [int(s) for s in values["step"]], "accuracy": [1.0] * len(rows)}
    shutil.rmtree(store.path(record.spec))
    store.write(record.spec, record.provenance, record.outcome, {"training": table, "evaluation": {}})
    assert main(["verify", "--rerun", "9", "--data-dir", str(copy), "--json"]) == 4
    matches = {r["run"]: r["matches"] for r in json.loads(capsys.readouterr().out)["reruns"]}
    assert matches.pop(record.spec.name) is False
    assert list(matches.values()) == [True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "decya"], "experiment is 'decya'; allowed: 'convergence'"),
        (["run", "decay", "--set", "epochs"], "--set is 'epochs'; allowed: NAME=VALUE"),
        (["run", "decay", "--set", "decays=1.5"], "decays is '1.5'; allowed: a list of numbers"),
        (["run", "decay", "--workers", "0"], "workers is 0; allowed: a whole number of at least 1"),
        (["run", "decay", "--device", "tpu", *SET], "device is 'tpu'; allowed here: cpu"),
        (["run", "decay", "--set", "device=cpu"], "--set is 'device=cpu'; allowed: --device, an option"),
        (["status", "decay", "--set", "data_dir=x"], "allowed: --data-dir, an option of its own"),
        (
            ["run", "decay", "--set", "epochs=99999999999999999999999"],
            "allowed: less than or equal to 1000000",
        ),
        (["verify", "--begin", "-1"], "--begin is -1; allowed: a whole number of at least 0"),
        (["verify", "--begin", "2", "--rerun", "2"], "--begin is 2 with --rerun or --carry-over; allowed: "),
        (["verify", "--rerun", "2", "--carry-over"], "--rerun is 2 with --carry-over; allowed: one of them"),
        (["verify", "--rerun", "-1"], "--rerun is -1; allowed"),
        (["verify", "--accept"], "--rerun is 0 with --accept; allowed: a whole number of at least 2"),
        (["run", "all", "--set", "epochs=1"], "--set is 'epochs=1' with all; allowed: with one experiment"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1(arguments, message, tmp_path, capsys):
    assert main([*arguments, "--data-dir", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_failed_runs_are_exit_code_3(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BNSTUDY_DATA", str(tmp_path / "nothing"))
    arguments = [
        "run",
        "decay",
        "--set",
        "seeds=2",
        "--set",
        "schedules=constant",
        "--workers",
        "1",
        "--quiet",
    ]
    assert main([*arguments, "--data-dir", str(tmp_path / "data")]) == 3
    assert "2 of 2 runs failed" in capsys.readouterr().err
    assert len(list((tmp_path / "data" / "failures").iterdir())) == 2


def test_help_has_examples_and_exit_codes(capsys):
    def helps(*command):
        with pytest.raises(SystemExit) as end:
            main([*command, "--help"])
        assert end.value.code == 0
        return capsys.readouterr().out

    assert "exit codes:" in helps()
    for command in ("run", "status", "verify", "data", "bench", "describe", "compress"):
        assert f"bnstudy {command}" in helps(command)


@pytest.mark.skipif(not Path("/usr/bin/setpriv").exists(), reason="takes root's right to write anywhere away")
def test_a_folder_that_cannot_be_written_stops_before_any_training(tmp_path):
    tmp_path.chmod(0o555)
    try:
        done = subprocess.run(
            [
                *("setpriv", "--bounding-set=-all", "--inh-caps=-all"),
                *(sys.executable, "-m", "bnstudy.cli", "run", "decay", *SET),
                *("--data-dir", str(tmp_path), "--quiet"),
            ],
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
        )
    finally:
        tmp_path.chmod(0o755)
    assert done.returncode == 1
    assert f"can't record runs in {tmp_path}: Permission denied" in done.stderr


def test_json_stands_alone_when_a_record_is_set_aside(copy, capsys):
    name = damage(copy)
    assert main(["run", "decay", *SET, "--data-dir", str(copy), "--quiet", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["trained"] == [name]
    assert "set aside, and trained again" in said.err


def test_describe_and_verify_name_what_they_leave_out(copy, capsys):
    where = ["--data-dir", str(copy)]
    assert main(["describe", *where]) == 0
    assert "2 records" in capsys.readouterr().out
    assert main(["verify", *where]) == 0
    name = damage(copy)
    assert main(["describe", *where]) == 4
    said = capsys.readouterr()
    assert f"left out: the record {copy / 'runs' / name} is damaged" in said.err
    assert main(["verify", *where]) == 4


@pytest.mark.parametrize("file", ["runs.csv", "datapackage.json"])
def test_a_stale_index_is_a_fault_that_run_repairs(copy, capsys, file):
    where = ["--data-dir", str(copy)]
    (copy / file).write_text("old")
    assert main(["verify", *where]) == 4
    assert "don't describe these records; write them again with: bnstudy describe" in capsys.readouterr().out
    assert main(["run", "decay", *SET, *where, "--quiet"]) == 0
    assert main(["verify", *where]) == 0


def test_any_changed_number_of_a_benchmark_is_found(copy, capsys):
    file = copy / "bench" / "cpu.json"
    file.parent.mkdir()
    file.write_text(json.dumps(sealed({"lines": [{"median": 1.25}], "threads": 2}), indent=1))
    assert main(["verify", "--data-dir", str(copy)]) == 0
    assert read_sealed(file) == {"lines": [{"median": 1.25}], "threads": 2}
    content = file.read_bytes()
    for at in range(0, len(content), 3):
        changed = bytearray(content)
        changed[at] ^= 1
        file.write_bytes(changed)
        with contextlib.suppress(ValueError):
            assert read_sealed(file) == {"lines": [{"median": 1.25}], "threads": 2}, "another number"
    file.write_bytes(content.replace(b"1.25", b"1.24"))
    capsys.readouterr()
    assert main(["verify", "--data-dir", str(copy)]) == 4
    assert f"{file} is damaged: it doesn't match its checksum" in capsys.readouterr().out


def test_the_recorded_benchmarks_are_sound():
    files = list((Path(__file__).parents[1] / "data" / "bench").glob("*.json"))
    assert files
    for file in files:
        read_sealed(file)


def test_damaged_sources_are_found_by_verify(copy, capsys):
    (copy / "sources.json").write_text("[1]")
    assert main(["verify", "--data-dir", str(copy)]) == 4
    assert "sources.json is damaged" in capsys.readouterr().out


def test_a_record_of_a_newer_version_is_named_and_left_alone(copy, capsys):
    name = Store(copy).names()[0]
    path = copy / "runs" / name / "record.json"
    path.write_bytes(written({**json.loads(path.read_text()), "format": 99}))
    kept = path.read_bytes()
    where = ["--data-dir", str(copy)]
    assert main(["run", "decay", *SET, *where, "--quiet"]) == 1
    assert f"{name} says what this version doesn't know" in (said := capsys.readouterr().err)
    assert "upgrade bnstudy" in said
    assert main(["status", "decay", *SET, *where]) == 4
    assert "2 runs needed, 1 records, 0 missing, 1 newer" in capsys.readouterr().out
    assert main(["verify", *where]) == 4
    assert "1 records sound, 0 damaged, 1 of a newer version" in capsys.readouterr().out
    assert path.read_bytes() == kept
    assert not (copy / "damaged").exists()


def test_a_home_folder_is_found(recorded, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(recorded.parent))
    monkeypatch.chdir(tmp_path)
    assert main(["status", "decay", *SET, "--data-dir", f"~/{recorded.name}"]) == 0
    assert "2 records, 0 missing" in capsys.readouterr().out
    assert not (tmp_path / "~").exists()


def test_a_read_only_folder_is_one_line(recorded, monkeypatch, capsys):
    """As root, whom permissions don't stop, writing fails all the same here."""

    def refuse(self, *_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main(["describe", "--data-dir", str(recorded)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("bnstudy: can't write ")
    assert "Read-only file system" in said
    assert len(said.splitlines()) == 1
    failure = Failed("no", "no")
    with pytest.raises(RecordError, match=r"can't write the failure .*Read-only file system"):
        failures.write(Store(recorded), RunSpec(), failure)


def test_status_scans_once_whatever_is_missing(recorded, monkeypatch, capsys):
    scans = []
    scan = Store.scan
    monkeypatch.setattr(Store, "scan", lambda self, names=None: scans.append(names) or scan(self, names))
    assert main(["status", "--data-dir", str(recorded)]) == 4
    assert scans == [None]


def test_python_m_bnstudy_is_the_command_line():
    done = subprocess.run([sys.executable, "-m", "bnstudy", "run"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: bnstudy run")
