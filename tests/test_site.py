"""The built book in a real browser: what a reader opens from a folder, without any network."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bnstudy.chapters import EXPERIMENTS
from bnstudy.chapters.claims import CLAIMS
from tests.site_book import (
    ALSO_DARK_ON_A_PHONE,
    CHAPTERS,
    GENERATED,
    PHONE,
    ROOT,
    STUDIED,
    VIEWS,
    WIDE,
    watch,
    weight,
)

pytestmark = pytest.mark.slow

# Bytes that a page loads before anybody scrolls.
HEAVIEST = 1_000_000

FIRST_ROUND = ["first_round", "zh/first_round"]


def test_every_page_is_tested(html: Path) -> None:
    built = {str(p.relative_to(html / "book").with_suffix("")) for p in (html / "book").rglob("*.html")}
    # An address that one may guess leads to the Chinese front page.
    assert built == {*CHAPTERS, "zh/index"}
    assert 'content="0; url=../zh.html"' in (html / "book" / "zh" / "index.html").read_text("utf-8")


def test_the_first_page_leads_to_the_book(browser: Any, html: Path) -> None:
    page = browser.new_page()
    page.goto((html / "index.html").as_uri())
    page.wait_for_url("**/book/index.html")
    page.close()


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_page_asks_nothing_of_other_hosts_and_throws_no_error(visit: Any, name: str) -> None:
    seen = visit(name)
    # Lazily loaded figures only load once they are seen.
    seen.page.evaluate("() => { for (const image of document.images) image.loading = 'eager'; }")
    seen.page.wait_for_function("() => [...document.images].every(image => image.complete)")
    assert seen.foreign == []
    assert seen.complaints == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_formula_is_rendered(visit: Any, name: str) -> None:
    page = visit(name).page
    formulas = page.locator("span.math, div.math")
    rendered = page.locator("span.math > math > semantics, div.math > math > semantics")
    if name == "methods":
        assert formulas.count() > 20
    assert rendered.count() == formulas.count()
    assert page.locator("merror").count() == 0
    # What a browser can't draw, such as a command of LaTeX's, it shows as it is written.
    drawn = rendered.locator("> mrow").all_text_contents()
    assert not [text for text in drawn if re.search(r"[\\&$]", text)]


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_figure_is_loaded_and_has_alt_text_and_caption(visit: Any, name: str) -> None:
    page = visit(name).page
    images = page.locator(".bd-article img")
    if name in EXPERIMENTS:
        assert images.count() > 0
    for i in range(images.count()):
        image = images.nth(i)
        image.scroll_into_view_if_needed()
        source = image.get_attribute("src")
        assert image.evaluate("e => e.decode().then(() => e.naturalWidth > 0)"), source
        # The file's own name is what Sphinx writes where nobody wrote a text.
        alt = image.get_attribute("alt") or ""
        assert len(alt) > 20, source
        assert not alt.endswith((".svg", ".png")), source
        assert image.locator("xpath=ancestor::figure//figcaption").count() == 1, source


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_code_of_a_notebook_shows_unless_unfolded(visit: Any, name: str) -> None:
    page = visit(name).page
    code = page.locator(".cell_input pre")
    assert [code.nth(i).inner_text()[:60] for i in range(code.count()) if code.nth(i).is_visible()] == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_page_says_what_it_was_built_from(visit: Any, name: str) -> None:
    text = visit(name).page.locator(".provenance").inner_text()
    assert "bnstudy 0." in text
    chinese = name == "zh" or name.startswith("zh/")
    for word in (
        ("提交 ", " 条记录（", " 项基准测试（") if chinese else ("commit ", "records ", "benchmarks ")
    ):
        assert word in text


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_page_loads_a_megabyte(visit: Any, html: Path, name: str) -> None:
    seen = visit(name)
    assert (html / "book" / f"{name}.html").as_uri() in seen.first
    assert weight(seen) <= HEAVIEST


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_page_is_accessible(visit: Any, name: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = []
    views = [view for view in VIEWS if view != (PHONE, "dark") or name in ALSO_DARK_ON_A_PHONE]
    for width, scheme in [(PHONE, "light")] if name in GENERATED else views:
        page = visit(name, width, scheme).page
        page.wait_for_function(f"() => document.documentElement.dataset.theme === '{scheme}'")
        # Down and up again: the theme then offers a button that leads to the top.
        for y in (3000, 2000, 1000):
            page.evaluate(f"() => window.scrollTo(0, {y})")
            page.wait_for_timeout(20)
        context = {"exclude": [["svg"]]} if width == PHONE and name not in GENERATED else None
        result = axe.run(page, context=context, options=rules_of_axe(name, scheme)).response
        assert result["passes"], "nothing was looked at"
        for violation in result["violations"]:
            found.append((width, scheme, violation["id"], violation["nodes"][0]["html"][:200]))
    assert found == []


def rules_of_axe(name: str, scheme: str) -> dict[str, Any]:
    """All in the light; in the dark colours alone, since nothing else is another there.

    On a phone the drawings are those of the wide page, by the same style sheet, and aren't looked at again.
    """
    # Preloading would fetch style sheets by script, which a browser refuses over file://.
    options: dict[str, Any] = {"preload": False, "resultTypes": ["violations"]}
    if name in GENERATED:
        return {**options, "rules": {"color-contrast": {"enabled": False}}}
    return {**options, "runOnly": ["color-contrast"]} if scheme == "dark" else options


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_page_is_wider_than_a_phone(visit: Any, name: str) -> None:
    page = visit(name, PHONE).page
    assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE


def test_links_within_the_book_lead_somewhere(visit: Any, html: Path) -> None:
    ids: dict[str, set[str]] = {}
    for name in CHAPTERS:
        page = visit(name).page
        here = str(html / "book" / f"{name}.html")
        ids[here] = set(page.eval_on_selector_all("[id]", "all => all.map(e => e.id)"))
    for name in CHAPTERS:
        links = visit(name).page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
        for link in sorted({x.removeprefix("file://") for x in links if x.startswith("file://")}):
            target, _, fragment = link.partition("#")
            target = target.split("?")[0]
            assert Path(target).exists(), f"{name} links to {target}"
            # One with values is the state of a calculator.
            if fragment and "=" not in fragment and target in ids:
                assert fragment in ids[target], f"{name} links to {link}"


@pytest.mark.parametrize("name", FIRST_ROUND)
def test_the_thirteen_verdicts_fit_on_one_screen(visit: Any, name: str) -> None:
    page = visit(name).page
    rows = page.locator(".verdicts tbody tr")
    assert [r.split()[0] for r in rows.all_inner_texts()] == [claim.id for claim in CLAIMS]
    box = page.locator(".verdicts table").bounding_box()
    assert box["height"] <= 900


def test_the_chinese_page_of_the_first_round_has_the_same_numbers(visit: Any) -> None:
    def numbers(name: str) -> list[list[str]]:
        rows = visit(name).page.locator(".verdicts tbody td:nth-child(4)").all_inner_texts()
        # The Chinese line has the bound before its condition in another order.
        return [sorted(re.findall(r"[-+]?\b\d+(?:\.\d+)?", row)) for row in rows]

    assert numbers("zh/first_round") == numbers("first_round")
    # Effect, both bounds of its interval, and what was asked.
    assert all(len(row) >= 4 for row in numbers("zh/first_round"))
    page = visit("zh/first_round").page
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    assert visit("first_round").page.locator("html").get_attribute("lang") == "en"
    for claim, row in zip(CLAIMS, page.locator(".verdicts tbody tr").all_inner_texts(), strict=True):
        assert claim.original in row


@pytest.mark.parametrize("width", [WIDE, PHONE])
@pytest.mark.parametrize("name", FIRST_ROUND)
def test_each_effect_says_what_it_is_and_what_was_asked(visit: Any, name: str, width: int) -> None:
    rows = visit(name, width).page.locator(".verdicts tbody tr")
    for row in rows.all():
        for part in (".asked", ".measured"):
            said = row.locator(part)
            assert said.is_visible()
            assert said.inner_text().strip()
            box, cell = said.bounding_box(), row.locator("td:nth-child(4)").bounding_box()
            assert box["x"] + box["width"] <= cell["x"] + cell["width"] + 1
    measured = rows.locator(".measured").all_inner_texts()
    assert len(set(measured)) == len(CLAIMS)


@pytest.mark.parametrize("width", [WIDE, PHONE])
@pytest.mark.parametrize("name", FIRST_ROUND)
def test_a_verdict_stands_on_one_line(visit: Any, name: str, width: int) -> None:
    verdicts = visit(name, width).page.locator(".verdicts tbody td:nth-child(3) .number")
    assert verdicts.evaluate_all("all => all.map(a => a.getClientRects().length)") == [1] * len(CLAIMS)


@pytest.mark.parametrize("name", [*STUDIED, "performance"])
def test_the_network_without_batch_norm_has_one_name(visit: Any, html: Path, name: str) -> None:
    page = visit(name).page
    assert "none" not in [cell.strip() for cell in page.locator(".bd-article td").all_inner_texts()]
    figures = page.locator(".bd-article img").evaluate_all("all => all.map(i => i.getAttribute('src'))")
    drawn = [(html / "book" / source).read_text() for source in figures if source.endswith(".svg")]
    drawn += page.locator(".bd-article svg").evaluate_all("all => all.map(s => s.outerHTML)")
    assert not [text for text in drawn if re.search(r">\s*none\s*<", text)]
    for text in (page.locator(".bd-article").inner_text(), *drawn):
        assert not re.search(r"\bno (batch norm|normalisation)\b", text)


@pytest.mark.parametrize("name", sorted({claim.chapter for claim in CLAIMS}))
def test_a_chapter_opens_with_what_was_found_of_each_of_its_claims(visit: Any, name: str) -> None:
    page = visit(name).page
    leads = page.locator(".bd-article .lead-claim")
    said = leads.all_inner_texts()
    assert [text.partition(".")[0] for text in said] == [c.id for c in CLAIMS if c.chapter == name]
    # Numbers and their intervals are looked at, not read.
    words = [sum(any(c.isalpha() for c in word) for word in text.split()) for text in said]
    assert max(words) <= 65
    assert all("Do this:" in text for text in said)
    # Before anything else that has a heading.
    second = page.locator(".bd-article h2").first.bounding_box()
    assert leads.last.bounding_box()["y"] < second["y"]


def test_figures_are_numbered_through_the_book_and_sliders_like_the_others(visit: Any) -> None:
    told = []
    for name in STUDIED:
        page = visit(name).page
        told += page.locator("article figure figcaption .caption-number").all_inner_texts()
        assert page.locator(".slider").count() == page.locator("figure:has(figcaption) .slider").count()
        assert page.locator("article figure").count() == page.locator(".caption-number").count() > 0
    assert [text.strip() for text in told] == [f"Fig. {i}" for i in range(1, len(told) + 1)]


@pytest.mark.parametrize("name", STUDIED)
def test_a_chapter_says_on_what_its_records_were_made(visit: Any, name: str) -> None:
    text = visit(name).page.locator("#records").inner_text()
    assert re.search(r"Made on:\s.*, Python 3\.\d+\..*; \d[\d,]*\.\d hours in all", text, re.S)


def test_the_slider_moves_by_keyboard_and_says_where_it_is(visit: Any) -> None:
    page = visit("decay").page
    slider = page.locator(".slider")
    control = slider.get_by_role("slider", name="Training so far")
    frames = slider.locator(".frame")
    steps = frames.evaluate_all("all => all.map(f => f.dataset.label)")
    assert len(steps) > 3
    # It opens where the decays part, which isn't at the first step.
    opened = int(control.get_attribute("value"))
    assert opened > 0
    assert slider.locator("output").inner_text() == steps[opened]
    control.focus()
    for key, at in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", -1)):
        page.keyboard.press(key)
        assert control.get_attribute("aria-valuetext") == steps[at]
        assert slider.locator("output").inner_text() == steps[at]
        shown = [steps[i] for i in range(len(steps)) if frames.nth(i).is_visible()]
        assert shown == [steps[at]]


def test_without_script_every_position_of_the_slider_is_readable(browser: Any, html: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((html / "book" / "decay.html").as_uri())
    frames = page.locator(".slider .frame")
    assert frames.count() > 3
    for i in range(frames.count()):
        assert frames.nth(i).locator("svg").is_visible()
        assert frames.nth(i).locator("p").inner_text() == frames.nth(i).get_attribute("data-label")
    assert page.locator(".slider input").is_hidden()
    context.close()


@pytest.mark.parametrize("name", STUDIED)
def test_the_numbers_of_a_chapter_can_be_downloaded(visit: Any, html: Path, name: str) -> None:
    import bnstudy

    links = visit(name).page.locator("a[href$='.csv']:not([href^='../records/'])")
    frames = bnstudy.load(name)
    assert set(links.evaluate_all("all => all.map(a => a.getAttribute('href'))")) == {
        f"{name}-{table}.csv" for table in frames
    }
    for table, frame in frames.items():
        # A label that looks like a number is text in the frame; an empty one is nothing in a file.
        text = [column for column in frame if pd.api.types.is_string_dtype(frame[column])]
        offered = pd.read_csv(html / "book" / f"{name}-{table}.csv", dtype=dict.fromkeys(text, "str"))
        expected = frame.assign(**{column: frame[column].replace("", None) for column in text})
        pd.testing.assert_frame_equal(offered, expected, check_dtype=False)


def test_the_benchmark_s_numbers_can_be_downloaded(visit: Any, html: Path) -> None:
    links = visit("performance").page.locator("a[download]")
    offered = set(links.evaluate_all("all => all.map(a => a.getAttribute('href'))"))
    files = {file.name: file for file in (ROOT / "data" / "bench").glob("*.json")}
    assert {"performance-lines.csv", *files} <= offered
    for name, file in files.items():
        assert (html / "book" / name).read_bytes() == file.read_bytes()


def test_the_page_that_is_printed_holds_every_page(browser: Any, html: Path, tmp_path: Path) -> None:
    shutil.copytree(html, tmp_path / "html")
    script = [sys.executable, ROOT / "book" / "_print" / "one_page.py", tmp_path / "html"]
    subprocess.run(script, check=True, cwd=ROOT)
    # 180 mm, the width of a page of A4 within its margins, in CSS pixels.
    page = browser.new_page(viewport={"width": 680, "height": 900})
    seen = watch(page)
    page.goto((tmp_path / "html" / "book" / "print.html").as_uri())
    page.emulate_media(media="print")
    assert set(page.locator("main > article").evaluate_all("all => all.map(a => a.id)")) == {
        f"book/{name}" for name in CHAPTERS
    }
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 680
    dangling = page.eval_on_selector_all(
        "a[href^='#']", "all => all.map(a => a.hash.slice(1)).filter(id => !document.getElementById(id))"
    )
    assert dangling == []
    assert page.locator(".slider .frame:visible").count() == page.locator(".slider").count() > 0
    assert (seen.foreign, seen.complaints) == ([], [])
    page.close()
