"""From parameters to frames: load what is recorded, train what isn't."""

from __future__ import annotations

import os
import time
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bnstudy.spec import RunSpec, SpecError, validate
from bnstudy.study.decay import DecayStudy
from bnstudy.study.store import Record, Store

EXPERIMENTS: dict[str, type[DecayStudy]] = {DecayStudy.name: DecayStudy}

COLUMNS = {
    "training": ["step", "loss", "accuracy", "learning_rate"],
    "evaluation": ["step", "split", "statistics", "decay", "zero_debias", "loss", "accuracy"],
}

# What a notebook's namespace holds besides its parameters.
_INTERACTIVE = {"In", "Out", "get_ipython", "exit", "quit", "open"}

# What a caller may set besides: where a study runs, not what it is.
_WHERE = ("device", "data_dir", "progress")


class Frames(dict[str, pd.DataFrame]):
    """The tidy tables of an experiment by name, each row with its run's settings.

    ``study`` holds the validated parameters, ``runs`` the ids of the records behind
    the tables, and ``records`` those records by id.
    """

    study: DecayStudy
    runs: list[str]
    records: dict[str, Record]


def default_data_dir() -> Path:
    """Return the repository's ``data/``, found from the package and not from the caller's folder."""
    return Path(__file__).resolve().parents[2] / "data"


def load(experiment: str = "decay", data_dir: str | os.PathLike[str] = "", **parameters: Any) -> Frames:
    """Return an experiment's recorded tables without training anything and without torch.

    Raises:
        SpecError: the experiment or a parameter is unknown or out of range.
        LookupError: a run is not recorded; the message has the command that records it.
    """
    plan = _plan(experiment, parameters)
    store = Store(data_dir or default_data_dir())
    records, missing = _find(store, plan.specs())
    if missing:
        raise _not_recorded(experiment, store, missing)
    return _frames(plan, records)


def run_study(
    experiment: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    device: str = "cpu",
    data_dir: str | os.PathLike[str] = "",
    progress: bool = True,
) -> Frames:
    """Return an experiment's tables, training only the runs that are not recorded.

    ``parameters`` may be a notebook's ``globals()``: modules and names with a leading underscore
    are left out, and every other name must be a parameter of the experiment, ``device``,
    ``data_dir`` or ``progress``. An arm (a decay) that is not recorded trains its trajectories
    again for that arm alone; recorded arms are kept.

    Raises:
        SpecError: the experiment or a parameter is unknown or out of range. Nothing has run then.
        LookupError: a run is not recorded, and the environment variable ``BNSTUDY_TRAIN`` is ``never``,
            as it is while the book is built.
    """
    settings = _from_namespace(parameters or {})
    device = settings.pop("device", device)
    data_dir = settings.pop("data_dir", data_dir)
    progress = settings.pop("progress", progress)
    plan = _plan(experiment, settings, also=_WHERE)
    store = Store(data_dir or default_data_dir())
    records, missing = _find(store, plan.specs())
    if missing:
        if os.environ.get("BNSTUDY_TRAIN") == "never":
            raise _not_recorded(experiment, store, missing)
        records += _run_all(missing, store, device, progress)
    return _frames(plan, records)


def count_runs(experiment: str, data_dir: str | os.PathLike[str] = "", **parameters: Any) -> tuple[int, int]:
    """Return how many runs an experiment needs, and how many of them are not (fully) recorded."""
    specs = _plan(experiment, parameters).specs()
    return len(specs), len(_find(Store(data_dir or default_data_dir()), specs)[1])


def _not_recorded(experiment: str, store: Store, missing: list[RunSpec]) -> LookupError:
    first = missing[0]
    return LookupError(
        f"{len(missing)} runs of {experiment!r} are not recorded in {store.runs}, the first of them "
        f"{first.run_id} (seed {first.seed}, {first.schedule} learning rate); "
        f"record them with: bnstudy run {experiment}"
    )


def _plan(experiment: str, parameters: Mapping[str, Any], also: tuple[str, ...] = ()) -> DecayStudy:
    if experiment not in EXPERIMENTS:
        raise SpecError(f"experiment is {experiment!r}; allowed: {', '.join(map(repr, EXPERIMENTS))}")
    return validate(EXPERIMENTS[experiment], parameters, also)


def _from_namespace(namespace: Mapping[str, Any]) -> dict[str, Any]:
    settings = {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_") and name not in _INTERACTIVE and not isinstance(value, types.ModuleType)
    }
    for name in ("device", "data_dir"):
        if name in settings and not isinstance(settings[name], str | os.PathLike):
            raise SpecError(f"{name} is {settings[name]!r}; allowed: a string")
    return settings


def _find(store: Store, specs: list[RunSpec]) -> tuple[list[Record], list[RunSpec]]:
    """Return the records that serve ``specs``, and the runs still to train, reduced to the missing decays."""
    by_trajectory: dict[str, list[Record]] = {}
    for record in store.records():
        by_trajectory.setdefault(record.spec.trajectory(), []).append(record)
    found: list[Record] = []
    missing: list[RunSpec] = []
    for spec in specs:
        wanted = set(spec.decays)
        for record in by_trajectory.get(spec.trajectory(), []):
            if wanted & set(record.spec.decays) and set(spec.zero_debias) <= set(record.spec.zero_debias):
                found.append(record)
                wanted -= set(record.spec.decays)
        if wanted:
            missing.append(spec.model_copy(update={"decays": tuple(sorted(wanted))}))
    return found, missing


def _run_all(specs: list[RunSpec], store: Store, device: str, progress: bool) -> list[Record]:
    from tqdm.auto import tqdm

    from bnstudy.data import load_dataset
    from bnstudy.study.provenance import provenance
    from bnstudy.train import check_device, train_run

    check_device(device)
    dataset = load_dataset(specs[0].dataset)
    hashes = dataset.sha256
    records = []
    for spec in tqdm(specs, desc="runs", unit="run", disable=not progress):
        start = time.perf_counter()
        result = train_run(spec, dataset, device=device, progress=progress)
        record = Record(
            spec, provenance(hashes, device, time.perf_counter() - start), result.outcome, result.tables
        )
        store.write(record)
        records.append(record)
    return records


def _frames(plan: DecayStudy, records: list[Record]) -> Frames:
    frames = Frames()
    frames.study = plan
    frames.records = {r.spec.run_id: r for r in records}
    frames.runs = sorted(frames.records)
    for table, columns in COLUMNS.items():
        parts = []
        for record in records:
            # A run that diverged before its first evaluation has no rows, but the same columns.
            part = pd.DataFrame(record.tables[table], columns=columns)
            part.insert(0, "run", record.spec.run_id)
            part.insert(1, "schedule", record.spec.schedule)
            part.insert(2, "seed", record.spec.seed)
            parts.append(part)
        frame = pd.concat(parts, ignore_index=True)
        if table == "evaluation":
            frame = frame[frame["decay"].isna() | frame["decay"].isin(plan.decays)]
        # A trajectory recorded twice for different decays carries its common rows twice.
        keys = [c for c in frame.columns if c not in ("run", "loss", "accuracy")]
        frames[table] = frame.drop_duplicates(keys).reset_index(drop=True)
    return frames
