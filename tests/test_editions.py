"""The pages in two languages: which page says the same, and which links lead where."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml

import bnstudy
from bnstudy.analysis.words import LANGUAGES, write_claim
from bnstudy.chapters import open as open_chapter
from bnstudy.chapters.claims import CLAIMS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def editions():
    spec = importlib.util.spec_from_file_location(
        "editions_extension", ROOT / "book" / "_ext" / "editions.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("english", "chinese"), [("book/index", "book/zh"), ("book/decay", "book/zh/decay")])
def test_a_page_and_its_translation_are_each_other_s(editions, english, chinese):
    assert editions.counterpart(english) == chinese
    assert editions.counterpart(chinese) == english
    assert (editions.is_chinese(english), editions.is_chinese(chinese)) == (False, True)


def test_every_translation_is_of_a_page_and_says_its_language(editions):
    pages = [ROOT / "book" / "zh.md", *(ROOT / "book" / "zh").glob("*.md")]
    assert len(pages) > 1
    for page in pages:
        name = page.relative_to(ROOT).with_suffix("").as_posix()
        source = ROOT / editions.counterpart(name)
        assert source.with_suffix(".ipynb").exists() or source.with_suffix(".md").exists()
        matter = yaml.safe_load(page.read_text().split("---")[1])
        assert matter["language"] == "zh-Hans"


def test_links_that_notebooks_write_lead_one_folder_up_and_others_stay(editions):
    link = '<a class="number" href="decay.html#records">1</a> <a class="record" href="../records/x">y</a>'
    assert editions._BESIDE.sub(r"\1../", link) == (
        '<a class="number" href="../decay.html#records">1</a> <a class="record" href="../../records/x">y</a>'
    )
    assert editions._BESIDE.sub(r"\1../", '<a href="x.html">') == '<a href="x.html">'


def test_a_formula_has_the_same_number_on_both_pages(editions):
    numbered = {
        "book/methods": {"displaymath": {"equation-eq-a": (1,), "equation-eq-b": (2,)}},
        "book/zh/methods": {"displaymath": {"equation-eq-a-zh": (3,), "equation-eq-b-zh": (4,)}},
        "book/zh/decay": {"figure": {"fig-decay-step": (5,)}},
    }
    editions.number_alike(numbered)
    assert numbered["book/zh/methods"]["displaymath"] == {"equation-eq-a-zh": (1,), "equation-eq-b-zh": (2,)}
    assert numbered["book/methods"]["displaymath"] == {"equation-eq-a": (1,), "equation-eq-b": (2,)}
    assert numbered["book/zh/decay"] == {"figure": {"fig-decay-step": (5,)}}


def test_the_decay_page_s_numbers_are_the_records():
    chapter = open_chapter("decay", {})
    quoted = chapter.glued()
    last = bnstudy.load("decay")["evaluation"].query("split == 'test' and schedule == 'constant'")
    last = last[last["step"] == last["step"].max()].query("statistics == 'moving' and zero_debias == 'none'")
    by = last.pivot(index="seed", columns="decay", values="accuracy")
    cost = 100 * (by[0.999] - by[0.9]).mean()
    assert repr(quoted["decay_cost_zh"]).startswith(f"{cost:+.1f} {LANGUAGES['zh'].points} [")
    assert (str(quoted["decay_usual"]), str(quoted["decay_large"])) == ("0.9", "0.999")
    # The parts add up to what is lost in all, but for rounding.
    parts = [quoted[f"decay_usual_{part}_zh"].behind.interval.mean for part in ("bias", "staleness", "noise")]
    assert sum(parts) == pytest.approx(quoted["decay_lost_constant_zh"].behind.interval.mean)


def test_a_study_without_larger_decays_has_dashes():
    chapter = open_chapter("decay", {"decays": [0.0, 0.5, 0.9]})
    quoted = chapter.glued()
    assert str(quoted["decay_large"]) == "–"
    assert repr(quoted["decay_cost_zh"]) == "–"
    assert repr(quoted["decay_usual_noise_zh"]) != "–"


def test_a_claim_in_chinese_says_what_it_is_about():
    for claim in CLAIMS:
        assert write_claim(claim, "en") == claim.english
        assert write_claim(claim, "zh").endswith(f"“{claim.original}”")
    said = {claim.id: write_claim(claim, "zh") for claim in CLAIMS}
    assert said["C7"].startswith("decay：")
    assert said["C10"].startswith("is_training：")
