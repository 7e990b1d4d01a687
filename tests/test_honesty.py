"""The book's promises: no result typed into prose, and pages that follow their records."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from scipy import stats

import bnstudy
from bnstudy.analysis.words import write_effect
from bnstudy.chapters.decay.page import DecayChapter
from bnstudy.records.store import Store
from bnstudy.records.tables import to_frame

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"

# A number in prose is a constant of a method, or it is glued. These are the constants, by page; a
# notebook has its own in its metadata, as "constants". Whoever adds one says that it isn't a result.
# Conventions of frameworks and bibliographies are quoted, not found.
CONSTANTS = {
    # Names of things: CIFAR-10, TensorFlow 1, C6 and C7, Python 3.11, 95 % intervals, float32.
    "": "1 10 95 C6 C7",
    "about.md": "4.0",  # a licence's version
    "zh/ten_minutes.md": "0 0.1 0.999 100 8 32",  # as its notebook's
    "zh/decay.md": "0 0.9",
    "zh/updates_collections.md": "C11",
    "zh/train_flag.md": "C10",
    "zh/covariate_shift.md": "0 C1 C2 C3 2018",  # the claim's mean, and a year
    "zh/explosion.md": "1.5 C1 2018",  # how far above guessing it has to be, and a year
    "zh/decay_range.md": "0.9",
    "zh/what_decay.md": "0",
    "zh/convergence.md": "1.1 2,000 2015 2018 C4 C13",  # as its notebook's
    "zh/regularisation.md": "0.9 2018 C5",
    "zh/knobs.md": "0 0.9 0.99 3 5 2017 C8 C9 C12",
    "glossary.md": "0.00001 0.001 0.1 0.9 0.999",  # defaults
    "zh/glossary.md": "0.00001 0.001 0.1 0.9 0.999",  # defaults
    "index.md": "",
    "zh/methods.md": (  # as the English page's
        "0 2 0.001 0.1 2×2 3×3 32×32×3 10,000 50,000 256 2009 2015 2021 1979 1981 1993 20,000 5 C1 C2 C3"
    ),
    "zh/second_round.md": "",
    "zh/first_round.md": "C1 C2 C3 C4 C5 C8 C9 C10 C11 C12 C13",
    "first_round.md": "C1 C2 C3 C4 C5 C8 C9 C10 C11 C12 C13",
    "is_it_batch_norm.md": "",
    "methods.md": (
        "0 2 5 8 0.001 0.1 2×2 3×3 32×32×3 "  # moving averages, rules and the network
        "10,000 50,000 256 2009 2015 2021 "  # the data, and Adam
        "1979 1981 1993 20,000 "  # the statistics
        "C1 C2 C3"  # what the first recordings came to, which are no longer here to be cited
    ),
    "reproduce.md": "3.11 40 5 8",
    "zh.md": "",
    "api/doctor.md": "0 2 100",  # exit codes, and the target that PyTorch ignores
    "api/index.md": "",
    "api/loops.md": "",
    "api/norm.md": "",
    "api/probes.md": "",
    "api/records.md": "",
    "api/tf1.md": "",
}
# A log quotes the numbers of its day.
QUOTED = {"changelog.md", "differences.md", "log.md", "references.md"}

# Tables of constants in a page that has results besides: the network's shapes, and the coverage that
# test_the_coverage_and_the_width_on_the_methods_page_are_simulated holds to its simulation.
TABLES = {
    "methods.md": ("| layer | weights |", "| array | SHA-256 |", "| values | Student's t |"),
    "zh/methods.md": ("| 层 | 权重 |", "| 值的分布 | t 区间 |"),
}


def prose(path: Path) -> str:
    """A page's or a notebook's text, less code, formulas, addresses and tables of constants."""
    if path.suffix == ".ipynb":
        text = "\n\n".join(c.source for c in nbformat.read(path, 4).cells if c.cell_type == "markdown")
    else:
        text = path.read_text()
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.S)
    name = path.relative_to(BOOK).as_posix() if path.is_relative_to(BOOK) else path.name
    for first_line in TABLES.get(name, ()):
        assert first_line in text
        text = re.sub(rf"^{re.escape(first_line)}.*\n(\|.*\n)*", "", text, flags=re.M)
    for pattern in (
        r"^(`{3,}|~{3,}).*?^\1",  # fenced code and directives
        r"\$\$.*?\$\$(?: \(.*?\))?",
        r"\$[^$\n]+\$",
        r"`[^`\n]+`",
        r"\]\([^)]*\)",
        r"^\([\w-]+\)=$",
    ):
        text = re.sub(pattern, " ", text, flags=re.S | re.M)
    return text


def numbers(text: str) -> set[str]:
    return set(re.findall(r"(?<![A-Za-z\d])C?\d+(?:[.,×]\d+)*", text))


def constants(page: Path) -> set[str]:
    if page.suffix == ".ipynb":
        return set(" ".join(nbformat.read(page, 4).metadata.get("constants", ())).split())
    name = str(page.relative_to(BOOK))
    assert name in CONSTANTS, "a new page has to name its constants"
    return set(CONSTANTS[name].split())


def pages() -> list[Path]:
    # A chapter whose records are not complete is kept out of the book.
    kept_out = (BOOK.parent / "_config.yml").read_text()
    notebooks = [p for p in BOOK.rglob("*.ipynb") if f"book/{p.name}" not in kept_out and p.parent == BOOK]
    found = [*BOOK.rglob("*.md"), *notebooks]
    return sorted(p for p in found if p.name not in QUOTED and ".ipynb_checkpoints" not in p.parts)


@pytest.mark.parametrize("page", pages(), ids=lambda p: str(p.relative_to(BOOK)))
def test_no_digit_of_a_result_is_typed_in_prose(page):
    # Equality: a constant that no page has any more would let a result of that value pass.
    assert numbers(prose(page)) - set(CONSTANTS[""].split()) == constants(page)


def test_a_typed_result_would_be_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("With `decay=0.9` and $d = 0.99$ it reaches 71.6 % ([1](x.md#2)).\n\n```\n3 = 3\n```\n")
    assert numbers(prose(page)) == {"71.6", "1"}


def test_the_chinese_methods_have_the_same_formulas_and_tables_of_numbers():
    english, chinese = ((BOOK / name).read_text() for name in ("methods.md", "zh/methods.md"))
    formulas = [re.findall(r"\$\$\n(.*?)\n\$\$", text, re.S) for text in (english, chinese)]
    # Between two of them English goes on in the formula's sentence.
    first, second = ([formula.rstrip(" .,") for formula in each] for each in formulas)
    assert first == second
    for heads in zip(TABLES["methods.md"][::2], TABLES["zh/methods.md"], strict=True):
        tables = [
            text.split(head)[1].split("\n\n")[0].splitlines()
            for text, head in zip((english, chinese), heads, strict=True)
        ]
        first, second = ([re.findall(r"\d+(?:×\d+)*", row) for row in table] for table in tables)
        assert first == second
        assert len(first) > 4


def copy(folder: Path) -> Path:
    """Copy the front page and the decay chapter to ``folder``, with records of their own."""
    runs = [f"data/runs/{run}" for run in bnstudy.load("decay").runs]
    for name in ("book/_ext", "book/_static", *runs):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("_config.yml", "book/index.md"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "_toc.yml").write_text("format: jb-book\nroot: book/index\nchapters:\n- file: book/decay\n")
    notebook = json.loads((BOOK / "decay.ipynb").read_text())
    cell = next(c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", ()))
    cell["source"] = re.sub(
        r'data_dir: str = ""', f"data_dir: str = {str(folder / 'data')!r}", "".join(cell["source"])
    )
    (folder / "book" / "decay.ipynb").write_text(json.dumps(notebook))
    return folder


def build(folder: Path, *before: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, Path(sys.executable).with_name("jupyter-book"), "build", folder],
        capture_output=True,
        text=True,
        env={**os.environ, "BNSTUDY_TRAIN": "never", "PYTHONPATH": str(ROOT)},
        timeout=280,
    )


def halve_accuracy_with_batch_statistics(store: Store) -> None:
    for record in bnstudy.load("decay", store.root).records.values():
        tables = {name: to_frame(name, [store.table(record, name)]) for name in record.tables}
        table = tables["evaluation"]
        table.loc[(table["split"] == "test") & (table["statistics"] == "batch"), "accuracy"] /= 2
        shutil.rmtree(store.path(record.spec))
        written = {
            name: rows.drop(columns="run").astype(object).where(rows.notna(), None).to_dict("list")
            for name, rows in tables.items()
        }
        store.write(record.spec, record.provenance, record.outcome, written)


def effects(data_dir: Path) -> list[str]:
    frames = bnstudy.load("decay", data_dir)
    chapter = DecayChapter(frames, frames.study, frames.runs)
    findings = [verdict.findings[0] for verdict in chapter.verdicts.values()]
    return [write_effect(f.effect, f.rule.unit, "points") for f in findings]


ALMIGHTY = os.geteuid() == 0
# Takes root's right to write anywhere away.
MORTAL = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if ALMIGHTY and shutil.which("setpriv") else ()


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A book of changed records, built where nothing may be written to its data."""
    folder = copy(tmp_path_factory.mktemp("changed"))
    halve_accuracy_with_batch_statistics(Store(folder / "data"))
    data = [folder / "data", *(p for p in (folder / "data").rglob("*") if p.is_dir())]
    for path in data:
        path.chmod(0o555)
    try:
        written = subprocess.run([*MORTAL, "touch", folder / "data" / "new"], capture_output=True)
        done = build(folder, *MORTAL)
    finally:
        for path in data:
            path.chmod(0o755)
    return folder, written, done


@pytest.mark.slow
def test_a_changed_record_changes_the_page(changed):
    folder, _, done = changed
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    before, after = effects(ROOT / "data"), effects(folder / "data")
    assert after[0] != before[0]
    for page in ("index", "decay"):
        text = (folder / "_build" / "html" / "book" / f"{page}.html").read_text()
        assert after[0].split(" ")[0] in text
        assert before[0] not in text.replace("percentage points", "points")
        assert "supported" in text


@pytest.mark.slow
@pytest.mark.skipif(ALMIGHTY and not MORTAL, reason="root may write anywhere, and setpriv isn't here")
def test_a_read_only_data_folder_still_builds(changed):
    _, written, done = changed
    assert written.returncode
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]


@pytest.mark.slow
def test_a_deleted_record_fails_the_build_and_says_which(tmp_path):
    folder = copy(tmp_path)
    name = bnstudy.load("decay", folder / "data").runs[0]
    (folder / "data" / "runs" / name).rename(folder / "elsewhere")
    done = build(folder)
    assert done.returncode != 0
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    assert "1 runs of 'decay' are not recorded in" in said
    assert "record them with: bnstudy run decay" in said


@pytest.mark.slow
def test_the_coverage_and_the_width_on_the_methods_page_are_simulated():
    from bnstudy.analysis.statistics import bootstrap_interval, mean_interval

    text = (BOOK / "methods.md").read_text()
    lines = text.split("| values | Student's t |")[1].splitlines()[2:6]
    rng = np.random.default_rng(2)
    draws = {
        "normal": (rng.normal(size=(2000, 5)), 0.0),
        "uniform": (rng.uniform(size=(2000, 5)), 0.5),
        "Student's, 3 degrees of freedom": (rng.standard_t(3, size=(2000, 5)), 0.0),
        "exponential": (rng.exponential(size=(2000, 5)), 1.0),
    }
    wider = []
    for line in lines:
        name, *stated = (cell.strip() for cell in line.strip("|").split("|"))
        samples, truth = draws[name]
        intervals = [
            [(i.low, i.high) for i in map(mean_interval, samples)],
            [(i.low, i.high) for i in map(bootstrap_interval, samples)],
        ]
        student, bootstrap = (np.array(bounds) for bounds in intervals)
        wider.append(np.ptp(bootstrap, axis=1) / np.ptp(student, axis=1))
        for method in ("percentile", "BCa"):
            found = stats.bootstrap(
                (samples,), np.mean, axis=1, n_resamples=999, method=method, batch=100, rng=rng
            )
            intervals.append(list(zip(*found.confidence_interval, strict=True)))
        for bounds, value in zip(intervals, stated, strict=True):
            covered = np.mean([low <= truth <= high for low, high in bounds])
            # Two simulations of 2,000 differ by less than this all but surely.
            assert float(value.removesuffix(" %")) / 100 == pytest.approx(covered, abs=0.025), (name, value)
    price = re.search(
        r"in the median of these samples, (.*) more than Student's, and for (.*) more than twice as much",
        text,
    )
    assert price
    shares = {
        "a quarter": 1 / 4,
        "a third": 1 / 3,
        "a half": 1 / 2,
        "one in four": 1 / 4,
        "one in five": 1 / 5,
    }
    median, often = (shares[words] for words in price.groups())
    assert median == pytest.approx(np.median(wider) - 1, abs=0.04)
    assert often == pytest.approx(np.mean(np.array(wider) > 2), abs=0.02)
