"""The built Chinese pages: every word that nobody wrote for them is Chinese too."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bnstudy.analysis.chinese import chinese
from bnstudy.analysis.chinese_labels import KEPT
from tests.site_book import CHAPTERS, PHONE, WIDE, watch

pytestmark = pytest.mark.slow

PAGES = [name for name in CHAPTERS if name == "zh" or name.startswith("zh/")]
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "path", "source", "use", "wbr"}
ATTRIBUTES = {"title", "aria-label", "placeholder", "alt", "data-label", "data-bs-title"}
# What stands around a page's text and is no word, or leads to the other language.
ELSEWHERE = {"Ctrl", ".md", ".pdf", "English", "PDF"}


class Reader(HTMLParser):
    """Collects a page's texts and what they stand in: tags, with their classes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        inside = " ".join(self.open)
        self.texts += [(inside, value) for name, value in attrs if name in ATTRIBUTES and value]
        if tag not in VOID:
            self.open.append(f"<{tag} {named.get('class') or ''}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:  # written out where XML is
            return
        while self.open and not self.open.pop().startswith(f"<{tag} "):
            pass

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((" ".join(self.open), " ".join(data.split())))


def read(html: Path, name: str) -> list[tuple[str, str]]:
    reader = Reader()
    page = (html / "book" / f"{name}.html").read_text(encoding="utf-8")
    reader.feed(page[page.index("<body") :])
    return [(at, text) for at, text in reader.texts if not re.search(r"<(script|style|code|pre) ", at)]


@pytest.mark.parametrize("name", PAGES)
def test_tables_and_sliders_have_no_label_without_a_translation(html: Path, name: str) -> None:
    quoted = [
        text
        for at, text in read(html, name)
        if re.search(r"<table dataframe>|<div slider>", at) and "<a number>" not in at
    ]
    assert [text for text in quoted if chinese(text) != text] == []
    if name not in ("zh", "zh/first_round", "zh/glossary", "zh/methods", "zh/ten_minutes"):
        assert len(quoted) > 20


@pytest.mark.parametrize("name", PAGES)
def test_figures_have_no_word_without_a_translation(html: Path, name: str) -> None:
    page = (html / "book" / f"{name}.html").read_text(encoding="utf-8")
    for file in set(re.findall(r'src="[./]*(_images/[^"]+\.svg)"', page)):
        drawn = re.findall(r"<text[^>]*>([^<]*)</text>", (html / file).read_text(encoding="utf-8"))
        words = [" ".join(text.split()) for text in drawn]
        assert [text for text in words if chinese(text) != text] == [], file
        assert any(re.search(r"[\u4e00-\u9fff]", text) for text in words), file


@pytest.mark.parametrize("name", PAGES)
def test_what_stands_around_a_page_is_chinese(html: Path, name: str) -> None:
    english = {
        text
        for at, text in read(html, name)
        if "<article " not in at
        and re.search(r"[A-Za-z]{3}", text)
        and not re.search(r"[\u4e00-\u9fff]", text)
    }
    # The list of a page's sections has arguments' names.
    assert {text for text in english - ELSEWHERE - KEPT if not text.startswith("bnstudy.")} == set()


def test_the_list_of_pages_leads_to_every_chinese_page_and_stays_in_place(html: Path) -> None:
    for name in PAGES:
        page = (html / "book" / f"{name}.html").read_text(encoding="utf-8")
        listed = re.search(r'<nav class="bd-links.*?</nav>', page, re.S)[0]
        here = (html / "book" / name).parent
        targets = [
            (here / href).resolve().relative_to(html.resolve() / "book").with_suffix("").as_posix()
            for href in re.findall(r'<a class="[^"]*" href="([^"#]+)"', listed)
        ]
        assert len(targets) == len(set(targets))
        assert set(PAGES) - {"zh", name} <= set(targets)
        assert listed.count('href="#"') == (name != "zh")


def test_a_chinese_page_is_searched_in_chinese(browser: Any, html: Path, served: str) -> None:
    seen = watch(browser.new_page())
    seen.page.goto(f"{served}/book/zh/decay.html")
    action = seen.page.locator("form.bd-search").first.evaluate("form => form.action")
    seen.page.goto(f"{action}?q=滑动平均")
    seen.page.wait_for_function(
        "() => document.querySelector('.search-summary')?.innerText.includes('搜索完成')"
    )
    assert seen.page.locator("html").get_attribute("lang") == "zh-Hans"
    leads = seen.page.locator("#search-results ul.search li > a")
    assert any("book/zh/" in href for href in leads.evaluate_all("all => all.map(a => a.href)"))
    assert (seen.foreign, seen.complaints) == ([], [])
    seen.page.close()
    reader = Reader()
    page = (html / "search-zh.html").read_text(encoding="utf-8")
    reader.feed(page[page.index("<body") :])
    english = {
        text
        for at, text in reader.texts
        if re.search(r"[A-Za-z]{3}", text)
        and not re.search(r"[\u4e00-\u9fff]|<(script|style) ", f"{text}{at}")
    }
    assert {text for text in english - ELSEWHERE - KEPT if not text.startswith("bnstudy.")} == set()


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_a_slider_moves_on_a_chinese_page(visit: Any, width: int) -> None:
    page = visit("zh/train_flag", width).page
    slider = page.locator(".slider input")
    said = page.locator(".slider output")
    slider.focus()
    before = said.inner_text()
    slider.press("ArrowRight" if slider.input_value() != slider.get_attribute("max") else "ArrowLeft")
    assert said.inner_text() != before
    assert re.fullmatch(r"[\d,]+ 张图像", said.inner_text())
    drawing = page.locator(".slider .frame:visible svg")
    assert drawing.count() == 1
    assert said.inner_text() in drawing.get_attribute("aria-label")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
