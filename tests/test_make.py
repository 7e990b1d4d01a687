"""What the Makefile promises, without installing anything."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TARGETS = {
    "help",
    "setup",
    "report",
    "pdf",
    "test",
    "rerun",
    "study",
    "picture",
    "tensorflow",
    "bench",
    "lint",
    "clean",
    "distclean",
}

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A make that runs these tests must not hand its own variables and flags on.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PYTHON"))}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder in which nothing has been set up yet."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def own_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what the recipe wrote to standard error, less make's own closing line."""
    return [line for line in done.stderr.splitlines() if not line.startswith("make")]


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_make_alone_lists_every_target(clone: Path) -> None:
    done = make(clone)
    assert done.returncode == 0
    listed = dict(re.findall(r"^  make (\w+) +(\S.*)$", done.stdout, re.M))
    assert set(listed) == TARGETS
    phony = re.search(r"^\.PHONY: (.*)$", (clone / "Makefile").read_text(), re.M)
    assert phony is not None
    assert set(phony.group(1).split()) == TARGETS


@pytest.mark.parametrize("target", ["report", "test", "rerun", "lint"])
def test_too_old_a_python_gives_one_line(clone: Path, target: str) -> None:
    old = script(clone / "old", '[ "$1" = --version ] && { echo Python 3.8.10; exit 0; }; exit 1')
    done = make(clone, target, f"PYTHON={old}")
    assert done.returncode != 0
    found = f"{old} (Python 3.8.10)"
    assert own_lines(done) == [
        f"Python 3.11 or newer is needed; found: {found}. Name one: make PYTHON=/path/to/python3.11"
    ]
    assert not (clone / ".venv").exists()


def test_no_python_gives_one_line(clone: Path) -> None:
    done = make(clone, "setup", "PYTHON=no-such-python")
    assert done.returncode != 0
    [said] = own_lines(done)
    assert said.startswith("Python 3.11 or newer is needed; found: none.")


def test_no_venv_module_gives_one_line(clone: Path) -> None:
    bare = script(
        clone / "bare",
        'case "$1$2" in --version) echo Python 3.11.2;; *version_info*) exit 0;; *) exit 1;; esac',
    )
    done = make(clone, "setup", f"PYTHON={bare}")
    assert done.returncode != 0
    [said] = own_lines(done)
    assert "has no venv module" in said


def test_the_first_suitable_python_is_taken(clone: Path) -> None:
    old = script(clone / "old", '[ "$1" = --version ] && { echo Python 3.8.10; exit 0; }; exit 1')
    new = script(clone / "new", '[ "$1" = --version ] && { echo Python 3.12.1; exit 0; }; [ "$1" != -m ]')
    done = make(clone, "setup", f"PYTHON={old} {new}")
    assert "Setting up .venv with Python 3.12.1" in done.stdout
    assert done.returncode != 0  # the stand-in can't make an environment
    assert not (clone / ".venv").exists()


def test_too_little_disk_gives_one_line(clone: Path) -> None:
    good = script(clone / "good", '[ "$1" = --version ] && echo Python 3.12.1; exit 0')
    done = make(clone, "setup", f"PYTHON={good}", "NEED_GB=100000000")
    assert done.returncode != 0
    [said] = own_lines(done)
    assert re.fullmatch(r"The set-up needs 100000000 GB of free disk here; \d+ GB are free\.", said)


def test_an_environment_that_is_up_to_date_is_left_alone(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / ".installed").touch()
    done = make(clone, "--question", "setup")
    assert done.returncode == 0, done.stdout + done.stderr
    os.utime(clone / "constraints.txt", (2**31 - 1, 2**31 - 1))
    assert make(clone, "--question", "setup").returncode == 1


def test_constraints_pin_one_version_each_and_name_no_registry() -> None:
    lines = [x for x in (ROOT / "constraints.txt").read_text().splitlines() if x and not x.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9._-]+==[\w.+!-]+", line) for line in lines)
    names = [line.split("==")[0] for line in lines]
    assert len(names) == len(set(names))
    assert {"torch==2.12.0", "torchvision==0.27.0", "jupyter-book==1.0.4.post1"} <= set(lines)


def filled(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


RECORDS = ("data/runs/0/record.json", "_build/study/runs/0/record.json")
ENVIRONMENTS = (".venv/bin/python", ".venv/lib/__pycache__/a.pyc", "_build/tensorflow/lib/__pycache__/a.pyc")
BUILT = (
    "_build/html/index.html",
    "_build/rerun/book/decay.ipynb",
    "bnstudy/__pycache__/a.pyc",
    ".ruff_cache/a",
)


def test_clean_spares_records_and_environments(clone: Path) -> None:
    study = study_data(clone)
    filled(clone, *RECORDS, f"{study}/runs/0/record.json", *ENVIRONMENTS, *BUILT)
    assert make(clone, "clean").returncode == 0
    kept = [*RECORDS, f"{study}/runs/0/record.json", *ENVIRONMENTS]
    assert [name for name in (*kept, *BUILT) if (clone / name).exists()] == kept
    assert make(clone, "clean").returncode == 0


def test_distclean_spares_records_alone(clone: Path) -> None:
    study = study_data(clone)
    filled(clone, *RECORDS, f"{study}/runs/0/record.json", *ENVIRONMENTS, *BUILT)
    assert make(clone, "distclean").returncode == 0
    kept = [*RECORDS, f"{study}/runs/0/record.json"]
    assert [name for name in (*kept, *ENVIRONMENTS, *BUILT) if (clone / name).exists()] == kept


def test_clean_where_nothing_was_built_is_no_error(clone: Path) -> None:
    assert make(clone, "distclean").returncode == 0


def test_git_ignores_the_records_of_make_study(clone: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    path = f"{study_data(clone)}/runs/0/record.json"
    assert subprocess.run(["git", "check-ignore", "--quiet", path], cwd=ROOT).returncode == 0


def study_data(folder: Path) -> str:
    """Where `make study` puts its records, as make says it."""
    (folder / ".venv").mkdir(exist_ok=True)
    (folder / ".venv" / ".installed").touch()
    said = make(folder, "--dry-run", "study").stdout
    found = re.search(r"--data-dir (\S+)", said)
    assert found, said
    return found[1]
