"""A chapter is its folder, its notebook and a line in `_toc.yml`: dropped in, it is on the front page."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[2]

FOLDER = {
    "study.py": '''
"""Two short runs."""

from typing import Any, ClassVar

from bnstudy.study.plan import Axis, Study


class ToyStudy(Study):
    """Batch norm on a few digits."""

    name: ClassVar[str] = "toy"

    seeds: int = 2
    dataset: str = "digits"
    train_size: int = 32
    epochs: int = 1

    def base(self) -> dict[str, Any]:
        """Return what all runs have in common."""
        settings = {name: getattr(self, name) for name in ("dataset", "train_size", "epochs")}
        return {**settings, "batch_size": 16, "statistics": ("batch",), "evaluations": 1}

    def axes(self) -> dict[str, Axis]:
        """Return none."""
        return {}
''',
    "rules.py": '''
"""Whether a toy learns to be right less often than always."""

from bnstudy.analysis.rules import Claim, Label, Rule
from bnstudy.analysis.tables import last_step, per_seed, rows


def wrong(tables):
    """Return one minus the test accuracy by seed."""
    return 1 - per_seed(last_step(rows(tables, "evaluation", split="test")), "accuracy")


CLAIMS = (
    Claim(
        "C14",
        "玩具",
        "A toy can be wrong.",
        "toy",
        (
            Rule(
                part="wrong at times",
                label=Label("share of test images that a toy gets wrong", "玩具答错的比例"),
                study="toy",
                quantity="error at the last step",
                contrast="against 0",
                threshold=0.0,
                measure=wrong,
            ),
        ),
    ),
)
''',
    "page.py": '''
"""What the toy's page says."""

from bnstudy.analysis.words import Markdown
from bnstudy.chapters.base import Chapter
from bnstudy.chapters.toy.study import ToyStudy


class ToyChapter(Chapter[ToyStudy]):
    """What the toy's page says."""

    def answer(self) -> Markdown:
        """Return the answer."""
        return self.own.answer(f"Measured {self.setting()}.")
''',
}

CELLS = (
    "_chapter.answer()",
    "_chapter.rules_table()",
    "_chapter.machines()",
    "_chapter.records()",
    "_chapter.downloads()",
)


def notebook() -> nbformat.NotebookNode:
    new = nbformat.v4
    hidden = {"tags": ["hide-input"]}
    parameters = new.new_code_cell(
        'train_size: int = 32\nseeds: int = 2\ndata_dir: str = ""',
        metadata={"tags": ["parameters", "hide-input"]},
    )
    opened = new.new_code_cell(
        'from bnstudy import chapters\n\n_chapter = chapters.open("toy", globals())', metadata=hidden
    )
    shown = [new.new_code_cell(cell, metadata=hidden) for cell in CELLS]
    cells = [
        new.new_markdown_cell("# A toy"),
        parameters,
        opened,
        *shown,
        new.new_markdown_cell("## Records"),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return new.new_notebook(cells=cells, metadata=kernel)


@pytest.mark.slow
def test_a_chapter_dropped_in_stands_on_the_front_page(tmp_path):
    for name in ("bnstudy", "book/_ext", "book/_static"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("_config.yml", "book/index.md", "book/first_round.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    folder = tmp_path / "bnstudy" / "chapters" / "toy"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""A toy."""\n')
    for name, text in FOLDER.items():
        (folder / name).write_text(text.lstrip())
    nbformat.write(notebook(), tmp_path / "book" / "toy.ipynb")
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n- file: book/toy\n- file: book/first_round\n"
    )

    done = subprocess.run(
        [Path(sys.executable).with_name("jupyter-book"), "build", tmp_path],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
        timeout=280,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert all(file.read_bytes() == content for file, content in before.items())

    front = BeautifulSoup((tmp_path / "_build/html/book/index.html").read_text(), "html.parser")
    card = front.select_one("#card-c14")
    assert card.select_one(".claim-said").get_text(strip=True) == "A toy can be wrong."
    assert "exploratory" in card.select_one(".claim-head").get_text()
    assert card.select_one(".claim-head a")["href"] == "toy.html"
    first = BeautifulSoup((tmp_path / "_build/html/book/first_round.html").read_text(), "html.parser")
    row = {
        cells[0].get_text(): cells for tr in first.select(".verdicts tbody tr") if (cells := tr.select("td"))
    }
    claim, verdict, effect = (cell.get_text(" ", strip=True) for cell in row["C14"][1:])
    assert claim == "A toy can be wrong."
    assert verdict == "open"  # among fourteen questions, two seeds are not enough to answer one
    assert effect.startswith("+")
    assert "share of test images that a toy gets wrong" in effect
    assert row["C14"][0].find("a")["href"] == "toy.html"

    command = [sys.executable, "-m", "bnstudy.cli", "status", "toy", "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}
    )
    assert '"needed": 2' in done.stdout
    assert '"missing": []' in done.stdout
