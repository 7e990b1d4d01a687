"""The comparison of two built books sees a changed number, source, shape and table, and no changed id."""

from __future__ import annotations

import pytest

from benchmarks.compare_books import differences

PAGE = """<html><body><article><h1>A page</h1><p>It is
<a class="number" title="From 1 record: aa" href="x.html#records">1.5</a>.</p>
<div class="cell_input">code</div><img src="drawn.svg"/>
<svg><g id="a"><path d="M 1.25 2" clip-path="url(#a-1)"/></g></svg></article></body></html>"""
DRAWN = '<svg><metadata>now</metadata><use xlink:href="#m1" x="3.5"/><text>label</text></svg>'


@pytest.fixture
def books(tmp_path):
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "page.html").write_text(PAGE)
        (tmp_path / name / "drawn.svg").write_text(DRAWN)
        (tmp_path / name / "table.csv").write_text("a\n1\n")
    return tmp_path / "before", tmp_path / "after"


def test_what_only_a_build_knows_is_no_difference(books):
    before, after = books
    (after / "page.html").write_text(
        PAGE.replace("It is\n", "It is ")
        .replace("a-1", "b-2")
        .replace('id="a"', 'id="b"')
        .replace("code", "x")
    )
    (after / "drawn.svg").write_text(DRAWN.replace("now", "then").replace("#m1", "#m2"))
    assert differences(before, after) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("page.html", ">1.5<", ">1.6<", "-1.5\n+1.6"),
        ("page.html", "record: aa", "record: bb", "+From 1 record: bb"),
        ("page.html", "M 1.25 2", "M 1.35 2", "page.html: figure 2 differs"),
        ("drawn.svg", "label", "lable", "page.html: figure 1 differs"),
        ("drawn.svg", '<use xlink:href="#m1" x="3.5"/>', "", "page.html: figure 1 differs"),
        ("page.html", '<img src="drawn.svg"/>', "", "page.html: 2 figures before, 1 after"),
        ("table.csv", "1", "2", "table.csv: another table"),
    ],
)
def test_what_a_reader_would_see_is_one(books, file, old, new, said):
    before, after = books
    text = (after / file).read_text()
    assert old in text
    (after / file).write_text(text.replace(old, new))
    assert said in "\n".join(differences(before, after))


def test_a_page_that_is_gone_or_new_is_named(books):
    before, after = books
    (after / "page.html").rename(after / "other.html")
    assert differences(before, after) == ["only before: page.html", "only after: other.html"]
