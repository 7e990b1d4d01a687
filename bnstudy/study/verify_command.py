"""``bnstudy verify``: every record and what lies beside them checked, and some records trained again."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence

from bnstudy.records.package import DESCRIPTOR, INDEX, is_current
from bnstudy.records.sealed import read_sealed
from bnstudy.records.spec import RunSpec, SpecError
from bnstudy.records.store import RecordError, Scan, Store
from bnstudy.study.equivalent import accept_drawn, stale


def run(options: argparse.Namespace, store: Store, names: Sequence[str] | None) -> bool:
    """Do what ``options`` ask for, say what was found, and return whether all is well.

    Args:
        options: ``rerun``, ``begin``, ``accept``, ``carry_over``, ``seed``, ``device`` and ``json``.
        store: the records.
        names: of the runs to check; None: all, and what lies beside the records.
    """
    for name in ("rerun", "begin"):
        if getattr(options, name) < 0:
            raise SpecError(f"--{name} is {getattr(options, name)}; allowed: a whole number of at least 0")
    if options.accept and options.rerun < 2:
        raise SpecError(f"--rerun is {options.rerun} with --accept; allowed: a whole number of at least 2")
    if options.carry_over and options.rerun:
        raise SpecError(f"--rerun is {options.rerun} with --carry-over; allowed: one of them")
    if options.begin and (options.carry_over or options.rerun):
        raise SpecError(f"--begin is {options.begin} with --rerun or --carry-over; allowed: one of them")
    scan = store.scan(names)
    if options.carry_over:
        return _carry_over(options, store, scan)
    beside = faults_beside(store, scan) if names is None else []
    if not options.json:
        counts = f"{len(scan.sound)} records sound, {len(scan.damaged)} damaged"
        newer = f", {len(scan.newer)} of a newer version" if scan.newer else ""
        print(f"{counts}{newer} in {store.runs}")
        for error in [*scan.damaged.values(), *scan.newer.values(), *beside]:
            print(f"  {error}")
    return _train_again(options, store, scan, beside)


def faults_beside(store: Store, scan: Scan) -> list[str]:
    """Return what is wrong beside the records: with known sources, benchmark results, index, description."""
    found = []
    try:
        stale(scan.sound.values(), store)
    except RecordError as error:
        found.append(str(error))
    for path in sorted((store.root / "bench").glob("*.json")):
        try:
            read_sealed(path)
        except (OSError, ValueError) as error:
            found.append(str(error))
    if scan.sound and not is_current(store, scan):
        found.append(
            f"{store.root / INDEX} and {DESCRIPTOR} don't describe these records; write them again with: "
            "bnstudy describe"
        )
    return found


def _train_again(options: argparse.Namespace, store: Store, scan: Scan, beside: Sequence[str]) -> bool:
    from bnstudy.study.verify import BEGUN, choose, replay, rerun

    among = list(scan.sound.values())
    if options.accept:
        old = stale(among, store)
        among = [record for record in among if record.spec.name in old]
    if options.begin:
        among = [record for record in among if isinstance(record.spec, RunSpec)]
    chosen = choose(among, options.begin or options.rerun, options.seed)
    runs = []
    for record in chosen:
        if options.begin:
            runs.append(replay(record, store, BEGUN, options.device))
        else:
            runs.append(rerun(record, store, options.device, progress=not options.json))
        if not options.json:
            print(f"  {runs[-1]}", flush=True)
    accepted = accept_drawn(store, chosen, among) if options.accept and all(r.equal for r in runs) else []
    if options.json:
        result = {
            "sound": list(scan.sound),
            "damaged": {name: str(error) for name, error in scan.damaged.items()},
            "newer": {name: str(error) for name, error in scan.newer.items()},
            "beside": list(beside),
            "reruns": [dataclasses.asdict(r) for r in runs],
            "accepted": accepted,
        }
        print(json.dumps(result))
    for sentence in [] if options.json else accepted:
        print(f"  {sentence}")
    return not (scan.damaged or scan.newer or beside) and all(r.matches for r in runs)


def _carry_over(options: argparse.Namespace, store: Store, scan: Scan) -> bool:
    from bnstudy.study.carry import carry_over

    def say(again: object) -> None:
        if not options.json:
            print(f"  {again}", flush=True)

    groups = carry_over(store, scan.sound.values(), device=options.device, report=say)
    if options.json:
        print(json.dumps({"groups": [{"group": str(g), "complete": g.complete} for g in groups]}))
    else:
        print("\n".join(map(str, groups)) or "no record is stale")
    return all(group.complete for group in groups)
