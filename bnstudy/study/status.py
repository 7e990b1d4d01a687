"""What of an experiment is recorded, and in what state."""

from __future__ import annotations

from dataclasses import dataclass

from bnstudy.records.store import Store
from bnstudy.study import failures
from bnstudy.study.equivalent import stale
from bnstudy.study.estimate import seconds
from bnstudy.study.needs import needs
from bnstudy.study.plan import Study


@dataclass(frozen=True)
class Status:
    """The state of one experiment's runs, by name.

    ``recorded`` includes the ``stale``: made by other source code than today's. ``missing`` includes the
    ``damaged`` and the ``failed`` (with their errors). ``estimate``: seconds that the missing runs
    will take one after the other on this machine, or None if no record tells.
    """

    experiment: str
    needed: int
    recorded: list[str]
    missing: list[str]
    stale: list[str]
    damaged: dict[str, str]
    failed: dict[str, str]
    estimate: float | None

    @property
    def complete(self) -> bool:
        """Whether nothing is left to train."""
        return not self.missing


def status(study: Study, store: Store) -> Status:
    """Look at an experiment's records. Writes nothing, imports no torch."""
    found = needs(study, store)
    missing = [spec.name for spec in found.missing]
    records = {f.record.spec.name: f.record for f in found.found}
    told = {name: failures.read(store, name) for name in missing}
    return Status(
        experiment=study.name,
        needed=len(study.runs()),
        recorded=sorted(records),
        missing=missing,
        stale=stale(records.values(), store),
        damaged={name: str(error) for name, error in found.damaged.items()},
        failed={name: failure["error"] for name, failure in told.items() if failure},
        estimate=seconds(found.missing, store.scan().sound.values()) if missing else 0.0,
    )
