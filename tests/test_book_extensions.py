"""What makes the book light, described and readable, each part by itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from docutils import nodes
from docutils.utils import new_document

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

from citation import bibtex
from citizen import LENGTH, description
from light import lighten
from mathml import to_mathml
from published import published
from sidebar import label
from small_svg import compact
from terms import explain
from used_css import used


@pytest.mark.parametrize(
    ("formula", "parts"),
    [
        (r"\frac{1}{m}", ("<mfrac>",)),
        (r"\begin{aligned} a &= b, \\ c^2 &= d \end{aligned}", ("<mtable", 'columnalign="right"', "<msup>")),
        (r"\begin{gathered} a \\ b \end{gathered}", ("<mtable",)),
        ("a < b & c"[:5], ("&lt;",)),
    ],
)
def test_a_formula_becomes_mathml_and_keeps_its_source(formula: str, parts: tuple[str, ...]) -> None:
    from xml.etree import ElementTree

    written = to_mathml(formula)
    for part in parts:
        assert part in written
    annotation = ElementTree.fromstring(written).find(".//{*}annotation")
    assert annotation is not None
    assert annotation.text == formula


@pytest.mark.parametrize("formula", [r"\foo x", r"\begin{alignedat}{2} a &= b \\ c \end{alignedat}", "a & b"])
def test_a_formula_that_would_not_be_drawn_stops_the_build(formula: str) -> None:
    with pytest.raises(ValueError, match="no MathML"):
        to_mathml(formula)


def test_a_style_sheet_keeps_what_pages_and_scripts_name() -> None:
    sheet = (
        '@charset "UTF-8";/*! a licence */:root{--x:url("data:,{(}")}.a,.b:not(.c){x:1}.d .a{x:2}'
        "@media print{.e{x:3}.a{x:4}}@media screen{.e{x:5}}@keyframes k{from{x:6}}"
        ".tip-top{x:7}p>.a::after{x:8}"
    )
    kept = used(sheet, ['<p class="a b">', 'toggle("z")'], ("tip",))
    assert kept == (
        '@charset "UTF-8";/*! a licence */:root{--x:url("data:,{(}")}.a,.b:not(.c){x:1}'
        "@media print{.a{x:4}}@keyframes k{from{x:6}}.tip-top{x:7}p>.a::after{x:8}"
    )
    assert used(sheet, ["a b d e tip"]) == sheet.replace(".tip-top{x:7}", "")


def test_a_page_keeps_what_it_needs(tmp_path: Path) -> None:
    title, viewport = "<title>A &#8212; A</title>", '<meta name="viewport" content="width=device-width"/>'
    search = "".join(
        f'<script src="../{file}"></script>' for file in ("searchindex.js", "_static/searchtools.js")
    )
    icons = '<script defer src="../_static/scripts/fontawesome.js?digest=1"></script>'
    (tmp_path / "a.svg").write_text('<svg viewBox="0 0 30 20.4"></svg>')
    body = '<img alt="x" src="a.svg"/><code><span class="pre">a</span> <span class="pre">&lt;</span></code>'
    page = f"{title}{viewport}\n{viewport}{search}{icons}<p>{body}"
    light = (
        '<img loading="lazy" decoding="async" width="30" height="20" alt="x" src="a.svg"/><code>a &lt;</code>'
    )
    assert lighten(page, "a.html", tmp_path) == f"<title>A</title>{viewport}<p>{light}"
    for name in ("search.html", "search-zh.html"):
        assert lighten(page, name, tmp_path) == f"<title>A</title>{viewport}{search}<p>{light}"
    other = "<title>A &#8212; B</title>"
    assert lighten(other, "a.html", tmp_path) == other


def test_a_drawing_keeps_its_marks_and_its_text() -> None:
    line = " ".join(f"L {x}.123 {x}.456" for x in range(40))
    tick = '<path id="t" d="M 0 0 \nL 0 6 \n" style="stroke: #333"/>'
    mark = '<path id="m" d="M 0 1.234 C 1 1 1 1 0 0" style="stroke: #333"/>'
    use = '<use xlink:href="#{}" x="1.25" style="fill: #111"/>'
    twice = use.format("t") + use.format("m")
    svg = f'<svg><!-- x -->{tick}{mark}{twice}<path d="{line}"/><text>1.234</text></svg>'
    small = compact(svg)
    assert '<use xlink:href="#t" x="1.25"/>' in small
    assert use.format("m") in small
    assert 'd="M 0 1.234 C' in small
    assert "L 7.1 7.5 " in small
    assert "<text>1.234</text>" in small
    assert len(small) < len(svg)


def test_no_repository_is_no_link_and_one_setting_is_all() -> None:
    assert published({}).repository == published({}).address == ""
    site = published({"BNSTUDY_REPOSITORY": "https://github.com/Some-One/bn.study/"})
    assert site.address == "https://some-one.github.io/bn.study"
    assert site.blob("book/decay.ipynb") == "https://github.com/Some-One/bn.study/blob/main/book/decay.ipynb"
    assert all("Some-One/bn.study" in address for address in site.launches().values())
    assert (
        published({"BNSTUDY_REPOSITORY": "https://github.com/me/me.github.io"}).address
        == "https://me.github.io"
    )
    assert published({"BNSTUDY_ADDRESS": "https://example.org/book/"}).address == "https://example.org/book"


@pytest.mark.parametrize(
    "said",
    [
        {"BNSTUDY_REPOSITORY": "me/bnstudy"},
        {"BNSTUDY_REPOSITORY": "https://example.org/x"},
        {"BNSTUDY_ADDRESS": "x"},
    ],
)
def test_a_setting_that_makes_dead_links_is_refused(said: dict[str, str]) -> None:
    (name,) = said
    with pytest.raises(ValueError, match=rf"{name} is .*allowed"):
        published(said)


def page(*paragraphs: str) -> nodes.document:
    document = new_document("page")
    section = nodes.section()
    document += section
    for text in paragraphs:
        section += nodes.paragraph("", text)
    return document


def test_a_description_ends_with_a_sentence() -> None:
    long = "One thing is so. " * 30
    for said in (description(page(long), "t"), description(page("同一个分布。" * 60), "t")):
        assert len(said) <= LENGTH
        assert said[-1] in ".。"
    assert description(page("word " * 90), "t").endswith("word…")
    assert description(page(), "Title") == "Title"
    assert description(page("One.", "Two."), "t") == "One. Two."
    # Such as a link to the page in another language.
    assert description(page("A sentence of some length. " * 3 + "中文"), "t")[-1] == "."


def test_a_word_is_explained_where_it_first_stands_and_nowhere_else() -> None:
    words = {"moving average": ("ma", 'an "average"'), "average": ("a", "a mean"), "run": ("run", "x")}
    document = page("Runs of Moving averages, an average.", "A moving average again.")
    title = nodes.title("", "average")
    document[0].insert(0, title)
    document[0].insert(1, nodes.paragraph("", "", nodes.literal("", "average")))
    explain(document, words, "glossary.html")
    links = [node.astext() for node in document.findall(nodes.raw)]
    assert links == [
        '<a class="term" href="glossary.html#ma" data-means="an &quot;average&quot;">Moving averages</a>',
        '<a class="term" href="glossary.html#a" data-means="a mean">average</a>',
    ]
    assert title.astext() == "average"


def test_the_sidebar_s_names_are_short_and_have_the_claims() -> None:
    assert label("book/decay", "Decay: what a moving average remembers") == "Decay · C6, C7"
    assert label("book/zh/decay", "衰减：记住了什么") == "衰减 · C6、C7"
    assert label("book/zh/train_flag", "训练标志（is_training）：测试时") == "训练标志（is_training）· C10"
    assert label("book/methods", "Methods") == "Methods"


def test_what_is_said_of_the_software_is_the_same_everywhere() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    meta = json.loads((ROOT / "codemeta.json").read_text())
    assert project["version"] == citation["version"] == meta["version"]
    assert project["license"] == citation["license"] == meta["license"].rpartition("/")[2]
    assert citation["title"] == meta["name"]
    assert citation["keywords"] == meta["keywords"]
    named = (citation["authors"], project["authors"], meta["author"])
    assert len({tuple(author["name"] for author in authors) for authors in named}) == 1
    entry = bibtex(citation, "2026-11-05", "https://example.org")
    assert "  year    = {2026},\n  month   = {11},\n" in entry
    assert "url     = {https://example.org}" in entry
    assert "year" not in bibtex(citation, "", "")


def test_actions_are_named_by_commit() -> None:
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        used = re.findall(r"uses: *(\S+)", workflow.read_text())
        assert used
        assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in used)


def test_the_notebook_of_the_launch_has_its_repository_filled_in() -> None:
    if subprocess.run(["git", "rev-parse"], cwd=ROOT, capture_output=True).returncode:
        pytest.skip("not a git checkout")

    def said(*command: str) -> str:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    commit = said("bash", ".ci/launch", "https://github.com/o/n", "0123abcd")
    assert said("git", "ls-tree", "--name-only", commit) == "digits.ipynb"
    notebook = json.loads(said("git", "show", f"{commit}:digits.ipynb"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"]]
    assert sum("REPOSITORY = 'https://github.com/o/n'\nCOMMIT = '0123abcd'" in cell for cell in cells) == 1
    for cell, kind in zip(cells, notebook["cells"], strict=True):
        if kind["cell_type"] == "code":
            compile(cell, "cell", "exec")
