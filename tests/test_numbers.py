"""What a number opens to: the records that its own rule read, and the number that is written."""

from __future__ import annotations

import contextlib
import json
import math
from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import bnstudy
from bnstudy.analysis import page
from bnstudy.analysis.behind import Behind
from bnstudy.analysis.judged.verdicts import Estimate
from bnstudy.analysis.judged.wording import write_estimate
from bnstudy.analysis.rules import take
from bnstudy.analysis.saying import Writer
from bnstudy.analysis.statistics import Amount, Interval, bootstrap_interval, mean_interval
from bnstudy.analysis.tables import paired, per_seed, rows
from bnstudy.analysis.trail import Trail, follow
from bnstudy.analysis.words import Html, Sources, write_effect
from bnstudy.chapters.claims import CLAIMS
from bnstudy.chapters.judged import family

ARMS = ("batch", "none", "noisy")


def study():
    """Three arms of three seeds; a run's name says which it is."""
    cells = [(arm, seed) for arm in ARMS for seed in (3, 1, 2)]
    table = pd.DataFrame(
        [
            {"run": f"{arm}{seed}", "arm": arm, "seed": seed, "accuracy": len(arm) + 0.1 * seed + 0.01 * step}
            for arm, seed in cells
            for step in (0, 1)
        ]
    )
    return {"evaluation": table}


def by_arm(tables, arm):
    return per_seed(rows(tables, "evaluation", arm=arm), "accuracy")


def test_a_trail_has_what_was_paired_and_the_records_that_were_selected():
    values, trail = follow(lambda tables: paired(by_arm(tables, "noisy"), by_arm(tables, "none")), study())
    assert trail.seeds == (1, 2, 3)
    assert trail.runs == tuple(tuple(sorted((f"noisy{seed}", f"none{seed}"))) for seed in (1, 2, 3))
    assert [a - b for a, b in zip(trail.first, trail.second, strict=True)] == values


def test_what_a_measure_looks_at_whole_counts_whole():
    def measure(tables):
        return tables["evaluation"].groupby("seed")["accuracy"].max()

    assert follow(measure, study())[1].every_run() == sorted(
        f"{arm}{seed}" for arm in ARMS for seed in (1, 2, 3)
    )


def test_a_measure_that_goes_on_from_a_pair_has_no_two_columns():
    _, trail = follow(lambda tables: paired(by_arm(tables, "batch"), by_arm(tables, "none")) * 2, study())
    assert (trail.first, trail.second) == ((), ())
    assert trail.every_run() == sorted(f"{arm}{seed}" for arm in ("batch", "none") for seed in (1, 2, 3))


def test_tables_without_runs_or_seeds_have_no_trail():
    tables = {"evaluation": study()["evaluation"].drop(columns="run")}
    assert follow(lambda t: by_arm(t, "batch"), tables)[1].runs == ()
    assert follow(lambda t: t["evaluation"]["accuracy"], study())[1].seeds == ()


def test_following_changes_nothing_and_is_over_when_it_is_over():
    def fails(tables):
        raise ValueError("not today")

    with pytest.raises(ValueError, match="not today"):
        follow(fails, study())
    difference = paired(by_arm(study(), "batch"), by_arm(study(), "none"))
    values, trail = follow(lambda tables: paired(by_arm(tables, "batch"), by_arm(tables, "none")), study())
    assert values == list(difference)
    assert len(trail.first) == 3


@pytest.mark.parametrize("claim", ["C1", "C6", "C12"])
def test_the_records_that_a_rule_was_read_from_are_enough_for_its_number(claim):
    """Without all others the rule says the same, and without one of them it doesn't."""
    (found,) = (c for c in CLAIMS if c.id == claim)
    for rule in found.rules[-1:]:
        frames = bnstudy.load(rule.study)
        values, trail = take(rule, frames)
        runs = set(trail.every_run())
        assert runs < set(frames.runs)

        def only(kept, frames=frames):
            return {
                name: table[table["run"].isin(kept)] if "run" in table else table
                for name, table in frames.items()
            }

        assert list(rule.measure(only(runs))) == values
        gone = trail.runs[0][0]
        with contextlib.suppress(LookupError):  # so much does it need it
            assert list(rule.measure(only(runs - {gone}))) != values


def test_a_number_that_is_written_remembers_its_seeds():
    values = pd.Series([0.1, 0.3, 0.2], index=pd.Index([7, 8, 9], name="seed"))
    for interval in (mean_interval(values), bootstrap_interval(values)):
        for text in (write_effect(interval, "points"), interval.percent(), interval.plain()):
            assert isinstance(text, Amount)
            assert text.interval.values == (0.1, 0.3, 0.2)
            assert text.interval.seeds == (7, 8, 9)
    assert mean_interval([1.0, 2.0]).seeds == ()
    # What it was made of is no part of what an interval is.
    assert mean_interval(values) == Interval(
        *(getattr(mean_interval(values), n) for n in ("mean", "low", "high")), 3
    )


class Link(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.text, self.found = "", {}
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.found = dict(attrs)

    def handle_data(self, data):
        self.text += data


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=30)


@given(TEXT, TEXT, st.lists(st.floats(-1, 1), min_size=2, max_size=6))
def test_what_is_behind_a_number_comes_out_of_the_page_as_it_went_in(english, chinese, values):
    behind = Behind(mean_interval(values), "points", (english, chinese))
    html = MarkdownIt().render("The change is " + Sources("decay", ["aa"]).cite("1.5", behind) + ".")
    link = Link(html)
    assert json.loads(link.found["data-behind"]) == json.loads(json.dumps(behind.plain()))
    assert link.text.strip() == "The change is 1.5."


@pytest.mark.parametrize(
    ("scale", "shown"),
    [("points", 50.0), ("percent", 50.0), ("share", 50.0), ("factor", 1.414), ("number", 0.5)],
)
def test_values_are_shown_in_the_number_s_own_unit(scale, shown):
    behind = Behind(Interval(0.5, -math.inf, 0.5, 2, values=(0.5, math.nan)), scale, bound=("above", 0.5))
    plain = behind.plain()
    assert plain["interval"] == [shown, 0.0 if scale == "factor" else None, shown]
    assert plain["values"] == [shown, None]
    assert plain["bound"] == ["above", shown]


def test_seeds_and_records_of_another_count_than_the_values_are_not_theirs():
    trail = Trail((1, 2, 3), (0.1,) * 3, (0.2,) * 3, (("aa",),) * 3)
    plain = Behind(mean_interval([0.1, 0.2]), "number", trail=trail).plain()
    assert not {"seeds", "first", "second", "runs", "names"} & set(plain)


def test_a_link_names_few_records_and_leads_to_the_list_of_many():
    assert 'title="From 2 records: aa, bb"' in Sources("decay", ["aa", "bb"]).cite("1")
    many = Link(Sources("decay", [f"{i:016x}" for i in range(40)]).cite("1"))
    assert many.found["title"] == "From 40 records"
    assert many.found["href"] == "decay.html#records"


def test_a_rule_of_another_study_is_cited_with_that_study_s_records():
    from bnstudy.chapters import open as open_chapter

    glued = open_chapter("explosion", {}).glued()
    effect, verdict = (Link(glued[f"C1_{what}_en"]._repr_html_()) for what in ("effect", "verdict"))
    (claim,) = (c for c in CLAIMS if c.id == "C1")
    decided = [rule for rule in claim.rules if rule.study == "covariate_shift"]
    assert effect.found["href"] == "covariate_shift.html#records"
    named = {run for runs in json.loads(effect.found["data-behind"])["runs"] for run in runs}
    assert named == set(take(decided[0], bnstudy.load("covariate_shift")).trail.every_run())
    assert len(named) < len(bnstudy.load("covariate_shift").runs)
    assert verdict.found["href"] == "explosion.html#records"


def test_a_rule_s_premise_is_cited_with_the_records_that_it_read():
    from bnstudy.chapters import open as open_chapter

    said = Link(open_chapter("explosion", {}).glued()["C1_premise_zh"])
    assert said.found["href"] == "covariate_shift.html#records"
    behind = json.loads(said.found["data-behind"])
    assert behind["formula"][1] == "相对偏移，各层加噪声与不加之比"
    (claim,) = (c for c in CLAIMS if c.id == "C1")
    (premise,) = (rule.premise for rule in claim.rules if rule.premise)
    trail = take(premise, bnstudy.load("covariate_shift")).trail
    assert {run for runs in behind["runs"] for run in runs} == set(trail.every_run())


def test_a_quantity_without_values_of_seeds_still_has_their_records():
    trail = Trail(seeds=(100, 101), runs=(("aa",), ("bb",)))
    plain = Behind(Interval(0.5, 0.4, 0.6, 2), "share", trail=trail).plain()
    assert (plain["seeds"], plain["runs"]) == ([100, 101], [["aa"], ["bb"]])
    assert "values" not in plain
    # Records of other seeds than the values' are not theirs.
    other = Interval(0.5, 0.4, 0.6, 2, values=(0.4, 0.6), seeds=(7, 8))
    assert "runs" not in Behind(other, "points", trail=trail).plain()


def test_the_numbers_of_a_table_open_and_what_else_stands_in_it_is_text():
    by_seed = pd.Series([0.1, 0.3], index=pd.Index([7, 9], name="seed"))
    table = pd.DataFrame(
        [
            {"a < b": "x & <y>", "known": mean_interval(by_seed).percent(), "n": 0.5}
            | {"of no seed": mean_interval([0.1, 0.3]).percent(), "link": Html("<b>z</b>")}
        ]
    )
    sources = Sources("decay", ["aa"])
    shown = page.show(table, sources.cite)
    link = Link(shown)
    assert json.loads(link.found["data-behind"])["seeds"] == [7, 9]
    assert json.loads(link.found["data-behind"])["values"] == [10.0, 30.0]
    # A value whose seed nobody knows would be taken for that of another.
    assert shown.count("<a ") == 1
    for cell in ("<th>a &lt; b</th>", "<td>x &amp; &lt;y&gt;</td>", "<td><b>z</b></td>", "<td>0.5</td>"):
        assert cell in shown
    assert page.show(table) == page.show(table, sources.cite).replace(link_in(shown), table["known"][0])


def link_in(text):
    return text[text.index("<a ") : text.index("</a>") + len("</a>")]


def test_what_decided_a_verdict_opens_to_what_its_rule_read():
    from bnstudy.chapters import open as open_chapter

    chapter = open_chapter("decay", {})
    shown = chapter.rules_table()
    (found,) = chapter.verdicts["C6"].findings
    opened = [json.loads(Link(part).found["data-behind"]) for part in shown.split("<td>") if "<a " in part]
    c6 = [one for one in opened if one["bound"] == ["above", 100 * found.rule.threshold]]
    student = [one for one in c6 if one["method"] == "Student's t"]
    assert {one["interval"][0] for one in student} >= {float(f"{100 * found.student.mean:.4g}")}
    assert all(len(one["seeds"]) == len(one["runs"]) == found.effect.count for one in opened)


def test_the_second_round_s_numbers_open_to_its_seeds():
    quantity = next(q for q in family().values() if q.scale == "points")
    seeds = tuple(quantity.reads[0].block.judged_seeds())
    values = [0.001 * seed for seed in seeds]
    found = Estimate(quantity, Interval(0.1, 0.05, 0.15, len(seeds), 0.9995), values)
    trail = Trail(seeds=seeds, runs=[(f"run{seed}",) for seed in seeds])
    cited = Writer(Sources("decay", ["elsewhere"]), "en", {quantity.name: trail}).estimate(found)
    link = Link(cited)
    plain = json.loads(link.found["data-behind"])
    assert link.text == str(write_estimate(found))
    assert plain["seeds"] == list(seeds)
    assert plain["runs"] == [[f"run{seed}"] for seed in seeds]
    assert plain["values"] == [float(f"{100 * value:.4g}") for value in values]
    assert plain["level"] == 99.95
    assert link.found["title"].startswith(f"From {len(seeds)} records")
