"""The second round's verdicts: from the recorded runs of the blocks, checked against the frozen rules."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd

from bnstudy.analysis.doubt import Doubt
from bnstudy.analysis.judged.design import BLOCKS, CONFIRMATORY
from bnstudy.analysis.judged.parts import Quantity
from bnstudy.analysis.judged.preregistration import PreregistrationError, check, freeze, frozen
from bnstudy.analysis.judged.recorded import Source, blocks_of, places_of
from bnstudy.analysis.judged.topping_up import seeds_for
from bnstudy.analysis.judged.training import Bytes
from bnstudy.analysis.judged.verdicts import Estimate, Finding, Judgement, decided, estimate, find
from bnstudy.analysis.judged.wording import Language
from bnstudy.analysis.saying import Writer
from bnstudy.analysis.statistics import Interval
from bnstudy.analysis.trail import Trail, trail_of
from bnstudy.analysis.words import Sources
from bnstudy.chapters.doubts import asked_again, doubts
from bnstudy.chapters.judged import claims, deviations, digests, family
from bnstudy.chapters.kept import once_for, records_of, state_of
from bnstudy.records.provenance import git_state
from bnstudy.records.store import Record, Store
from bnstudy.records.tables import TABLES, to_frame
from bnstudy.study.run import default_data_dir

Places = dict[str, dict[str, list[tuple[int, str]]]]


def judgements(data_dir: str | os.PathLike[str] = "") -> dict[str, Judgement]:
    """Return the judgement on each claim by its id, from the records of the confirmatory studies as planned.

    A claim of which a study isn't recorded in full is "not measured yet". Within a build, the records are
    read once for all chapters.

    Raises:
        PreregistrationError: a record was not made for the frozen rules, and no chapter names it.
        RecordError: a record is damaged.
    """
    return decided(claims().values(), estimates(data_dir))


def estimates(data_dir: str | os.PathLike[str] = "") -> dict[str, Estimate]:
    """Return each judged quantity's one interval by its name, and of those that doubts ask for instead.

    Raises as ``judgements`` does.
    """
    store = Store(data_dir or default_data_dir())
    return _estimates(store.root.resolve(), state_of(store))


def doubted(claim: str, data_dir: str | os.PathLike[str] = "") -> list[tuple[Doubt, Finding]]:
    """Return what is doubted of the answers to a claim's parts, and what is found without it.

    Nothing of a part that isn't measured yet. Raises as ``judgements`` does.
    """
    found = estimates(data_dir)
    by_name = {part.name: part for part in claims()[claim].parts}
    asked = [
        (doubt, find(replace(by_name[doubt.part], quantity=doubt.quantity), found[doubt.quantity.name]))
        for doubt in doubts()
        if doubt.claim == claim
    ]
    return [(doubt, finding) for doubt, finding in asked if not finding.estimate.missing]


def leading_doubts(claim: str, write: Writer, data_dir: str | os.PathLike[str] = "") -> list[str]:
    """Return what has to be said wherever the verdict on a claim is, a sentence each."""
    return [doubt.sentence(finding, write) for doubt, finding in doubted(claim, data_dir) if doubt.leads]


def confirmatory_records(store: Store) -> list[Record]:
    """Return the records of the runs that confirmatory studies plan.

    Raises:
        RecordError: one of them is damaged.
    """
    return list(records_of(CONFIRMATORY, store))


def behind(judgement: Judgement, data_dir: str | os.PathLike[str] = "") -> list[str]:
    """Return the names of the recorded runs that a judgement rests on, in order; without those of doubts."""
    return _judged_runs(judgement, trails(judgement, data_dir))


def machines_behind(judgement: Judgement, data_dir: str | os.PathLike[str] = "") -> Counter[str]:
    """Return on which devices those runs were trained, and how many on each."""
    runs = set(behind(judgement, data_dir))
    records = confirmatory_records(Store(data_dir or default_data_dir()))
    return Counter(str(r.provenance["device"]) for r in records if r.spec.name in runs)


def writer_of(
    judgement: Judgement, page: str, language: Language = "en", data_dir: str | os.PathLike[str] = ""
) -> Writer:
    """Return what writes a judgement's numbers on a page, each with the recorded runs behind it."""
    found = trails(judgement, data_dir)
    return Writer(Sources(page, _judged_runs(judgement, found)), language, found)


def trails(judgement: Judgement, data_dir: str | os.PathLike[str] = "") -> dict[str, Trail]:
    """Return which recorded runs each quantity of a judgement is taken from, by its name and by seed.

    Those that doubts ask for instead are among them.
    """
    store = Store(data_dir or default_data_dir())
    there = _runs_by_place(store.root.resolve(), state_of(store))
    found = {}
    again = (doubt.quantity for doubt in doubts() if doubt.claim == judgement.claim.id)
    for quantity in (*judgement.claim.quantities(), *again):
        arms = [there.get(block.name, {}).get(arm, []) for block, names in quantity.reads for arm in names]
        found[quantity.name] = trail_of({(seed, run) for runs in arms for seed, run in runs})
    return found


def freeze_rules(data_dir: str | os.PathLike[str] = "") -> Path:
    """Write down that the commit that the package is at froze the rules; return the file.

    Raises:
        PreregistrationError: the package isn't as a commit has it, or confirmatory runs are recorded already,
            for which it would be too late.
    """
    state = git_state()
    if state["commit"] is None or state["dirty"]:
        raise PreregistrationError("the package is not as a commit has it; commit it, then freeze its rules")
    store = Store(data_dir or default_data_dir())
    records = confirmatory_records(store)
    if records:
        raise PreregistrationError(
            f"{len(records)} confirmatory runs are recorded in {store.root}; "
            "rules are frozen before the first"
        )
    return freeze(store.root, state["commit"], digests())


def seeds_needed(block: str, data_dir: str | os.PathLike[str] = "") -> int:
    """Return with how many seeds a recorded block should reach its targets, from its spread alone.

    It may be asked once for a block; a larger number than the planned one is committed in
    ``bnstudy.analysis.judged.design.TOPPED_UP``, and in the study, before the added seeds are trained.

    Raises:
        ValueError: there is no such block.
        NotMeasuredError: it isn't recorded in full.
    """
    if block not in BLOCKS:
        raise ValueError(f"block is {block!r}; allowed: {', '.join(map(repr, BLOCKS))}")
    store = Store(data_dir or default_data_dir())
    blocks = blocks_of(_source(store, record) for record in confirmatory_records(store))
    own = [q for q in family().values() if [b.name for b, _ in q.reads] == [block]]
    return seeds_for(BLOCKS[block], own, blocks, len(family()))


@lru_cache(maxsize=2)
def _estimates(root: Path, state: str) -> dict[str, Estimate]:
    store = Store(root)
    found = once_for(
        ["estimates"], store, lambda: {q: _to_plain(each) for q, each in _measured(store).items()}
    )
    return {name: _from_plain(name, body) for name, body in found.items()}


def _measured(store: Store) -> dict[str, Estimate]:
    records = confirmatory_records(store)
    if records:
        check(records, frozen(store.root), list(claims().values()), deviations())
    blocks = blocks_of(_source(store, record) for record in records)
    return {name: estimate(quantity, blocks, len(family())) for name, quantity in every_quantity().items()}


def every_quantity() -> dict[str, Quantity]:
    """Return every judged quantity by its name, and those that doubts ask for instead."""
    return family() | asked_again()


@lru_cache(maxsize=2)
def _runs_by_place(root: Path, state: str) -> Places:
    """Return seeds and names of the confirmatory runs recorded below ``root``, by block and arm."""

    def find() -> Places:
        found: Places = {}
        for record in confirmatory_records(store):
            for block, arm in places_of(record.spec):
                found.setdefault(block, {}).setdefault(arm, []).append((record.spec.seed, record.spec.name))
        return found

    store = Store(root)
    places: Places = once_for(["runs"], store, find)
    return places


def _judged_runs(judgement: Judgement, found: Mapping[str, Trail]) -> list[str]:
    named = (found[quantity.name] for quantity in judgement.claim.quantities())
    return sorted({run for trail in named for run in trail.every_run()})


def _source(store: Store, record: Record) -> Source:
    names = tuple(name for name in record.tables if name in TABLES)
    hits = partial(_hits, store, record) if "hits" in record.tables else None
    return Source(record.spec, record.outcome, names, partial(_table, store, record), hits)


def _table(store: Store, record: Record, name: str) -> pd.DataFrame:
    return to_frame(name, [store.table(record, name)])


def _hits(store: Store, record: Record) -> Bytes:
    return store.array(record, "hits")


def _to_plain(found: Estimate) -> dict[str, Any]:
    """Return an estimate as JSON has it; infinite ends are written as Python's json does."""
    return {
        "interval": vars(found.interval),
        "values": found.values,
        "counted": dict(found.counted),
        "missing": found.missing,
        "untested": found.untested,
    }


def _from_plain(name: str, body: Mapping[str, Any]) -> Estimate:
    return Estimate(every_quantity()[name], **{**body, "interval": Interval(**body["interval"])})
