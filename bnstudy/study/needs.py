"""What a study needs, against what is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bnstudy.records.spec import RunSpec, Spec
from bnstudy.records.store import Record, RecordError, Scan, Store
from bnstudy.study.plan import PlannedRun, Study


class Found(NamedTuple):
    """A record, and the planned run that it serves (several records may serve one, each with some decays)."""

    run: PlannedRun
    record: Record


@dataclass
class Needs:
    """``found``: the records that serve the study. ``missing``: the runs to train, reduced to what is
    not recorded. ``damaged``: records of runs that the study needs, by name, with what is wrong; ``newer``:
    those that only a later version can read, and that are not to be trained again.
    """

    found: list[Found] = field(default_factory=list)
    missing: list[Spec] = field(default_factory=list)
    damaged: dict[str, RecordError] = field(default_factory=dict)
    newer: dict[str, RecordError] = field(default_factory=dict)


def needs(study: Study, store: Store, scan: Scan | None = None) -> Needs:
    """Compare a study's runs with the records there are. Writes nothing, imports no torch.

    ``scan`` is of all records, if it is at hand; else no more is read than it takes.
    """
    planned = study.runs()
    names = {run.spec.name for run in planned}
    seen = scan or store.scan(names)
    result = Needs(
        damaged={name: error for name, error in seen.damaged.items() if name in names},
        newer={name: error for name, error in seen.newer.items() if name in names},
    )
    rest = []
    for run in planned:
        if run.spec.name in seen.sound:
            result.found.append(Found(run, seen.sound[run.spec.name]))
        elif run.spec.name not in seen.newer:
            rest.append(run)
    if rest:
        # Another run of the same trajectory may have measured some of the decays.
        _complete(result, rest, (scan or store.scan()).trajectories)
    return result


def _complete(result: Needs, runs: Iterable[PlannedRun], by_trajectory: Mapping[str, list[Record]]) -> None:
    missing: dict[str, Spec] = {}
    for run in runs:
        spec = run.spec
        if isinstance(spec, RunSpec):
            wanted = set(spec.decays)
            for record in by_trajectory.get(spec.trajectory(), []):
                recorded = record.spec
                assert isinstance(recorded, RunSpec)
                measured = wanted & set(recorded.decays)
                if measured and set(spec.zero_debias) <= set(recorded.zero_debias):
                    result.found.append(Found(run, record))
                    wanted -= measured
            if not wanted:
                continue
            spec = spec.model_copy(update={"decays": tuple(sorted(wanted))})
        missing[spec.name] = spec
    result.missing = list(missing.values())
