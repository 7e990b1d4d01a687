"""What the pages are made of: figures, slider, cited numbers, downloads, and the API's examples."""

from __future__ import annotations

import io
import re
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt

import bnstudy
from bnstudy.analysis import page
from bnstudy.analysis.rules import Finding, Rule, Verdict
from bnstudy.analysis.slider import Frame, inline_svg, slider
from bnstudy.analysis.statistics import Interval
from bnstudy.analysis.style import ARMS, WITHOUT, decay_colour
from bnstudy.analysis.words import (
    LANGUAGES,
    Cited,
    Sources,
    write_asked,
    write_bound,
    write_effect,
    write_finding,
    write_p,
)
from bnstudy.chapters import EXPERIMENTS
from bnstudy.chapters import open as open_chapter
from bnstudy.chapters.claims import CLAIMS
from bnstudy.chapters.convergence import figures as convergence_figures
from bnstudy.chapters.covariate_shift import figures as covariate_shift_figures
from bnstudy.chapters.decay.figures import accuracy_by_decay, spread
from bnstudy.chapters.decay.page import DecayChapter
from bnstudy.chapters.explosion import figures as explosion_figures
from bnstudy.chapters.found import parts
from bnstudy.chapters.regularisation import figures as regularisation_figures
from bnstudy.chapters.regularisation import page as regularisation
from tests.test_commands import understand

matplotlib.use("agg")

BOOK = Path(__file__).parents[2] / "book"


@pytest.fixture(scope="module")
def chapter():
    frames = bnstudy.load("decay")
    return DecayChapter(frames, frames.study, frames.runs)


def test_the_decay_slider_opens_at_the_step_where_the_decays_part_most(chapter):
    rows = chapter.evaluation.query(
        "split == 'test' and schedule == 'constant' and statistics == 'moving' and zero_debias == 'none'"
    )
    apart = {}
    for step, now in rows.groupby("step"):
        means = [of_decay["accuracy"].sum() / len(of_decay) for _, of_decay in now.groupby("decay")]
        apart[step] = max(means) - min(means)
    assert chapter.apart() == pytest.approx(list(apart.values()))
    last = len(apart) - 1
    opens = list(apart).index(max(apart, key=apart.get))
    assert 0 < opens <= last
    assert f'max="{last}" step="1" value="{opens}"' in chapter.slider("steps", "Training so far")


def examples() -> list:
    found = []
    for path in (BOOK.parent / "README.md", BOOK / "reproduce.md", *sorted((BOOK / "api").glob("*.md"))):
        blocks = re.findall(r"^```python\n(.*?)^```$", path.read_text(), re.S | re.M)
        if blocks:
            found.append(pytest.param("\n".join(blocks), id=path.name))
    return found


@pytest.mark.parametrize("code", examples())
def test_the_examples_of_a_page_run_as_they_stand(code, capsys, monkeypatch):
    monkeypatch.chdir(BOOK.parent)
    exec(compile(code, "example", "exec"), {})


def test_every_public_name_has_a_place_in_the_reference():
    text = "\n".join(p.read_text() for p in (BOOK / "api").glob("*.md"))
    modules = [import_module(m) for m in re.findall(r"automodule:: (\S+)", text)]
    for name in bnstudy.__all__:
        if name != "__version__":
            of = getattr(bnstudy, name)
            assert of in modules or any(vars(m).get(name) is of for m in modules), name


def figure(title: str):
    drawn, axis = plt.subplots(figsize=(2, 1))
    axis.plot([0, 1], [0.123456, 1], label="0.99999")
    axis.set_title(title)
    axis.fill_between([0, 1], [0, 1], clip_on=True)
    return drawn


def test_frames_of_a_slider_keep_their_ids_apart_and_their_text_whole():
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "x"}):
        html = slider(
            [Frame(f"step {i}", f"what {i} & shows", figure(f"0.9999 at {i}")) for i in range(3)],
            "s",
            "Training",
        )
    root = BeautifulSoup(html, "html.parser")
    ids = [e["id"] for e in root.select("[id]")]
    assert len(ids) == len(set(ids))
    used = re.findall(r'(?:href="#|url\(#)([^")]+)', html)
    assert used
    assert set(used) <= set(ids)
    assert [f"0.9999 at {i}" in html for i in range(3)] == [True] * 3
    assert [d["aria-label"] for d in root.select("svg[role=img]")] == [f"what {i} & shows" for i in range(3)]
    assert plt.get_fignums() == []
    # It opens where the story begins.
    assert (root.input["value"], root.input["max"]) == ("0", "2")


def test_a_slider_opens_where_it_is_told_and_nowhere_else():
    frames = [Frame(f"step {i}", "what it shows", figure("text")) for i in range(2)]
    assert BeautifulSoup(slider(frames, "s", "Training", start=1), "html.parser").input["value"] == "1"
    with pytest.raises(ValueError, match="start is 2; allowed: 0 to 1"):
        slider(frames, "s", "Training", start=2)


def test_the_same_figure_gives_the_same_drawing(chapter):
    drawn = []
    for _ in range(2):
        with matplotlib.rc_context({"svg.hashsalt": "bnstudy"}):
            one = accuracy_by_decay(chapter.evaluation, "constant", 1)
            drawn.append(inline_svg(one, "a", "text"))
            plt.close(one)
    assert drawn[0] == drawn[1]


def shapes(svg):
    """What an SVG draws, each with its attributes, its text, and the groups that act on it."""
    root = BeautifulSoup(svg, "html.parser")

    def attributes(element):
        ids = ("id",) if element.name == "g" else ()
        return {k: re.sub(r"(\.\d\d)\d+", r"\1", v).split() for k, v in element.attrs.items() if k not in ids}

    drawn = [e for e in root.find_all() if e.name not in ("g", "svg")]
    groups = [list(filter(None, map(attributes, e.find_parents("g")))) for e in drawn]
    return [(e.name, attributes(e), e.get_text().split(), g) for e, g in zip(drawn, groups, strict=True)]


def test_a_drawing_in_a_page_shows_what_matplotlib_writes_in_a_third_of_its_groups(chapter):
    written = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "bnstudy"}):
        # Two figures: drawn again, a figure's layout moves a little.
        one, other = (accuracy_by_decay(chapter.evaluation, "constant", 1) for _ in range(2))
        one.savefig(written, format="svg", metadata={"Date": None})
        inline = inline_svg(other, "a", "text")
        plt.close("all")
    whole = re.sub(r"<metadata>.*</metadata>|^.*?(?=<svg)", "", written.getvalue(), flags=re.S)
    assert shapes(re.sub(r'(?<=["#])a-', "", inline)) == shapes(whole)
    assert inline.count("<g") < whole.count("<g") / 3


def test_a_frame_says_in_words_what_it_draws(chapter):
    frames = list(chapter.frames())
    test = chapter.evaluation[
        (chapter.evaluation["split"] == "test") & (chapter.evaluation["schedule"] == "constant")
    ]
    assert [f.label for f in frames] == [f"step {s:,}" for s in sorted(test["step"].unique())]
    last = test[test["step"] == test["step"].max()]
    for name in ("batch", "precise"):
        mean = last.loc[last["statistics"] == name, "accuracy"].mean()
        assert f"{name} statistics {100 * mean:.1f} %" in frames[-1].text
    for frame in frames:
        plt.close(frame.figure)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_labels_are_spread_apart_and_stay_inside(positions):
    placed = spread(sorted(positions), 0.1, 1.0)
    assert max(placed) <= 1.0
    assert all(b - a >= 0.1 - 1e-9 for a, b in pairwise(placed))
    alone = sorted(positions)
    if all(b - a > 0.1 for a, b in pairwise(alone)):
        assert placed == alone


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_arm_is_seen_on_white():
    # 3 to 1 is what WCAG asks of graphics; the dark theme inverts lightness.
    colours = [colour for own in every_colour().values() for colour in own.values()]
    for colour in [*colours, *map(decay_colour, (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999))]:
        assert 1.05 / (luminance(colour) + 0.05) >= 3, colour


def every_colour() -> dict[str, dict[str, str]]:
    """The colours of the arms, by the chapter whose figures have them."""
    drawn = {chapter: import_module(f"bnstudy.chapters.{chapter}.figures") for chapter in parts("figures")}
    return {
        "": ARMS,
        **{name: figures.COLOURS for name, figures in drawn.items() if "COLOURS" in vars(figures)},
    }


def test_an_arm_has_one_colour_in_every_chapter():
    found = {}
    for chapter, own in every_colour().items():
        for arm, colour in own.items():
            assert found.setdefault(arm, colour) == colour, (chapter, arm)
    assert len(found) > len(ARMS)


def test_a_decay_has_one_colour_and_no_other_has_it():
    decays = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999)
    assert len({decay_colour(d) for d in decays}) == len(decays)
    assert decay_colour(0.99999) == decay_colour(0.9999)


def test_a_cited_number_names_its_records():
    cited = Cited("< 1 %", Sources("decay", ["aa", "bb"]))
    assert repr(cited) == "< 1 %"
    element = ElementTree.fromstring(cited._repr_html_())
    assert element.text == "< 1 %"
    assert element.get("href") == "decay.html#records"
    assert element.get("title") == "From 2 records: aa, bb"


def test_glued_verdicts_say_the_same_in_every_language(chapter):
    glued = page.glued_verdicts(chapter.verdicts, chapter.sources)
    for claim, verdict in chapter.verdicts.items():
        for language, words in LANGUAGES.items():
            assert repr(glued[f"{claim}_verdict_{language}"]) == words.answers[verdict.answer]
        english, chinese = (repr(glued[f"{claim}_effect_{language}"]) for language in ("en", "zh"))
        assert re.findall(r"[-+.\d]+", english) == re.findall(r"[-+.\d]+", chinese)
        english, chinese = (repr(glued[f"{claim}_rule_{language}"]) for language in ("en", "zh"))
        assert re.findall(r"[-+.\d]+", english) == re.findall(r"[-+.\d]+", chinese)
        assert verdict.findings[0].rule.side in english


def test_beside_an_effect_stands_what_it_is_and_what_was_asked_of_it(chapter):
    explained = page.glued_verdicts(chapter.verdicts, chapter.sources)["C6_rule_en"]
    asked, measured = BeautifulSoup(explained._repr_html_(), "html.parser").find_all("span")
    assert (asked["class"], measured["class"]) == (["asked"], ["measured"])
    assert asked.text == "asked: above +0.5 points"
    assert measured.text == "test accuracy, moving averages minus batch statistics"
    assert BeautifulSoup(page.Explained("a < b", "c")._repr_html_(), "html.parser").text == "a < b c"
    # Chinese says first what was measured.
    said = page.Explained("要求", "量", quantity_first=True)._repr_html_()
    assert BeautifulSoup(said, "html.parser").text == "量；要求"


def test_a_claim_that_is_not_measured_has_nothing_to_explain(chapter):
    verdicts = {"C1": Verdict(CLAIMS[0], "not measured yet", ())}
    glued = page.glued_verdicts(verdicts, chapter.sources)
    assert repr(glued["C1_effect_zh"]) == "–"
    assert BeautifulSoup(glued["C1_rule_zh"]._repr_html_(), "html.parser").text.strip() == ""
    assert glued["C1_premise_zh"] == ""


@pytest.mark.parametrize(
    ("threshold", "side", "unit", "english", "chinese", "long"),
    [
        (
            -0.005,
            "above",
            "points",
            "above -0.5 points",
            "高于 -0.5 个百分点",
            "above -0.5 percentage points",
        ),
        (1.0, "below", "factor", "below 2.00 ×", "低于 2.00 倍", "below 2.00 ×"),
        (0.1, "below", "number", "below 0.100", "低于 0.100", "below 0.100"),
    ],
)
def test_bounds_are_written_in_their_unit(threshold, side, unit, english, chinese, long):
    rule = Rule("p", "s", "q", "c", threshold, lambda tables: pd.Series(dtype=float), side, unit)
    at = Interval(rule.threshold, rule.threshold, rule.threshold, 5)
    finding = Finding(rule, "open", at, at, 1.0, 0.0)
    assert write_asked(finding, LANGUAGES["en"]) == f"asked: {english}"
    assert write_asked(finding, LANGUAGES["zh"]) == f"要求：{chinese}"
    assert write_bound(finding) == long


@pytest.mark.parametrize(
    ("answer", "low", "high", "p", "said"),
    [
        ("open", -0.04, 0.046, 0.19, "; p = 0.19 after Holm's correction"),
        ("open", 0.06, 0.07, 0.0512, "; p = 0.051 after Holm's correction"),
        ("open", 0.04, 0.06, 0.19, ""),  # the interval says it by itself
        ("open", 0.06, 0.07, 0.04, ""),  # something else keeps it open
        ("supported", 0.06, 0.07, 0.001, ""),
    ],
)
def test_an_open_verdict_whose_interval_clears_its_bound_says_why(answer, low, high, p, said):
    rule = Rule("p", "s", "q", "c", 0.05, lambda tables: pd.Series(dtype=float), "above", "number")
    effect = Interval((low + high) / 2, low, high, 5)
    finding = Finding(rule, answer, effect, effect, p, 0.0)
    assert write_asked(finding, LANGUAGES["en"]) == f"asked: above 0.050{said}"
    assert f"(asked for: above 0.050{said})." in write_finding(finding, str)


@pytest.mark.parametrize("file", sorted(BOOK.glob("*.ipynb")), ids=lambda file: file.stem)
def test_a_chapter_says_how_to_run_it_again_and_at_what_cost(file):
    cells = [cell.source for cell in nbformat.read(file, 4).cells if "_chapter.again(" in cell.source]
    if file.stem not in EXPERIMENTS:
        assert not cells
        return
    (cell,) = cells
    said = eval(cell, {"_chapter": open_chapter(file.stem, {})})
    for command in re.search(r"```console\n(.*?)```", said, re.S)[1].splitlines():
        understand(command)
    if "from snapshots of the recorded study" in said:
        assert "without training" in said
        return
    runs, cost = re.findall(r">([^<]+)</a>", said)
    assert int(runs) > 0
    assert re.fullmatch(r"about [\d.]+ (s|min|h) of one core, and half of that on two", cost)


def test_the_network_without_batch_norm_has_one_name():
    names = [
        convergence_figures.NAMES,
        convergence_figures.COSTS,
        covariate_shift_figures.NAMES,
        explosion_figures.NAMES,
        regularisation.NAMES,
        regularisation_figures.SHORT,
    ]
    assert {name["none"].replace("\n", " ") for name in names} == {WITHOUT} == {"without batch norm"}


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("points", "+50.0 percentage points [-100.0, +100.0]"),
        ("factor", "1.41 × [0.50, 2.00]"),
        ("number", "0.500 [-1.000, 1.000]"),
    ],
)
def test_effects_are_written_in_their_unit(unit, text):
    assert write_effect(Interval(0.5, -1.0, 1.0, 5), unit) == text


def test_what_rounds_to_zero_has_no_sign():
    assert write_effect(Interval(0.0001, -0.0001, 0.01, 5), "number") == "0.000 [0.000, 0.010]"


def test_p_values_are_written_short():
    assert [write_p(p) for p in (0.00004, 0.0031, 0.25, 1.0)] == ["< 0.001", "0.0031", "0.25", "1"]


def test_tables_lie_beside_the_page_that_is_built_and_nowhere_else(chapter, tmp_path, monkeypatch):
    table = pd.DataFrame({"seed": [0, 1], "accuracy": [0.1, 0.2]})
    monkeypatch.delenv(page.DOWNLOADS, raising=False)
    assert ".csv" not in page.offer_csv({"evaluation": table}, chapter.sources)
    monkeypatch.setenv(page.DOWNLOADS, str(tmp_path / "book"))
    assert 'href="decay-evaluation.csv"' in page.offer_csv({"evaluation": table}, chapter.sources)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "book" / "decay-evaluation.csv"), table)
