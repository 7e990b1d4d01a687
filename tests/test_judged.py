"""Answers, verdicts, digests, and what a build refuses, with flaws planted."""

from __future__ import annotations

import ast
import itertools
import json
import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bnstudy import cli
from bnstudy.analysis import procedure
from bnstudy.analysis.judged import design, digest, times
from bnstudy.analysis.judged.design import BLOCKS, Above, Block, NotEmpty
from bnstudy.analysis.judged.digest import digests_of, reads
from bnstudy.analysis.judged.example import SEEDS, example
from bnstudy.analysis.judged.parts import Claim, Part, Pilot, Quantity, Reads, Verified
from bnstudy.analysis.judged.preregistration import (
    Deviation,
    Frozen,
    PreregistrationError,
    check,
    freeze,
    frozen,
    refusals,
)
from bnstudy.analysis.judged.recorded import Source, blocks_of, places_of
from bnstudy.analysis.judged.topping_up import seeds_for
from bnstudy.analysis.judged.training import Evaluation, NotTestedError, Training, hits
from bnstudy.analysis.judged.verdicts import answer, combine, estimate, judge
from bnstudy.analysis.procedure import Component, Sample
from bnstudy.analysis.statistics import Interval
from bnstudy.analysis.tables import NotMeasuredError
from bnstudy.chapters import judged as book
from bnstudy.chapters import plan_of, second_round
from bnstudy.chapters.once import ONCE
from bnstudy.records.store import Store

ROOT = Path(__file__).parents[1]
HOLDS, FAILS, OPEN = "holds", "doesn't hold", "can't tell"


@pytest.mark.parametrize(
    ("low", "high", "side", "bound", "expected"),
    [
        (0.1, 0.3, "above", 0.0, HOLDS),
        (0.1, 0.3, "above", 0.1, OPEN),  # an end that touches is on neither side
        (0.1, 0.3, "above", 0.3, OPEN),
        (0.1, 0.3, "above", 0.4, FAILS),
        (0.1, 0.3, "below", 0.4, HOLDS),
        (0.1, 0.3, "below", 0.0, FAILS),
        (0.1, math.inf, "above", 0.0, HOLDS),  # at least
        (-math.inf, math.inf, "above", 0.0, OPEN),
        (0.2, 0.2, "above", 0.2, OPEN),  # the tie: exactly the bound
        (-0.1, 0.2, "within", 0.3, HOLDS),
        (-0.1, 0.3, "within", 0.3, OPEN),
        (0.2, 0.4, "within", 0.3, OPEN),
        (0.31, 0.4, "within", 0.3, FAILS),
        (-0.4, -0.31, "within", 0.3, FAILS),
        (math.nan, math.nan, "within", 0.3, OPEN),
    ],
)
def test_an_answer_is_where_the_interval_lies(low, high, side, bound, expected):
    assert answer(Interval(0.2, low, high, 5), side, bound) == expected


def test_the_table_of_verdicts():
    for answers in itertools.chain(
        *(itertools.product((HOLDS, FAILS, OPEN), repeat=n) for n in (1, 2, 3, 4))
    ):
        found = set(answers)
        if found == {HOLDS}:
            expected = "supported"
        elif found == {FAILS}:
            expected = "refuted"
        else:
            expected = "partly" if HOLDS in found else "open"
        assert combine(answers) == expected


@dataclass(frozen=True)
class Given:
    """A quantity whose values are given."""

    values: tuple[float, ...] = ()
    untested: str = ""

    def __call__(self, blocks: Any) -> Sample:
        if self.untested:
            raise NotTestedError(self.untested)
        return Sample((Component(np.array(self.values)),))


BLOCK = Block("b", 4, {"kind": "train"}, {"x": {}})
THERE = {"b": {"x": {seed: Training(False, 1.0, {}) for seed in BLOCK.judged_seeds()}}}


def quantity(name="q", values=(0.1, 0.11, 0.09, 0.1), **more) -> Quantity:
    return Quantity(name, Given(values, **more), (Reads(BLOCK, ("x",)),), "number", 0.1, Pilot(0.1, 0.01))


def test_parts_are_answered_apart_and_grades_by_the_same_interval():
    above = Part("above", quantity(), "above", 0.0, {"far": 1.0, "near": 0.05})
    claim = Claim("C1", (above, replace(above, name="below", side="below", votes=False)))
    found = judge([claim], THERE, 1)["C1"]
    assert found.verdict == "supported"
    assert [f.answer for f in found.findings] == [HOLDS, FAILS]
    assert found.findings[0].grades == {"far": FAILS, "near": HOLDS}
    assert found.findings[0].estimate is found.findings[1].estimate
    assert found.findings[0].estimate.measured


def test_what_code_settles_votes_where_it_is_said_to():
    part = Part("p", quantity(), "above", 0.0)
    for votes, verdict in ((True, "partly"), (False, "supported")):
        claim = Claim("C1", (part,), (Verified("v", False, "t", votes),))
        assert judge([claim], THERE, 1)["C1"].verdict == verdict
    alone = Claim("C12", (), (Verified("v", True, "t"),))
    assert judge([alone], {}, 1)["C12"].verdict == "supported"


def test_nothing_follows_from_what_was_not_tested_or_not_measured():
    untested = Part("p", quantity("q1", untested="no shift"), "above", 0.0)
    found = judge([Claim("C1", (untested,))], THERE, 1)["C1"]
    assert found.verdict == "open"
    assert found.findings[0].estimate.untested == "no shift"
    missing = judge([Claim("C1", (untested, Part("r", quantity("q2"), "above", 0)))], {}, 1)["C1"]
    assert missing.verdict == "not measured yet"


def test_other_seeds_than_the_planned_ones_are_not_judged(monkeypatch):
    fewer = {"b": {"x": {seed: t for seed, t in THERE["b"]["x"].items() if seed < 103}}}
    assert "no seeds 103" in estimate(quantity(), fewer, 1).missing
    more = {"b": {"x": {**THERE["b"]["x"], 104: Training(False, 1.0, {})}}}
    assert "seeds that aren't judged: 104" in estimate(quantity(), more, 1).missing
    monkeypatch.setitem(design.TOPPED_UP, "b", 5)
    assert not estimate(quantity(), more, 1).missing
    for count in (3, 33):
        monkeypatch.setitem(design.TOPPED_UP, "b", count)
        with pytest.raises(ValueError, match=rf"TOPPED_UP\['b'\] is {count}; allowed: 4"):
            estimate(quantity(), more, 1)


def test_added_seeds_follow_from_the_spread_alone():
    def needed(values, target=0.01):
        wanted = replace(quantity(values=tuple(values)), target=target)
        return seeds_for(BLOCK, [wanted], THERE, 28)

    values = np.random.default_rng(0).normal(0.0, 0.01, 4)
    assert needed(values) == needed(values + 7.0) == needed(-values)
    assert needed(values * 0.1) == 4
    assert needed(values * 100) == 32
    assert 4 < needed(values, 0.02) < needed(values, 0.014) < 32


# --- The book -------------------------------------------------------------------------------------


def test_the_family_is_frozen():
    """Every quantity more makes all intervals wider: this list changes with the protocol alone."""
    assert len(book.family()) == 28
    assert list(book.claims()) == [f"C{i}" for i in range(1, 14)]
    shared = [q.name for c in book.claims().values() for q in c.quantities()]
    assert sorted({name for name in shared if shared.count(name) > 1}) == [
        "annealed: decay 0.9 minus decay 0"
    ]


def test_every_part_has_its_words_in_both_languages_and_its_bound_a_reason():
    for name, claim in book.claims().items():
        words = book.words()[name]
        parts = {p.name for p in claim.parts}
        grades = {g for p in claim.parts for g in p.grades}
        assert set(words.parts) <= parts | grades | {v.name for v in claim.verified}
        assert parts | {v.name for v in claim.verified} <= set(words.parts)
        assert all(
            english and re.search(r"[\u4e00-\u9fff]", chinese) for english, chinese in words.parts.values()
        )
        assert set(words.why) <= parts
        assert words.original in (ROOT / "bnstudy" / "chapters").joinpath(
            book.chapter_of()[name], "judged.py"
        ).read_text(encoding="utf-8")


def test_what_is_verified_links_to_a_test_that_is_there():
    for claim in book.claims().values():
        for verified in claim.verified:
            file, name = verified.test.split("::")
            assert re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_no_bound_is_a_lucky_number_of_its_quantity():
    """Grades lie farther on the same side, and equivalence has a bound above 0."""
    for claim in book.claims().values():
        for part in claim.parts:
            for bound in part.grades.values():
                assert bound > part.bound if part.side == "above" else bound < part.bound
            assert part.side != "within" or (part.bound > 0 and not part.grades)


def test_every_part_gets_an_answer_from_a_made_up_study():
    for quantity in book.family().values():
        sample = quantity.estimate(example(quantity.estimate, quantity.places()))
        assert sample is not None
    assert len(SEEDS) == 8


# --- Digests --------------------------------------------------------------------------------------


def book_with(part_of: str, **changes: Any) -> list[Claim]:
    """All claims, the first part of one of them changed."""
    found = []
    for name, claim in book.claims().items():
        if name == part_of:
            first = replace(claim.parts[0], **changes)
            claim = replace(claim, parts=(first, *claim.parts[1:]))
        found.append(claim)
    return found


def changed(claims: list[Claim]) -> set[str]:
    return {name for name, digest in digests_of(claims).items() if book.digests()[name] != digest}


def test_one_moved_bound_changes_one_claims_digest():
    assert changed(book_with("C4", bound=0.33)) == {"C4"}
    assert changed(book_with("C13", grades={"by 5 points": 0.051})) == {"C13"}
    assert changed(book_with("C8", side="above")) == {"C8"}
    assert changed(book_with("C8", votes=False)) == {"C8"}


def test_a_quantity_more_changes_every_digest():
    more = replace(book.claims()["C4"].parts[0].quantity, name="another")
    part = Part("another", more, "above", 0.0)
    claims = [replace(c, parts=(*c.parts, part)) if n == "C4" else c for n, c in book.claims().items()]
    assert changed(claims) == set(book.claims())


def test_expectations_and_tests_names_change_no_digest():
    quantities = {name: replace(q, pilot=Pilot(9.0, 9.0)) for name, q in book.family().items()}
    claims = [
        replace(
            claim,
            parts=tuple(replace(p, quantity=quantities[p.quantity.name]) for p in claim.parts),
            verified=tuple(replace(v, test="elsewhere") for v in claim.verified),
        )
        for claim in book.claims().values()
    ]
    assert changed(claims) == set()


class Reworded(ast.NodeTransformer):
    """Every sentence of a chapter's claims said otherwise: its docstring, and the values of WORDS."""

    def __init__(self) -> None:
        self.count = 0

    def visit_Module(self, node: ast.Module) -> ast.Module:
        node.body[0] = ast.parse('"""Another purpose."""').body[0]
        for statement in node.body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "WORDS":
                statement.value = self.visit(statement.value)
        return ast.fix_missing_locations(node)

    def visit_Dict(self, node: ast.Dict) -> ast.Dict:
        node.values = [self.visit(value) for value in node.values]
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        self.count += 1
        return ast.Constant("said otherwise")


def test_reworded_sentences_change_no_digest_and_refuse_no_record():
    made: list[Claim] = []
    for chapter in book.chapters():
        source = ROOT / "bnstudy" / "chapters" / chapter / "judged.py"
        reworded = Reworded()
        tree = reworded.visit(ast.parse(source.read_text(encoding="utf-8")))
        assert reworded.count >= 4
        module = ModuleType(chapter)
        module.__dict__["__name__"] = f"bnstudy.chapters.{chapter}.judged"
        exec(compile(tree, chapter, "exec"), module.__dict__)
        assert book.words() != module.WORDS
        made += module.CLAIMS
    assert changed(made) == set()
    check([record(block.name, arm) for block, arm in EVERY_ARM], SINCE, made)


def test_what_a_rule_does_is_in_its_digest(monkeypatch):
    """Code decides too: an arrival that isn't smoothed, or another interval, is another rule."""
    by_example = digest._by_example
    try:
        for where, name, value, claims in (
            (times, "MEDIAN_OF", 1, {"C4", "C13"}),
            (procedure, "ALPHA", 0.05, set(book.claims()) - {"C12"}),
        ):
            by_example.cache_clear()
            monkeypatch.setattr(where, name, value)
            assert changed(CLAIMS) == claims
            monkeypatch.undo()
    finally:
        by_example.cache_clear()


# --- Which runs are read --------------------------------------------------------------------------


def spec_of(block: Block, arm: str, seed: int = 100, **changes: Any) -> Any:
    """Any run of an arm."""
    fields = {**block.common, **block.arms[arm], **changes}
    chosen = {Above: lambda v: v.bound + 0.1, NotEmpty: lambda v: ("probe",)}
    plain = {k: chosen.get(type(v), lambda v: v)(v) for k, v in fields.items()}
    return SimpleNamespace(**plain, seed=seed, name=f"{block.name}/{arm}/{seed}".replace(" ", "-"))


EVERY_ARM = [(block, arm) for block in BLOCKS.values() for arm in block.arms]


@pytest.mark.parametrize(("block", "arm"), EVERY_ARM, ids=lambda v: getattr(v, "name", v))
def test_a_run_is_of_one_arm_of_one_block(block, arm):
    assert places_of(spec_of(block, arm)) == [(block.name, arm)]


def test_a_record_stores_the_digests_of_the_claims_that_read_it():
    batch = spec_of(BLOCKS["core"], "batch")
    assert book.rules_digests(batch) == {n: book.digests()[n] for n in ("C4", "C6", "C7", "C10", "C13")}
    assert set(book.rules_digests(spec_of(BLOCKS["core"], "none"))) == {"C4", "C13"}
    assert set(book.rules_digests(spec_of(BLOCKS["knobs"], "base"))) == {"C8", "C9"}
    assert set(book.rules_digests(spec_of(BLOCKS["knobs"], "epsilon 1e-5"))) == {"C9"}
    assert set(book.rules_digests(spec_of(BLOCKS["cost"], "all"))) == {"C11", "C13"}
    for seed in (0, 4, 99, 200, 250):
        assert book.rules_digests(spec_of(BLOCKS["core"], "batch", seed)) == {}
    assert book.rules_digests(spec_of(BLOCKS["core"], "batch", epochs=5)) == {}


def test_every_arm_is_read():
    for block, arm in EVERY_ARM:
        # The doses beside the judged one are shown without a verdict.
        shown = re.match(r"(fresh|frozen) (1|16),", arm)
        assert bool(shown) != any(reads(c, spec_of(block, arm)) for c in book.claims().values())


# --- What a build refuses -------------------------------------------------------------------------


@dataclass
class Record:
    spec: Any
    provenance: dict[str, Any] = field(default_factory=dict)


SINCE = Frozen("abc123", "2026-01-01T00:00:00+00:00", book.digests())
CLAIMS = list(book.claims().values())


def record(block="core", arm="batch", seed=100, date="2026-01-02T00:00:00+00:00", **rules: str) -> Record:
    spec = spec_of(BLOCKS[block], arm, seed)
    return Record(spec, {"rules": {**book.rules_digests(spec), **rules}, "date": date})


def refused(*records: Record, since: Frozen = SINCE, claims=CLAIMS, deviations=()) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for refusal in refusals(records, since, claims, deviations):
        found.setdefault(refusal.record, set()).add(refusal.claim)
    return found


def test_records_of_the_frozen_rules_are_accepted():
    records = [record(block.name, arm) for block, arm in EVERY_ARM]
    check(records, SINCE, CLAIMS)


def test_moving_one_bound_refuses_exactly_that_claims_records():
    records = [record(block.name, arm) for block, arm in EVERY_ARM]
    claims = book_with("C9", bound=-0.006)
    moved = refused(*records, since=replace(SINCE, digests=digests_of(claims)), claims=claims)
    knobs = ("base", "epsilon 1e-5", "epsilon 1e-1", "epsilon 1e-11")
    assert moved == {spec_of(BLOCKS["knobs"], arm).name: {"C9"} for arm in knobs}
    # Rules that were moved after they were frozen are refused themselves.
    assert refused(claims=claims) == {"": {"C9"}}


def test_a_record_trained_before_the_rules_or_with_other_seeds_is_refused():
    early = record(date="2025-12-31T23:59:59+00:00")
    assert refused(early) == {early.spec.name: {"C4", "C6", "C7", "C10", "C13"}}
    without = Record(spec_of(BLOCKS["core"], "none"), {"date": "2026-01-02T00:00:00"})
    assert refused(without) == {without.spec.name: {"C4", "C13"}}
    undated = record(arm="none")
    undated.provenance.pop("date")
    assert refused(undated) == {undated.spec.name: {"C4", "C13"}}
    for seed in (0, 4, 99, 200):
        exploratory = record(arm="none", seed=seed)
        assert refused(exploratory) == {exploratory.spec.name: {"C4", "C13"}}
        with pytest.raises(PreregistrationError, match=f"its seed is {seed}; allowed: 100 to 199"):
            check([exploratory], SINCE, CLAIMS)


def test_a_planted_violation_is_refused_unless_the_chapter_names_it():
    other = record(C6="0123456789abcdef")
    with pytest.raises(PreregistrationError, match=r"C6, record core/batch/100: .*under other rules"):
        check([other], SINCE, CLAIMS)
    named = Deviation("C6", (other.spec.name,), "the machine stopped")
    check([other], SINCE, CLAIMS, [named])
    assert refused(other, deviations=[replace(named, claim="C7")])
    assert refused(other, deviations=[replace(named, records=("core/batch/101",))])


def test_frozen_rules_are_written_and_read(tmp_path):
    with pytest.raises(PreregistrationError, match="no frozen rules"):
        frozen(tmp_path)
    path = freeze(tmp_path, "abc123", book.digests())
    assert frozen(tmp_path).digests == book.digests()
    assert frozen(tmp_path).commit == "abc123"
    assert refused(record(date="2999-01-01T00:00:00+00:00"), since=frozen(tmp_path)) == {}
    assert json.loads(path.read_text())["date"].endswith("+00:00")


# --- Records --------------------------------------------------------------------------------------


def source(spec: Any, outcome="finished", name="r1") -> Source:
    spec.name = name
    return Source(spec, outcome, ("training",), lambda table: pd.DataFrame({"step": [1, 2, 8602]}))


def test_records_are_found_by_block_arm_and_seed():
    core = BLOCKS["core"]
    found = blocks_of(
        [
            source(spec_of(core, "none"), name="a"),
            source(spec_of(core, "batch"), "diverged at step 5", name="b"),
            source(spec_of(core, "batch", seed=3), name="exploratory"),
            source(spec_of(core, "batch", batch_size=64), name="something else"),
        ]
    )
    assert {b: {a: list(s) for a, s in arms.items()} for b, arms in found.items()} == {
        "core": {"none": [100], "batch": [100]}
    }
    assert found["core"]["none"][100].step(22.0) == 8602
    assert found["core"]["none"][100].step(14.25) == 5572
    assert found["core"]["batch"][100].diverged
    with pytest.raises(ValueError, match="records a and b are both of block 'core', arm 'none', seed 100"):
        blocks_of([source(spec_of(core, "none"), name="a"), source(spec_of(core, "none"), name="b")])


def test_a_training_whose_table_has_every_tenth_step_ends_where_it_was_looked_at_last():
    core = BLOCKS["core"]
    spec = spec_of(core, "batch")
    spec.name = "a"
    tables = {
        # 22 epochs of 391 steps; of them, as the core block logs: the first 50, and every tenth.
        "training": pd.DataFrame({"step": [s for s in range(1, 8603) if s <= 50 or s % 10 == 0]}),
        "checkpoints": pd.DataFrame({"step": [391 * epoch for epoch in (3, 4, 18, 22)]}),
    }
    (arms,) = blocks_of([Source(spec, "finished", tuple(tables), tables.__getitem__)]).values()
    training = arms["batch"][100]
    assert [training.step(epoch) for epoch in (3, 4, 18, 22)] == list(tables["checkpoints"]["step"])
    assert training.step(22 - 15 / 391) == 8587


# --- From a folder of records to verdicts ---------------------------------------------------------


def step_costs(folder: Path, in_place: float, **rules: str) -> Store:
    """Twelve processes' recorded costs, made up, of the step-cost study as planned."""
    store = Store(folder)
    for i, run in enumerate(plan_of("step_costs", {}).runs()):
        rows = [
            (arm, r, seconds * (1 + 0.01 * ((i * ord(arm[0]) + r) % 5)))
            for arm, seconds in (("none", 0.04), ("in place", in_place), ("with the step", 0.05))
            for r in (1, 2, 3)
        ]
        names = ("arm", "round", "seconds_per_step")
        cost = {name: [row[at] for row in rows] for at, name in enumerate(names)}
        made = {"rules": {**book.rules_digests(run.spec), **rules}, "date": "2026-01-02T00:00:00+00:00"}
        store.write(run.spec, made, "finished", {"cost": cost})
    return store


def test_recorded_runs_are_judged_by_the_frozen_rules(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    step_costs(folder, in_place=0.06)
    with pytest.raises(PreregistrationError, match="no frozen rules"):
        second_round.judgements(folder)
    (folder / "judge").mkdir()
    (folder / "judge" / "frozen.json").write_text(json.dumps(vars(SINCE)))
    found = second_round.judgements(folder)
    [cost] = found["C11"].findings
    # It costs more, by a fifth, and a batch doesn't use the previous statistics.
    assert (cost.answer, cost.grades["by a tenth"], found["C11"].verdict) == (HOLDS, HOLDS, "partly")
    assert 2**cost.estimate.interval.mean == pytest.approx(1.2, rel=0.02)
    assert len(cost.estimate.values) == 12
    assert found["C13"].verdict == "not measured yet"
    # Its twelve records, by seed.
    [cost_trail] = second_round.trails(found["C11"], folder).values()
    assert list(cost_trail.seeds) == [*range(100, 112)]
    assert [len(runs) for runs in cost_trail.runs] == [1] * 12
    assert second_round.behind(found["C11"], folder) == cost_trail.every_run()

    # A build measures once for all chapters.
    (tmp_path / "once").mkdir()
    monkeypatch.setenv(ONCE, str(tmp_path / "once"))
    first = second_round.judgements(folder)
    monkeypatch.setattr(second_round, "_measured", None)
    again = second_round.judgements(folder)
    assert [again[n].verdict for n in again] == [first[n].verdict for n in first]
    assert again["C11"].findings[0].estimate == first["C11"].findings[0].estimate


def test_a_build_stops_over_records_of_other_rules(tmp_path):
    store = step_costs(tmp_path, 0.06, C11="0" * 16)
    (store.root / "judge").mkdir()
    (store.root / "judge" / "frozen.json").write_text(json.dumps(vars(SINCE)))
    with pytest.raises(PreregistrationError, match=r"C11, record .* under other rules: 0000000000000000"):
        second_round.judgements(tmp_path)


def test_rules_are_frozen_at_a_commit_and_before_the_first_record(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(second_round, "git_state", lambda: {"commit": "abc123", "dirty": True})
    assert cli.main(["freeze", "--data-dir", str(tmp_path)]) == 1
    assert "not as a commit has it" in capsys.readouterr().err
    monkeypatch.setattr(second_round, "git_state", lambda: {"commit": "abc123", "dirty": False})
    assert cli.main(["freeze", "--data-dir", str(tmp_path)]) == 0
    assert frozen(tmp_path).commit == "abc123"
    assert frozen(tmp_path).digests == book.digests()
    step_costs(tmp_path, 0.06)
    assert cli.main(["freeze", "--data-dir", str(tmp_path)]) == 1
    assert "12 confirmatory runs are recorded" in capsys.readouterr().err


def test_hits_come_from_a_record_as_they_were(tmp_path):
    [run, *_] = plan_of("core", {}).runs()
    bits = np.array([[1, 0, 1, 1, 0, 0, 1, 0, 1, 1], [0] * 10], dtype=np.uint8)
    columns = {"split": "test", "statistics": "none", "decay": None, "zero_debias": None, "order": ""}
    index = {name: [value] * 2 for name, value in columns.items()}
    index |= {"step": [391, 8602], "test_batch_size": [None] * 2, "images": [10] * 2}
    rates = {name: [0.5] * 2 for name in ("loss", "accuracy", "learning_rate")}
    training = {"step": [1, 8602], **rates}
    store = Store(tmp_path)
    tables = {"hits_index": index, "hits": np.packbits(bits, axis=1), "training": training}
    record = store.write(run.spec, {}, "finished", tables)
    [arms] = blocks_of([second_round._source(store, record)]).values()
    [trained] = arms["none"].values()
    read = hits(trained, Evaluation("none"), [trained.step(1.0), trained.step(22.0)])
    assert (read == bits).all()


def test_seeds_that_a_recorded_block_needs(tmp_path):
    step_costs(tmp_path, 0.06)
    # Their spread is small, and the target wide: the planned twelve are enough.
    assert second_round.seeds_needed("cost", tmp_path) == 12
    with pytest.raises(NotMeasuredError, match="no seeds 100"):
        second_round.seeds_needed("core", tmp_path)
    with pytest.raises(ValueError, match="block is 'heart'; allowed: 'core'"):
        second_round.seeds_needed("heart", tmp_path)


def test_what_was_frozen_are_todays_rules():
    try:
        since = frozen(ROOT / "data")
    except PreregistrationError:
        pytest.skip("no rules are frozen yet")
    assert since.digests == book.digests()
