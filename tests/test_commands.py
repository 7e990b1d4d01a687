"""Commands that pages, READMEs and the workflow name: each is understood as it stands."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
import tempfile
import tomllib
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
import torch
import yaml
from papermill.cli import papermill

from bnstudy import cli
from bnstudy.bench import command as bench
from bnstudy.chapters import EXPERIMENTS, plan_of
from bnstudy.chapters.found import WHERE
from bnstudy.doctor import command as doctor
from tests import warm

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
WORKFLOW = ROOT / ".github" / "workflows" / "publish.yml"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *sorted((ROOT / "book").rglob("*.md")),
    *sorted((ROOT / "book").glob("*.ipynb")),
]
PROGRAMS = ("make", "bnstudy", "papermill", "python", "pip", "bash", "git", "export", "pre-commit")


def text_of(page: Path) -> str:
    if page.suffix != ".ipynb":
        return page.read_text()
    return "\n\n".join(c.source for c in nbformat.read(page, 4).cells if c.cell_type == "markdown")


def named(page: Path) -> Iterator[str]:
    """The commands of a page: lines of its consoles, and what it sets in type and starts with a program."""
    text = text_of(page)
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.S | re.M):
        yield from filter(None, map(str.strip, block.splitlines()))
    for said in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)):
        words = said.split()
        if len(words) > 1 and Path(words[0]).name in PROGRAMS:
            yield said


def commands() -> list:
    found = [(page, line) for page in PAGES for line in named(page)]
    steps = [s for job in yaml.safe_load(WORKFLOW.read_text())["jobs"].values() for s in job["steps"]]
    found += [(WORKFLOW, line) for step in steps for line in step.get("run", "").splitlines()]
    return [pytest.param(line, id=f"{page.name}: {line}") for page, line in dict.fromkeys(found)]


def understand(line: str) -> None:
    """Fail unless the command's program takes all of its words."""
    words = shlex.split(line, comments=True)
    while re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    if ">" in words:
        target = ROOT / words[words.index(">") + 1]
        assert target.parent.is_dir(), line
        words = words[: words.index(">")]
    if "/" in words[0]:
        assert Path(words[0]).parent == Path(".venv/bin"), f"{line}: not where make puts it"
    program, arguments = Path(words[0]).name, words[1:]
    assert program in PROGRAMS, f"{line}: no check for {program}"
    globals()[f"of_{program.replace('-', '_')}"](arguments)


def of_make(arguments: list[str]) -> None:
    given = dict(word.split("=", 1) for word in arguments if "=" in word)
    assert set(given) <= set(re.findall(r"^(\w+) *\?=", MAKEFILE, re.M)), "an unknown variable"
    targets = [word for word in arguments if "=" not in word]
    known = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))
    assert set(targets) <= known, "an unknown target"
    chapters = given.get("CHAPTERS", "decay").split()
    assert set(chapters) <= set(EXPERIMENTS)
    for chapter in chapters:
        of_papermill([f"book/{chapter}.ipynb", "out.ipynb", *shlex.split(given.get("RERUN_ARGS", ""))])
    if "BENCH_ARGS" in given:
        of_bnstudy(["bench", *shlex.split(given["BENCH_ARGS"])])


def of_papermill(arguments: list[str]) -> None:
    options = papermill.make_context("papermill", list(arguments)).params
    notebook = ROOT / options["notebook_path"]
    assert notebook.is_file()
    settings = {name: yaml.safe_load(value) for name, value in options["parameters"]}
    for written in options["parameters_yaml"]:
        settings |= yaml.safe_load(written)
    plan_of(notebook.stem, {name: value for name, value in settings.items() if name not in WHERE})


def of_bnstudy(arguments: list[str]) -> None:
    if arguments[:1] == ["doctor"]:
        assert doctor.main([str(checkpoint()) if "." in word else word for word in arguments[1:]]) == 0
        return
    if arguments[:1] == ["bench"]:
        parser = ArgumentParser(exit_on_error=False)
        bench.add_arguments(parser)
        parser.parse_args(arguments[1:])
        return
    try:
        options = cli._parser().parse_args(arguments)
    except SystemExit as end:
        if end.code == 0 and "--help" in arguments:
            return
        raise
    experiment = getattr(options, "experiment", None)
    of_all = {cli.ALL} if getattr(options, "command", None) in (cli._run, cli._status) else set()
    assert experiment in {None, *of_all, *EXPERIMENTS}
    if experiment in EXPERIMENTS:
        plan_of(experiment, cli._settings(options) if hasattr(options, "set") else {})


@cache
def help_of(script: Path) -> str:
    out = Path(tempfile.mkdtemp(), "help")
    process = warm.fork(_ask_for_help, script, out)
    process.join(120)
    assert process.exitcode == 0, out.read_text()
    return out.read_text()


def _ask_for_help(script: Path, out: Path) -> None:
    sys.argv = [str(script), "--help"]
    sys.path.insert(0, str(script.parent))
    with out.open("w") as said, redirect_stdout(said), redirect_stderr(said):
        runpy.run_path(str(script), run_name="__main__")


@cache
def checkpoint() -> Path:
    """A healthy checkpoint, for commands that name one."""
    file = Path(tempfile.mkdtemp(), "checkpoint.pt")
    torch.save({f"norm.running_{name}": torch.ones(3) for name in ("mean", "var")}, file)
    return file


def of_python(arguments: list[str]) -> None:
    if arguments[0] == "-c":
        compile(arguments[1], "command", "exec")
        return
    if arguments[0] == "-m":
        assert find_spec(arguments[1])
        return
    script = ROOT / arguments[0]
    assert script.is_file()
    options = {word for word in arguments[1:] if word.startswith("--")}
    if options:
        assert options <= set(re.findall(r"--[\w-]+", help_of(script)))


def of_bash(arguments: list[str]) -> None:
    assert subprocess.run(["bash", "-n", *arguments], cwd=ROOT).returncode == 0


def of_git(arguments: list[str]) -> None:
    # Not run here; what it pushes is what a script of this repository makes.
    assert arguments[0] == "push"
    scripts = re.findall(r"bash (\S+)", " ".join(arguments))
    assert scripts
    assert all((ROOT / script).is_file() for script in scripts)


def of_export(arguments: list[str]) -> None:
    [name] = [word.split("=")[0] for word in arguments]
    assert any(f'"{name}"' in path.read_text() for path in (ROOT / "bnstudy").rglob("*.py"))


def of_pip(arguments: list[str]) -> None:
    # The package is in no registry: only the checkout can be installed.
    if arguments == ["install", "."]:
        return
    found = re.fullmatch(r"install -e \.\[(\w+)\]", " ".join(arguments))
    assert found
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert found[1] in project["optional-dependencies"]


def of_pre_commit(arguments: list[str]) -> None:
    assert arguments == ["install"]
    assert (ROOT / ".pre-commit-config.yaml").is_file()


@pytest.mark.parametrize("line", commands())
def test_a_command_is_understood_as_it_stands(line):
    understand(line)


@pytest.mark.parametrize(
    "line",
    [
        "make reports",
        "make study STUDY_DIR=again",
        "make rerun CHAPTERS=decays",
        "make rerun CHAPTERS=decay RERUN_ARGS='-p decay 0.9'",
        "papermill book/decays.ipynb out.ipynb",
        "papermill book/decay.ipynb out.ipynb -y 'decays: [1.5]'",
        "bnstudy run decay --folder again",
        "bnstudy run decays",
        "bnstudy bench --file cpu.json",
        "/usr/bin/bnstudy status",
        ".venv/bin/python benchmarks/fleets.py",
        ".venv/bin/python benchmarks/probes.py --file probes.json",
        "pip install 'bnstudy[cluster]'",
        ".venv/bin/pip install -e '.[clusters]'",
        "bash .ci/runs",
        "export BNSTUDY_DATE=/path/to/folder",
        "tox",
    ],
)
def test_a_command_that_would_fail_is_found(line):
    with pytest.raises((Exception, SystemExit)):
        understand(line)


def missing_files(text: str) -> list[str]:
    """Files of this repository that a text names and that are not there; a name in capitals is an example."""
    named = re.findall(r"\b(?:bnstudy|benchmarks|tests|book)/[\w/.-]+\.(?:py|md|ipynb|yaml)\b", text)
    return [name for name in named if not re.search(r"/[A-Z]+\b", name) and not (ROOT / name).is_file()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_file_that_a_page_names_is_there(page):
    assert missing_files(text_of(page)) == []


def test_a_file_that_was_moved_is_found():
    text = "`bnstudy/norm/compiled.py`, `bnstudy/norm/fast/compiled.py` and `book/NAME.ipynb`"
    assert missing_files(text) == ["bnstudy/norm/compiled.py"]


def test_every_page_with_a_console_is_looked_at():
    consoles = [page for page in PAGES if "```console" in text_of(page)]
    assert {"README.md", "CONTRIBUTING.md", "reproduce.md"} <= {page.name for page in consoles}
    assert all(list(named(page)) for page in consoles)


# Pages for who imports the package into an environment of her own.
IMPORTERS = {"doctor.md", "is_it_batch_norm.md", "tf1.md"}


@pytest.mark.parametrize(
    "page", [p for p in PAGES if p.suffix == ".md" and p.name not in IMPORTERS], ids=lambda p: p.name
)
def test_no_command_of_a_console_needs_an_environment_that_is_switched_on(page):
    blocks = re.findall(r"^```console\n(.*?)^```$", text_of(page), re.S | re.M)
    lines = [line for block in blocks for line in filter(None, block.splitlines())]
    assert [x for x in lines if re.match(r"(bnstudy|papermill|python|pip|pre-commit)\b", x)] == []


def test_the_workflow_publishes_what_make_builds_with_a_python_that_fits():
    workflow = yaml.safe_load(WORKFLOW.read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    options = {step["uses"].split("@")[0]: step.get("with", {}) for step in steps if "uses" in step}
    html = re.search(r"^HTML +:= (\S+)$", MAKEFILE, re.M)
    assert html is not None
    assert options["actions/upload-pages-artifact"]["path"] == html[1]
    python = options["actions/setup-python"]["python-version"]
    assert f'requires-python = ">={python}"' in (ROOT / "pyproject.toml").read_text()
    # Without its name make would take a newer one of the machine's.
    [build] = [step["run"] for step in workflow["jobs"]["build"]["steps"] if "run" in step]
    assert build == f"make report PYTHON=python{python}"
    assert "pages" in workflow["jobs"]["publish"]["permissions"]
