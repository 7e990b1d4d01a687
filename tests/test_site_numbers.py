"""The built book's numbers: what each opens to, and the page in Chinese that shows those of the notebook."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

import bnstudy
from bnstudy.chapters.claims import CLAIMS
from tests.site_book import STUDIED, VIEWS

pytestmark = pytest.mark.slow

# Numbers that are shown at once, and open to seeds; the first round's table is folded.
OPENING = "a.number[data-behind]:visible"


def test_a_number_leads_to_the_records_behind_it(visit: Any, html: Path) -> None:
    published = {record.parent.name for record in (html / "records" / "runs").glob("*/record.json")}
    first = {name: set(bnstudy.load(name).runs) for name in STUDIED}
    assert set().union(*first.values()) <= published
    for name in ("index", "zh", "zh/decay", *STUDIED):
        numbers = visit(name).page.locator("a.number")
        assert numbers.count() > 0
        for href, title, opens in numbers.evaluate_all(
            "all => all.map(a => [a.getAttribute('href'), a.dataset.title, a.dataset.behind])"
        ):
            page, _, anchor = href.removeprefix("../").partition(".html#")
            assert anchor == "records"
            read = {run for one in json.loads(opens or "{}").get("runs", []) for run in one}
            named = set(re.findall(r"\b[0-9a-f]{16}\b", title))
            assert read | named <= published
            count = int(re.search(r"\d+", title)[0])
            assert len(read) <= count
            # Of the first round, a rule reads one study, and its number leads to that study's page. A verdict
            # may rest on two.
            if read & set().union(*first.values()):
                of = {study for study, runs in first.items() if read <= runs}
                assert of
                assert page in of or len(read) < count
            if page in first and named & set().union(*first.values()):
                assert named <= first[page]


@pytest.mark.parametrize("name", ["first_round", "zh/first_round"])
def test_each_effect_of_the_table_opens_to_seeds_that_give_it(visit: Any, name: str) -> None:
    page = visit(name).page
    numbers = page.locator(".verdicts td:nth-child(4) a.number")
    assert numbers.count() == len(CLAIMS)
    box = page.get_by_role("dialog")
    for i in range(numbers.count()):
        page.keyboard.press("Escape")  # it may lie over the next one
        numbers.nth(i).click()
        written = float(re.search(r"[-+]?[\d.]+", numbers.nth(i).inner_text())[0])
        cells = box.locator("tbody tr").evaluate_all(
            "all => all.map(r => [...r.cells].map(c => c.innerText))"
        )
        heads = box.locator("thead th").all_inner_texts()
        at = heads.index("值" if name.startswith("zh") else "value")
        values = [float(row[at]) for row in cells]
        factor = bool(re.search("[×倍]", numbers.nth(i).inner_text()))
        mean = math.exp(sum(map(math.log, values)) / len(values)) if factor else sum(values) / len(values)
        assert mean == pytest.approx(written, abs=0.06)
        assert len({row[0] for row in cells}) == len(cells) == box.locator("svg .seed").count()
        assert box.locator(".formula").first.inner_text().strip()
    page.keyboard.press("Escape")


def test_a_number_opens_by_keyboard_and_gives_the_focus_back(visit: Any) -> None:
    page = visit("decay").page
    number, box = page.locator("a.number").first, page.get_by_role("dialog")
    number.focus()
    assert box.is_visible()
    page.keyboard.press("Escape")
    assert box.is_hidden()
    assert number.evaluate("e => e === document.activeElement")
    for leave in ("Escape", "Shift+Tab"):
        page.keyboard.press("Enter")
        assert box.get_by_role("button", name="Close").evaluate("e => e === document.activeElement")
        assert number.get_attribute("aria-expanded") == "true"
        page.keyboard.press(leave)
        assert box.is_hidden()
        assert number.evaluate("e => e === document.activeElement")
    page.keyboard.press("Enter")
    for _ in range(40):
        page.keyboard.press("Tab")
        if box.is_hidden():
            break
    assert number.evaluate("e => e === document.activeElement")


def test_a_number_opens_under_the_pointer_and_shuts_behind_it(visit: Any) -> None:
    page = visit("decay").page
    number, box = page.locator("a.number").first, page.get_by_role("dialog")
    number.hover()
    box.wait_for(state="visible")
    box.hover()
    page.wait_for_timeout(400)
    assert box.is_visible()
    page.mouse.move(0, 0)
    box.wait_for(state="hidden")
    number.click()
    page.mouse.move(0, 0)
    page.wait_for_timeout(400)
    assert box.is_visible()
    page.locator(".bd-article h1").click()
    assert box.is_hidden()


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_what_a_number_opens_to_is_accessible_and_on_the_screen(visit: Any, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = visit("index", width, scheme).page
    page.wait_for_function(f"() => document.documentElement.dataset.theme === '{scheme}'")
    page.locator(OPENING).last.click()
    box = page.get_by_role("dialog").bounding_box()
    assert 0 <= box["x"] <= box["x"] + box["width"] <= width
    assert 0 <= box["y"] <= box["y"] + box["height"] <= 900
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    options = {"preload": False, "resultTypes": ["violations"]}
    found = axe.run(page, options=options).response["violations"]
    page.keyboard.press("Escape")
    assert [(violation["id"], violation["nodes"][0]["html"][:200]) for violation in found] == []


def test_a_number_is_copied_with_what_it_is_and_where_it_is_from(browser: Any, html: Path) -> None:
    page = browser.new_page()
    page.goto((html / "book" / "index.html").as_uri())
    number = page.locator(OPENING).first
    number.click()
    page.get_by_role("button", name="Copy with citation").click()
    page.get_by_text("Copied").wait_for()
    page.evaluate(
        "() => document.body.append(Object.assign(document.createElement('textarea'), {id: 'paste'}))"
    )
    page.locator("#paste").focus()
    page.keyboard.press("Control+V")
    pasted = page.locator("#paste").input_value()
    assert pasted.startswith(number.inner_text())
    assert "seeds" in pasted
    assert "The bnstudy authors: Batch normalization, measured. bnstudy 0." in pasted
    assert "commit " in pasted
    assert pasted.endswith("book/index.html")
    page.close()


def test_without_script_a_number_is_a_link_to_its_records(browser: Any, html: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((html / "book" / "index.html").as_uri())
    number = page.locator(OPENING).first
    assert number.get_attribute("title").startswith("From ")
    number.click()
    assert page.url.endswith(".html#records")
    record = page.locator("#records a.record").first
    assert (html / "book" / record.get_attribute("href")).resolve().is_file()
    context.close()


def test_the_chinese_page_shows_the_notebook_s_figures_and_numbers(visit: Any) -> None:
    chinese, english = visit("zh/decay").page, visit("decay").page
    assert chinese.locator("html").get_attribute("lang") == "zh-Hans"
    assert [chinese.locator("code:has-text('Figure size')").count(), chinese.locator("figure").count()] == [
        0,
        3,
    ]
    names = {image.rpartition("/")[2] for image in sources(english)}
    shown = {image.rpartition("/")[2] for image in sources(chinese)}
    assert {image.replace("-zh.svg", ".svg") for image in shown} <= names
    assert all(image.endswith("-zh.svg") for image in shown)
    for caption in chinese.locator("figcaption").all():
        number = re.search(r"图 (\d+)", caption.inner_text())[1]
        figure = caption.locator("xpath=ancestor::figure").get_attribute("id")
        assert english.locator(f"#{figure} .caption-number").inner_text().strip() == f"Fig. {number}"
    # The split of the loss, in the notebook's own words and here: the same numbers.
    there = {text for text in english.locator("a.number").all_inner_texts() if "[" in text}
    read = {tuple(re.findall(r"[-+]?[\d.]+", text)) for text in there}
    table = chinese.locator("table:not(.dataframe) a.number").all_inner_texts()
    assert len(table) == 9
    # The tables of the notebook's cells open too, to the same.
    opens = [p.locator("table.dataframe a.number[data-behind]") for p in (chinese, english)]
    told = [sorted(o.evaluate_all("all => all.map(a => a.dataset.behind)")) for o in opens]
    assert len(told[0]) > 0
    assert set(told[0]) <= set(told[1])
    assert {tuple(re.findall(r"[-+]?[\d.]+", text)) for text in table} <= read
    assert "italic" not in chinese.locator(".bd-article em").evaluate_all(
        "all => all.map(e => getComputedStyle(e).fontStyle)"
    )


def sources(page: Any) -> list[str]:
    found: list[str] = page.locator("figure img").evaluate_all("all => all.map(i => i.getAttribute('src'))")
    return found


def test_each_language_leads_to_the_same_page_in_the_other_and_never_on_into_it(visit: Any) -> None:
    for english, chinese in (("index", "zh"), ("decay", "zh/decay")):
        for here, there in ((english, chinese), (chinese, english)):
            page = visit(here).page
            switch = page.locator(".edition a")
            assert switch.evaluate("a => a.href").endswith(f"/book/{there}.html")
            assert switch.get_attribute("hreflang") == ("zh-Hans" if there == chinese else "en")
    pages = [visit(name).page for name in ("index", *STUDIED, "zh", "zh/decay")]
    for page in pages:
        led = page.locator(".prev-next-area a").evaluate_all("all => all.map(a => a.href)")
        own = page.locator("html").get_attribute("lang") == "zh-Hans"
        assert all(bool(re.search(r"/book/zh(/|\.html)", href)) == own for href in led)


def test_the_front_pages_say_the_same_numbers_and_lead_to_the_chapters_in_their_language(visit: Any) -> None:
    cards = {name: visit(name).page.locator(".claim-card") for name in ("index", "zh")}
    numbers = {}
    for name, found in cards.items():
        texts = [card.locator("a.number").all_inner_texts() for card in found.all()]
        # A sentence has its numbers in its language's order.
        numbers[name] = [sorted(re.findall(r"[-+]?[\d.]+", " ".join(text))) for text in texts]
    assert numbers["zh"] == numbers["index"]
    assert sum(map(len, numbers["zh"])) > 20
    led = {n: set(c.locator("a").evaluate_all("all => all.map(a => a.href)")) for n, c in cards.items()}
    assert any(href.endswith("/book/decay.html") for href in led["index"])
    assert any(href.endswith("/book/zh/decay.html") for href in led["zh"])
    assert not any(href.endswith("/book/decay.html") for href in led["zh"])
