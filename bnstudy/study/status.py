"""What of an experiment is recorded, and in what state."""

from __future__ import annotations

from dataclasses import dataclass

from bnstudy.records.store import Scan, Store
from bnstudy.study import failures
from bnstudy.study.equivalent import stale
from bnstudy.study.estimate import seconds
from bnstudy.study.needs import needs
from bnstudy.study.plan import Study


@dataclass(frozen=True)
class Status:
    """The state of one experiment's runs, by name.

    ``recorded`` includes the ``stale``: made by other source code than today's. ``missing`` includes the
    ``damaged`` and the ``failed`` (with their errors); ``newer`` are records that only a later version
    can read. ``estimate``: seconds that the missing runs
    will take one after the other on this machine, or None if no record tells.
    """

    experiment: str
    needed: int
    recorded: list[str]
    missing: list[str]
    stale: list[str]
    damaged: dict[str, str]
    failed: dict[str, str]
    newer: dict[str, str]
    estimate: float | None

    @property
    def complete(self) -> bool:
        """Whether nothing is left to train, and all can be read."""
        return not self.missing and not self.newer


def status(study: Study, store: Store, scan: Scan | None = None) -> Status:
    """Look at an experiment's records. Writes nothing, imports no torch.

    ``scan`` is of all records, which several experiments can share.
    """
    scan = scan or store.scan()
    found = needs(study, store, scan)
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
        newer={name: str(error) for name, error in found.newer.items()},
        estimate=seconds(found.missing, scan.sound.values()) if missing else 0.0,
    )
