"""A page loads the scripts and styles of its parts, and a part that names none there is refused."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from bnstudy.chapters.moving_picture import page as moving_picture

BOOK = Path(__file__).parents[1] / "book"


@pytest.fixture(scope="module")
def extension():
    spec = importlib.util.spec_from_file_location("page_parts_extension", BOOK / "_ext" / "page_parts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class App:
    """What the extension asks of Sphinx."""

    def __init__(self) -> None:
        self.added: list[str] = []

    def add_js_file(self, name: str, loading_method: str) -> None:
        assert loading_method == "defer"
        self.added.append(name)

    def add_css_file(self, name: str) -> None:
        self.added.append(name)


def added(extension, body: str) -> list[str]:
    app = App()
    extension._bring(app, "a/page", "page.html", {"body": body}, None)
    return app.added


def test_a_page_brings_what_its_parts_need_once_and_in_order(extension):
    twice = moving_picture.figure() + moving_picture.figure("another")
    assert added(extension, f"<p>{twice}</p>") == [
        "moving_average.js",
        "moving_picture.js",
        "moving_picture.css",
    ]
    assert added(extension, "<p>Nothing moves here.</p>") == []
    app = App()
    extension._bring(app, "search", "search.html", {}, None)
    assert app.added == []


def test_a_part_that_needs_what_isn_t_there_is_named(extension):
    with pytest.raises(FileNotFoundError, match="a/page needs 'sundial'"):
        added(extension, '<div data-needs="moving_average sundial"></div>')


def test_two_pictures_on_a_page_share_no_id():
    html = moving_picture.figure() + moving_picture.figure("another")
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids)) > 6
    targets = re.findall(r'(?:for="|href="#|url\(#)([^")]+)', html)
    assert set(targets) <= set(ids)
