"""The built book as readers and machines meet it: light, described, searchable, with its helps to read."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from functools import cache, partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bnstudy.chapters.claims import CLAIMS
from tests.site_book import CHAPTERS, PARTS, PHONE, ROOT, STUDIED, WIDE, Quiet, watch, weight

pytestmark = pytest.mark.slow

# GitHub compresses what it serves, and a slow phone reads 4.8 Mbit/s.
BYTES_A_SECOND, LATENCY_MS = 600_000, 40
TEXT = (".html", ".css", ".js", ".svg")

# How far each text of each drawing stands out of its view box, in the drawing's own units.
OUTSIDE = """() => [...document.querySelectorAll("svg")].flatMap((svg) => {
  const view = svg.viewBox.baseVal, back = svg.getScreenCTM().inverse();
  const at = (x, y) => new DOMPoint(x, y).matrixTransform(back);
  return [...svg.querySelectorAll("text")].filter((text) => text.textContent.trim()).map((text) => {
    const box = text.getBoundingClientRect(), a = at(box.left, box.top), b = at(box.right, box.bottom);
    const out = Math.max(view.x - a.x, view.y - a.y, b.x - view.x - view.width, b.y - view.y - view.height);
    return [text.textContent.trim(), out];
  }).filter(([, out]) => out > 0.5);
})"""


@cache
def packed(path: Path) -> bytes:
    """Return what is sent of a file: most of them belong to every page."""
    content = path.read_bytes()
    return gzip.compress(content, 6) if path.suffix in TEXT else content


class Compressed(Quiet):
    """A server as GitHub's: text goes compressed."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        self.server.loaded[str(path)] = path.stat().st_size  # type: ignore[attr-defined]
        content = packed(path)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        if path.suffix in TEXT:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture(scope="module")
def compressed(html: Path) -> Iterator[Any]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Compressed, directory=str(html)))
    server.loaded = {}  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ["index", "decay", "explosion"])
def test_a_page_loads_the_same_from_a_server(
    browser: Any, visit: Any, compressed: Any, html: Path, name: str
) -> None:
    # What pages weigh is measured on files (test_site.py), of which a browser loads what it loads from here.
    compressed.loaded.clear()
    context = browser.new_context()
    context.new_page().goto(f"http://127.0.0.1:{compressed.server_port}/book/{name}.html")
    context.close()
    # Over file:// a browser doesn't ask for what only a server has, such as the icon of a bookmark.
    assert weight(visit(name)) == pytest.approx(sum(compressed.loaded.values()), abs=1000)
    assert len(compressed.loaded) > 10


@pytest.mark.parametrize("name", ["index", "decay", "explosion"])
def test_what_a_first_paint_waits_for_takes_less_than_a_second(
    browser: Any, compressed: Any, html: Path, name: str
) -> None:
    # Bytes and rounds, not seconds: those depend on what else the machine does.
    page = (html / "book" / f"{name}.html").read_text()
    head = page[: page.index("</head>")]
    blocking = re.findall(r'<(?:link[^>]*href|script (?!defer)[^>]*src)="([^"?]+\.(?:css|js))', head)
    here = html / "book"
    files = [here / f"{name}.html", *{(here / file).resolve() for file in blocking if "preload" not in file}]
    size = sum(len(packed(file)) for file in files)
    # The page, then what it names, then what a style sheet names; six at a time.
    rounds = 2 + len(files) // 6
    assert size / BYTES_A_SECOND + rounds * LATENCY_MS / 1000 < 1


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_page_says_what_it_is(html: Path, name: str) -> None:
    from bs4 import BeautifulSoup

    head = BeautifulSoup((html / "book" / f"{name}.html").read_text(), "html.parser").head
    said = {tag.get("name") or tag.get("property"): tag["content"] for tag in head.select("meta[content]")}
    assert 20 <= len(said["description"]) <= 200
    assert not re.search(r"[<>{}]|data-means", said["description"])
    assert said["og:title"]
    assert said["og:description"] == said["description"]
    assert said["author"] == "The bnstudy authors"
    chinese = name == "zh" or name.startswith("zh/")
    assert said["og:site_name"] == ("批归一化：实测" if chinese else "Batch normalization, measured")
    title = head.title.get_text()
    assert title.count(said["og:site_name"]) == 1
    assert len(head.select("title, meta[name=viewport]")) == 2
    card = said["og:image"]
    assert card.startswith("https://") or (html / "book" / f"{name}.html").parent.joinpath(card).exists()


def test_the_site_s_own_address_says_what_the_front_page_says(html: Path) -> None:
    door, front = (html / "index.html").read_text(), (html / "book" / "index.html").read_text()
    tags = r'<meta (?:name|property)="(?:description|og:title|og:image:alt)" content="([^"]*)"'
    assert re.findall(tags, door) == re.findall(tags, front)
    assert len(re.findall(tags, door)) == 3
    card = re.search(r'"og:image" content="([^"]*)"', door)
    assert card
    assert card[1].startswith("https://") or (html / card[1]).exists()


def test_the_descriptions_differ(html: Path) -> None:
    said = [
        re.search(r'<meta name="description" content="([^"]*)"', (html / "book" / f"{name}.html").read_text())
        for name in CHAPTERS
    ]
    assert len({match[1] for match in said if match}) == len(CHAPTERS)


def test_the_sidebar_has_its_groups_and_each_claim_once(visit: Any) -> None:
    sidebar = visit("methods").page.locator(".bd-docs-nav")
    assert sidebar.locator("p.caption").all_inner_texts() == list(PARTS)
    names = " ".join(sidebar.locator("li.toctree-l1 > a").all_inner_texts())
    assert sorted(re.findall(r"\bC\d+\b", names)) == sorted(claim.id for claim in CLAIMS)
    assert "C6, C7" in sidebar.locator("a[href='decay.html']").inner_text()


def test_one_switch_shows_all_code_and_is_remembered(browser: Any, html: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto((html / "book" / "decay.html").as_uri())
    code, bars = page.locator(".cell_input pre"), page.locator("details.hide.above-input > summary")
    switch = page.get_by_role("button", name="Show code")
    assert switch.count() == 1
    assert bars.count() > 5
    assert not any(bar.is_visible() for bar in bars.all())
    switch.focus()
    page.keyboard.press("Enter")
    assert all(cell.is_visible() for cell in code.all())
    assert not any(bar.is_visible() for bar in bars.all())
    page.goto((html / "book" / "knobs.html").as_uri())
    assert page.locator(".cell_input pre").first.is_visible()
    page.get_by_role("button", name="Hide code").press("Space")
    assert not page.locator(".cell_input pre").first.is_visible()
    page.reload()
    assert page.get_by_role("button", name="Show code").get_attribute("aria-pressed") == "false"
    context.close()


def test_without_script_each_cell_unfolds_by_itself(browser: Any, html: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((html / "book" / "decay.html").as_uri())
    assert page.locator(".show-code").count() == 0
    bar = page.locator("details.hide.above-input > summary").first
    assert bar.is_visible()
    bar.click()
    assert page.locator(".cell_input pre").first.is_visible()
    context.close()


def test_a_word_of_the_glossary_says_what_it_means(browser: Any, html: Path) -> None:
    page = browser.new_page()
    page.goto((html / "book" / "decay.html").as_uri())
    words = page.locator("a.term")
    anchors = words.evaluate_all("all => all.map(a => a.hash)")
    # Each word once, and where it leads there is one.
    assert len(set(anchors)) == len(anchors) >= 3
    glossary = (html / "book" / "glossary.html").read_text()
    assert all(f'id="{anchor[1:]}"' in glossary for anchor in anchors)
    word = words.first
    note = page.get_by_role("tooltip")
    for show, hide in (
        (word.hover, lambda: page.mouse.move(0, 0)),
        (word.focus, lambda: page.keyboard.press("Escape")),
    ):
        assert note.count() == 0
        page.keyboard.press("Shift")  # what follows is the keyboard's
        show()
        assert note.inner_text() == word.get_attribute("data-means")
        assert word.get_attribute("aria-describedby") == note.get_attribute("id")
        box = note.bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= WIDE
        hide()
    assert note.count() == 0
    page.close()


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_a_wide_table_keeps_the_names_of_its_rows_in_sight(visit: Any, width: int) -> None:
    page = visit("covariate_shift", width).page
    wide = page.locator(".text_html:has(table.dataframe)")
    scrolled = wide.evaluate_all(
        """all => all.filter(box => box.scrollWidth > box.clientWidth + 1).map(box => {
          const cell = box.querySelector("tbody tr").cells[0], before = cell.getBoundingClientRect().x;
          box.scrollLeft = 40;
          return [before, cell.getBoundingClientRect().x, box.scrollLeft];
        })"""
    )
    if width == PHONE:
        assert scrolled
    # A border is half a pixel.
    assert all(abs(before - after) < 1 and left > 0 for before, after, left in scrolled)


@pytest.mark.parametrize("name", ["explosion", "zh/explosion"])
def test_a_table_that_goes_on_fades_until_it_is_scrolled_to_its_end(visit: Any, name: str) -> None:
    page = visit(name, PHONE).page
    fading = page.locator(".bd-article .goes-on")
    count = fading.count()
    assert count > 0
    # Beside such a table no text fades.
    assert page.locator(".goes-on p, .goes-on svg").count() == 0
    box = fading.first
    assert "linear-gradient" in box.evaluate("e => getComputedStyle(e).maskImage")
    box.evaluate("e => { e.dataset.first = ''; e.scrollLeft = e.scrollWidth; }")
    page.wait_for_function("() => !document.querySelector('[data-first]').classList.contains('goes-on')")
    assert fading.count() == count - 1


@pytest.mark.parametrize("name", STUDIED)
def test_at_1280_every_table_fits_in_text_and_margin(browser: Any, html: Path, name: str) -> None:
    # A page of its own: what is wide is looked for once, when the page opens.
    page = browser.new_page(viewport={"width": WIDE, "height": 900})
    page.goto((html / "book" / f"{name}.html").as_uri())
    cut = page.locator(".text_html:has(table.dataframe)").evaluate_all(
        "all => all.filter(b => b.scrollWidth > b.clientWidth + 1).map(b => b.innerText.slice(0, 80))"
    )
    assert cut == []
    assert page.evaluate("() => document.documentElement.scrollWidth") <= WIDE
    page.close()


@pytest.mark.parametrize("name", [*STUDIED, "performance"])
def test_every_text_of_every_figure_is_inside_it(browser: Any, html: Path, name: str) -> None:
    written = (html / "book" / f"{name}.html").read_text()
    drawings = [
        (html / "book" / source).read_text() for source in re.findall(r'<img[^>]*src="([^"]+\.svg)"', written)
    ]
    drawings += re.findall(r"<svg\b.*?</svg>", written, re.S)
    page = browser.new_page()
    page.set_content("".join(f"<p>{drawing[drawing.index('<svg') :]}</p>" for drawing in drawings))
    assert page.locator("svg text").count() > 5
    assert page.evaluate(OUTSIDE) == []
    page.close()


def test_a_text_cut_off_would_be_found(browser: Any) -> None:
    page = browser.new_page()
    page.set_content('<svg viewBox="0 0 50 20"><text x="2" y="15">much longer than that</text></svg>')
    assert [text for text, _ in page.evaluate(OUTSIDE)] == ["much longer than that"]
    page.close()


@pytest.mark.parametrize("name", ["genindex", "404", "search", "search-zh"])
def test_the_pages_that_nobody_wrote_fit_a_phone(browser: Any, html: Path, name: str) -> None:
    page = browser.new_page(viewport={"width": PHONE, "height": 900})
    seen = watch(page)
    page.goto((html / f"{name}.html").as_uri())
    assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE
    assert (seen.foreign, seen.complaints) == ([], [])
    page.close()


def found(browser: Any, served: str, question: str) -> list[str]:
    seen = watch(browser.new_page())
    seen.page.goto(f"{served}/search.html?q={question}")
    results = seen.page.locator("#search-results ul.search li > a")
    seen.page.wait_for_function(
        "() => /found|match/.test(document.querySelector('.search-summary')?.innerText ?? '')"
    )
    links = [href.partition(".html")[0].removeprefix("book/") for href in results.evaluate_all(
        "all => all.map(a => a.getAttribute('href'))"
    )]  # fmt: skip
    assert (seen.foreign, seen.complaints) == ([], [])
    seen.page.close()
    return links


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("decay 0.999", "decay"),
        ("decay", "decay"),
        ("covariate shift", "covariate_shift"),
        ("epsilon", "knobs"),
    ],
)
def test_search_leads_to_the_chapter_first(browser: Any, served: str, question: str, first: str) -> None:
    assert found(browser, served, question)[0] == first


def test_search_finds_numbers_words_and_chinese(browser: Any, served: str) -> None:
    assert "decay" in found(browser, served, "0.9")
    assert "methods" in found(browser, served, "staleness")
    assert "zh" in found(browser, served, "滑动平均") + found(browser, served, "归一化")


def test_the_words_of_a_question_are_cut_as_those_of_a_page(browser: Any, html: Path) -> None:
    import sys

    sys.path.insert(0, str(ROOT / "book" / "_ext"))
    try:
        from finding import SearchBook
    finally:
        sys.path.pop(0)
    texts = ["decay=0.999, 2.14.1 and C6", "批量归一化 BN 的 decay", "均值", "值", "naïve_name 1e-3 ½ _x"]
    page = browser.new_page()
    page.add_script_tag(path=str(html / "_static" / "language_data.js"))
    there = page.evaluate("texts => texts.map(splitQuery)", texts)
    assert there == [SearchBook({}).split(text) for text in texts]
    assert there[0][:2] == ["decay", "0.999"]
    page.close()


def test_a_book_without_a_repository_has_no_dead_links(html: Path) -> None:
    pages = [(html / "book" / f"{name}.html").read_text() for name in CHAPTERS]
    launches = [re.findall(r'href="(https://(?:mybinder|colab)[^"]*)"', page) for page in pages]
    if (html / "sitemap.xml").exists():
        assert any(launches)
    else:
        assert not any(launches)
        assert 'repository-button"' not in "".join(pages)


def test_the_citation_stands_on_the_site(visit: Any) -> None:
    page = visit("about").page
    entry = page.locator("pre", has_text="@software").inner_text()
    stated = json.loads((ROOT / "codemeta.json").read_text())
    assert f"{{{stated['version']}}}" in entry
    assert stated["name"] in entry
    assert "MIT License" in page.locator(".bd-article").inner_text()
