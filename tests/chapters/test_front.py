"""The front page: a card and a bar for what was found, in both languages, whatever is recorded."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from bnstudy.analysis.cards import Bar, bars_html
from bnstudy.analysis.judged.parts import Side
from bnstudy.analysis.judged.verdicts import Estimate, answer, decided
from bnstudy.analysis.judged.wording import Language
from bnstudy.analysis.saying import Writer
from bnstudy.analysis.statistics import Interval
from bnstudy.analysis.words import Sources
from bnstudy.chapters import front, headlines, second_round
from bnstudy.chapters.claims import CLAIMS
from bnstudy.chapters.front import Front
from bnstudy.chapters.front_hero import _beyond, _told_apart
from bnstudy.chapters.front_rows import ROWS
from bnstudy.chapters.judged import chapter_of, claims, family

LANGUAGES: tuple[Language, ...] = ("en", "zh")


@pytest.fixture(scope="module", params=LANGUAGES)
def page(request, in_a_build):
    with in_a_build():
        front = Front(request.param)
        front.cards()
    return front


def soup(html):
    return BeautifulSoup(html, "html.parser")


def test_every_claim_has_one_card_with_a_finding_from_records_and_advice(page):
    cards = soup(page.cards()).select("article.claim-card")
    assert sorted(c["id"] for c in cards) == sorted(f"card-{claim.id.lower()}" for claim in CLAIMS)
    for card in cards:
        found = card.select_one(".claim-found")
        by_test = "by test" in card.get_text() or "由代码测试判定" in card.get_text()
        assert by_test or found.select("a.number"), card["id"]
        assert card.select_one(".claim-advice"), card["id"]
        assert re.search("[一-鿿]", found.get_text()) is None or page.language == "zh"
        assert "nan" not in card.get_text()


def test_a_number_leads_to_the_records_of_its_own_chapter(page):
    for claim in CLAIMS:
        for number in soup(page.cards()).select(f"#card-{claim.id.lower()} a.number"):
            assert number["href"] == f"{claim.chapter}.html#records"


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_explored_has_its_bound_and_no_answer(language, monkeypatch):
    found = judged(holds=True)
    unknown = [replace(f, estimate=replace(f.estimate, missing="no seeds")) for f in found["C5"].findings]
    found["C5"] = replace(found["C5"], verdict="not measured yet", findings=tuple(unknown))
    monkeypatch.setattr(front, "judgements", lambda data_dir: found)
    rows = soup(Front(language).hero()).select("li.explored")
    assert {row.select_one("b").get_text() for row in rows} == {"C5"}
    for row in rows:
        assert re.search("asked: |要求：", row.select_one(".hero-asked").get_text())
        assert not re.search("[✓✗]", row.get_text())


def test_both_rounds_verdicts_stand_side_by_side(page):
    rows = [[cell.get_text() for cell in row.select("td")] for row in soup(page.both()).select("tbody tr")]
    assert [row[0] for row in rows] == [claim.id for claim in CLAIMS]
    first = dict(zip([row[0] for row in rows], [row[2] for row in rows], strict=True))
    assert first["C5"] == {"en": "refuted", "zh": "不成立"}[page.language]
    assert rows[11][3] == {"en": "supported", "zh": "成立"}[page.language]


def test_a_part_that_is_measured_is_shown_before_its_whole_claim_is(monkeypatch):
    found = judged(holds=True)
    first, *rest = found["C6"].findings
    missing = [replace(f, estimate=replace(f.estimate, missing="no seeds 115")) for f in rest]
    found["C6"] = replace(found["C6"], verdict="not measured yet", findings=(first, *missing))
    monkeypatch.setattr(front, "judgements", lambda data_dir: found)
    monkeypatch.setattr(second_round, "_judged_runs", lambda judgement, found: ["aa"])
    page = Front("en")
    rows = [row for row in soup(page.hero()).select("li") if row.select_one("b").get_text() == "C6"]
    assert ["holds" in row["class"] for row in rows] == [True]
    chips = soup(page.cards()).select("#card-c6 .chip")
    assert [chip["class"][1] for chip in chips] == ["holds", *("missing" for _ in rest)]
    assert "exploratory" in soup(page.cards()).select_one("#card-c6 .basis").get_text()


def test_a_claim_that_is_not_judged_yet_is_called_exploratory(page):
    for card in soup(page.cards()).select(".claim-card.missing .basis"):
        assert card.get_text() in ("exploratory", "探索性")


def test_what_to_do_comes_first_and_leads_to_its_card(page):
    links = [a["href"] for a in soup(page.todo()).select("li > a[href^='#']")]
    assert links == [f"#card-{claim.lower()}" for claim in front.MOST_MET]
    (door,) = soup(page.todo()).select("li.todo-door a")
    assert door["href"] == "is_it_batch_norm.html"
    for line in soup(page.todo()).select("li:not(.todo-door)"):
        # Why, by a number that opens, and how sure that is.
        assert line.select("a.number")
        assert line.select_one(".todo-claim .verdict").get_text().split()[0] in "✓◐✗?…"


def test_an_end_that_is_written_as_its_bound_gets_a_digit_more():
    quantity = next(q for q in family().values() if q.scale == "factor")
    low, high = (math.log2(x) for x in (0.8441, 1.2456))
    found = Estimate(quantity, Interval(0.036, low, high, 12, 0.999), [0.036])
    assert _told_apart(found, math.log2(1.25), "en") == "1.025 × [0.844, 1.246]"
    assert _told_apart(found, math.log2(2), "en") == "1.03 × [0.84, 1.25]"


def test_every_part_has_a_row_that_says_what_is_measured():
    parts = {part.name for claim in claims().values() for part in claim.parts}
    assert parts == set(ROWS)


def test_without_records_nothing_is_claimed(tmp_path):
    empty = Front("en", tmp_path)
    assert empty.scope() == ""
    assert empty.changed() == ""
    rows = soup(empty.hero()).select("li")
    assert {row.select_one(".hero-estimate").get_text() for row in rows} == {"by test"}
    cards = soup(empty.cards())
    assert not cards.select("a.number")
    # What a test of the code settles needs no records.
    assert [c["id"] for c in cards.select(".claim-card:not(.missing)")] == ["card-c12"]


def judged(*, holds: bool):
    """Judgements on every claim, each quantity with an interval beyond or short of its first part's bound."""
    sides = {p.quantity.name: p for claim in reversed(claims().values()) for p in claim.parts}
    estimates = {}
    for name, quantity in family().items():
        part = sides[name]
        beyond = part.side == "above" or part.side == "within"
        middle = part.bound + (0.2 if beyond == holds else -0.2)
        if part.side == "within":
            middle = 0.0 if holds else part.bound + 0.2
        interval = Interval(middle, middle - 0.001, middle + 0.001, 8, 0.999)
        estimates[name] = Estimate(quantity, interval, [middle])
    return decided(claims().values(), estimates)


@pytest.mark.parametrize("holds", [True, False])
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_judgement_has_a_sentence_for_each_quantity_that_votes_and_advice(holds, language):
    for name, judgement in judged(holds=holds).items():
        if not judgement.findings:
            continue
        said = headlines.of(chapter_of()[name])
        headline = headlines.confirmed(said, judgement, Writer(Sources("here", ["aa"]), language))
        voting = {f.part.quantity.name for f in judgement.findings if f.part.votes}
        assert len(soup(headline.found).select("a.number")) == len(voting)
        assert "{" not in soup(headline.found).get_text()
        assert headline.advice


def test_once_judged_a_card_has_the_second_rounds_words_and_says_what_changed(monkeypatch):
    monkeypatch.setattr(front, "judgements", lambda data_dir: judged(holds=True))
    monkeypatch.setattr(second_round, "_judged_runs", lambda judgement, found: ["aa"])
    page = Front("en")
    cards = soup(page.cards())
    assert len(cards.select(".claim-card .basis")) == len(CLAIMS)
    assert not cards.select(".claim-card.missing")
    (c6,) = cards.select("#card-c6")
    assert "supported" in c6.get_text()
    assert "second round" in c6.get_text()
    assert "C6: open → supported" in soup(page.changed()).get_text()
    assert not soup(page.hero()).select("li.explored")


@given(
    mean=st.floats(-2, 2),
    half=st.floats(0, 1),
    bound=st.floats(0.01, 1),
    side=st.sampled_from(["above", "below", "within"]),
)
def test_a_bar_lies_beyond_the_line_if_and_only_if_the_statement_holds(mean, half, bound, side: Side):
    found = Interval(mean, mean - half, mean + half, 8)
    low, middle, high = _beyond(found, side, bound, "number")
    assert low <= middle + 1e-9
    assert middle <= high + 1e-9
    said = answer(found, side, bound)
    assert (said == "holds") == (low > 0)
    assert (said == "doesn't hold") == (high < 0)


@pytest.mark.parametrize("ends", [(-math.inf, 1.0), (1.0, math.inf), (-math.inf, math.inf)])
def test_an_open_end_is_drawn_to_the_edge_and_nothing_known_is_not_drawn(ends):
    low, high = ends
    mean = math.nan if math.isinf(low) and math.isinf(high) else 1.0
    html = bars_html([Bar("C1", "part", "#", "open", "open", low, mean, high, "at least")], ("l", "r"), "c")
    drawn = soup(html).select("svg line:not(.bound)")
    if math.isnan(mean):
        assert not drawn
    else:
        assert {drawn[0]["x1"], drawn[0]["x2"]} & {"0.0", "100.0"}
    assert "nan" not in html
