"""What a study needs, against what is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from bnstudy.records.spec import RunSpec, Spec
from bnstudy.records.store import Record, RecordError, Store
from bnstudy.study.plan import PlannedRun, Study


class Found(NamedTuple):
    """A record, and the planned run that it serves (several records may serve one, each with some decays)."""

    run: PlannedRun
    record: Record


@dataclass
class Needs:
    """``found``: the records that serve the study. ``missing``: the runs to train, reduced to what is
    not recorded. ``damaged``: records of runs that the study needs, by name, with what is wrong.
    """

    found: list[Found] = field(default_factory=list)
    missing: list[Spec] = field(default_factory=list)
    damaged: dict[str, RecordError] = field(default_factory=dict)


def needs(study: Study, store: Store) -> Needs:
    """Compare a study's runs with the records there are. Writes nothing, imports no torch."""
    planned = study.runs()
    scan = store.scan(run.spec.name for run in planned)
    result = Needs(damaged=scan.damaged)
    rest = []
    for run in planned:
        if run.spec.name in scan.sound:
            result.found.append(Found(run, scan.sound[run.spec.name]))
        else:
            rest.append(run)
    if rest:
        # Another run of the same trajectory may have measured some of the decays.
        others = store.scan(set(store.names()) - set(scan.sound) - set(scan.damaged))
        _complete(result, rest, [*scan.sound.values(), *others.sound.values()])
    return result


def _complete(result: Needs, runs: Iterable[PlannedRun], records: Iterable[Record]) -> None:
    by_trajectory: dict[str, list[tuple[RunSpec, Record]]] = {}
    for record in records:
        if isinstance(record.spec, RunSpec):
            by_trajectory.setdefault(record.spec.trajectory(), []).append((record.spec, record))
    missing: dict[str, Spec] = {}
    for run in runs:
        spec = run.spec
        if isinstance(spec, RunSpec):
            wanted = set(spec.decays)
            for recorded, record in by_trajectory.get(spec.trajectory(), []):
                measured = wanted & set(recorded.decays)
                if measured and set(spec.zero_debias) <= set(recorded.zero_debias):
                    result.found.append(Found(run, record))
                    wanted -= measured
            if not wanted:
                continue
            spec = spec.model_copy(update={"decays": tuple(sorted(wanted))})
        missing[spec.name] = spec
    result.missing = list(missing.values())
