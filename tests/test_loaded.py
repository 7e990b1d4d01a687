"""The digest is that of the code that runs, whatever becomes of its files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import bnstudy
from bnstudy.records.spec import RunSpec
from bnstudy.study import work
from bnstudy.study.deciding import source_of

PACKAGE = Path(bnstudy.__file__).parent
TABLES = "bnstudy.records.tables"  # which writes the numbers, and imports no torch

START = """
import importlib, sys
from pathlib import Path
from bnstudy.study import deciding
from bnstudy._loaded import SourceError
from bnstudy.records.spec import RunSpec
path = Path(deciding.__file__).parents[1] / "records" / "tables.py"
text = path.read_text()
def edit():
    assert '".9g"' in text
    path.write_text(text.replace('".9g"', '".8g"'))
"""


@pytest.fixture
def copy(tmp_path):
    """A copy of the package, to be edited."""
    shutil.copytree(PACKAGE, tmp_path / "bnstudy", ignore=shutil.ignore_patterns("__pycache__", "chapters"))
    (tmp_path / "bnstudy" / "chapters").symlink_to(PACKAGE / "chapters")
    return tmp_path


def run(folder, body):
    code = START + textwrap.dedent(body)
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_an_edit_after_the_import_changes_no_digest_of_the_process_and_that_of_the_next(copy):
    [before] = run(copy, "print(deciding.source_of(RunSpec()))")
    [after] = run(copy, "import bnstudy.records.tables; edit(); print(deciding.source_of(RunSpec()))")
    assert after == before
    [other] = run(copy, "print(deciding.source_of(RunSpec()))")
    assert other != before


def test_an_edit_between_the_digest_and_the_import_is_refused(copy):
    [said] = run(
        copy,
        """
        deciding.source_of(RunSpec())
        path = path.parents[1] / "train" / "data.py"
        path.write_text(path.read_text().replace("255 / 16", "255 / 17"))
        import bnstudy.train.data
        try:
            deciding.check_source(RunSpec())
        except SourceError as error:
            print(str(error).replace(" ", "_"))
        """,
    )
    assert said.startswith("bnstudy.train.data_has_changed_since_this_process_read_it")


def test_a_compiled_file_that_python_takes_by_mistake_is_refused(copy):
    """An edit within a second, of the same size: Python goes on with the compiled file of the old source."""
    [said] = run(
        copy,
        """
        import bnstudy.records.tables, os, subprocess, textwrap
        kept = os.stat(path)
        edit()
        os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
        code = '''
        from bnstudy.study import deciding
        from bnstudy._loaded import SourceError
        from bnstudy.records.spec import RunSpec
        import bnstudy.records.tables as tables
        assert tables.as_text(1 / 3) == "0.333333333", "the new source was loaded after all"
        try:
            deciding.check_source(RunSpec())
        except SourceError as error:
            print(str(error).replace(" ", "_"))
        '''
        print(subprocess.check_output([sys.executable, "-c", textwrap.dedent(code)], text=True))
        """,
    )
    assert said.startswith(f"{TABLES}_was_loaded_from_a_compiled_file")


def test_a_worker_with_other_code_refuses_to_train(monkeypatch):
    monkeypatch.setattr(work, "_dataset", lambda name: pytest.fail("it went on to the data"))
    spec = RunSpec(dataset="digits")
    done = work.perform([spec], source="0" * 16)
    assert isinstance(done, work.Failed)
    assert f"has the digest {source_of(spec)} for runs of kind 'train'; allowed: {'0' * 16}" in done.error
