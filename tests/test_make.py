"""What the Makefile promises, without installing anything."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
TARGETS = {
    "help",
    "setup",
    "report",
    "pdf",
    "test",
    "test-site",
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
    listed = dict(re.findall(r"^  make ([\w-]+) +(\S.*)$", done.stdout, re.M))
    assert set(listed) == TARGETS
    phony = re.search(r"^\.PHONY: (.*)$", (clone / "Makefile").read_text(), re.M)
    assert phony is not None
    assert set(phony.group(1).split()) == TARGETS


# Stand-ins for interpreters: what they answer to the check of the set-up.
OLD = 'echo "3.8.10: too old"; exit 1'
GOOD = '[ "$1" = -c ] && echo 3.12.1'
SHIM = 'echo "shim: python3.13: command not found" >&2; exit 127'


@pytest.mark.parametrize("target", ["report", "test", "rerun", "lint"])
def test_too_old_a_python_gives_one_line(clone: Path, target: str) -> None:
    old = script(clone / "old", OLD)
    done = make(clone, target, f"PYTHON={old}")
    assert done.returncode != 0
    found = f"{old} (3.8.10: too old)"
    assert own_lines(done) == [
        f"Python 3.11 or newer is needed; found: {found}. Name one: make PYTHON=/path/to/python3.11"
    ]
    assert not (clone / ".venv").exists()


def test_no_python_gives_one_line(clone: Path) -> None:
    done = make(clone, "setup", "PYTHON=no-such-python")
    assert done.returncode != 0
    [said] = own_lines(done)
    assert said.startswith("Python 3.11 or newer is needed; found: none.")


def without(folder: Path, line: str) -> Path:
    """This interpreter, where that line of code runs first."""
    return script(
        folder / "changed", f"""exec {sys.executable} -c "import sys; {line}; exec(sys.argv[1])" "$2" """
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            "sys.modules['ensurepip'] = None",
            "no venv module; on Debian and Ubuntu: apt-get install python3-venv",
        ),
        ("sys.version_info = (3, 10, 9)", "too old"),
        ("sys.maxsize = 2**31 - 1", "32 bits or musl, which PyTorch is not built for"),
        (
            "import platform; platform.python_implementation = lambda: 'PyPy'",
            "not the usual CPython, which PyTorch and Numba are built for",
        ),
    ],
)
def test_what_can_not_work_is_refused_in_one_line_before_anything_is_installed(
    clone: Path, line: str, why: str
) -> None:
    changed = without(clone, line)
    done = make(clone, "setup", f"PYTHON={changed}")
    assert done.returncode != 0
    [said] = own_lines(done)
    version = ".".join(map(str, sys.version_info[:3]))
    assert f"found: {changed} ({version}: {why})." in said
    assert not (clone / ".venv").exists()


def test_the_first_suitable_python_is_taken_and_a_shim_is_passed_over(clone: Path) -> None:
    old, shim, new = (script(clone / n, body) for n, body in (("old", OLD), ("shim", SHIM), ("new", GOOD)))
    silent = script(clone / "silent", "exit 0")
    done = make(clone, "setup", f"PYTHON={shim} {silent} {old} {new}")
    assert "Setting up .venv with Python 3.12.1" in done.stdout
    assert done.returncode != 0  # the stand-in can't make an environment
    assert not (clone / ".venv").exists()
    [said] = own_lines(make(clone, "setup", f"PYTHON={shim} {old}"))
    assert f"found: {shim} (does not start) {old} (3.8.10: too old)." in said


def test_every_pin_admits_every_python_that_the_readme_promises() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert pyproject["project"]["requires-python"] == ">=3.11"
    assert "Python 3.11 or newer" in (ROOT / "README.md").read_text()
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    found, wrong = set(), []
    for installed in distributions():
        name = re.sub(r"[-_.]+", "-", installed.metadata["Name"]).lower()
        if pins.get(name) != installed.version:
            continue
        found.add(name)
        asked = SpecifierSet(installed.metadata.get("Requires-Python") or "")
        wrong += [f"{name}: {asked}" for python in ("3.11.0", "3.12.0", "3.13.0") if python not in asked]
    assert not wrong
    if len(found) < 0.8 * len(pins):
        pytest.skip(f"{len(pins) - len(found)} of {len(pins)} pins aren't installed here")


def test_too_little_disk_gives_one_line(clone: Path) -> None:
    good = script(clone / "good", GOOD)
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
