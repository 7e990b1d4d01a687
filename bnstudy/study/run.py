"""From parameters to frames: load what is recorded, train what isn't."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any

from bnstudy.records.store import Store
from bnstudy.study.experiments import default_data_dir, from_namespace, plan_of
from bnstudy.study.frames import Frames
from bnstudy.study.needs import Needs, needs
from bnstudy.study.openmp import spin_briefly


class NotRecordedError(LookupError):
    """Runs that a study needs are not recorded; the message has the command that records them."""


class StudyError(RuntimeError):
    """Runs failed; all others are recorded. The message names the first, and where the tracebacks are."""


def load(experiment: str = "decay", data_dir: str | os.PathLike[str] = "", **parameters: Any) -> Frames:
    """Return an experiment's recorded tables without training anything and without torch.

    Raises:
        SpecError: the experiment or a parameter is unknown or out of range.
        NotRecordedError: a run is not recorded, or its record is damaged.
    """
    plan = plan_of(experiment, parameters)
    store = Store(data_dir or default_data_dir())
    found = needs(plan, store)
    if found.missing:
        raise _not_recorded(experiment, store, found)
    return Frames(plan, store, found.found)


def run_study(
    experiment: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    device: str = "cpu",
    data_dir: str | os.PathLike[str] = "",
    progress: bool = True,
    executor: Executor | None = None,
) -> Frames:
    """Return an experiment's tables, training only the runs that are not recorded.

    ``parameters`` may be a notebook's ``globals()``: modules and names with a leading underscore
    are left out, and every other name must be a parameter of the experiment, ``device``,
    ``data_dir`` or ``progress``. An arm (a decay) that is not recorded trains its trajectories
    again for that arm alone; recorded arms are kept. A damaged record that is needed is moved to
    ``damaged/`` and trained again.

    ``executor`` is any ``concurrent.futures.Executor`` whose workers can import bnstudy; by default,
    runs train in this process.

    Raises:
        SpecError: the experiment or a parameter is unknown or out of range. Nothing has run then.
        DataError: the data set is not here (only looked for where runs train in this process).
        RecordError: a record can't be written. Every earlier one is there.
        StudyError: some runs failed. Every other one is recorded.
        NotRecordedError: a run is not recorded, and the environment variable ``BNSTUDY_TRAIN`` is
            ``never``, as it is while the book is built.
        KeyboardInterrupt: after Ctrl-C, once the run in flight is recorded.
    """
    settings = from_namespace(parameters or {})
    device = settings.pop("device", device)
    progress = settings.pop("progress", progress)
    store = Store(settings.pop("data_dir", data_dir) or default_data_dir())
    plan = plan_of(experiment, settings)
    found = needs(plan, store)
    if not found.missing:
        return Frames(plan, store, found.found)
    if os.environ.get("BNSTUDY_TRAIN") == "never":
        raise _not_recorded(experiment, store, found)
    trained = _train(found, store, executor, device, progress)
    return Frames(plan, store, needs(plan, store).found, trained)


def _train(found: Needs, store: Store, executor: Executor | None, device: str, progress: bool) -> list[str]:
    spin_briefly()
    from bnstudy.records.package import describe
    from bnstudy.study.engine import run_all

    if executor is None:
        # What would fail every run is said once, before any of them.
        from bnstudy.train.data import load_dataset
        from bnstudy.train.fleet import check_device

        check_device(device)
        for dataset in {d for spec in found.missing if (d := getattr(spec, "dataset", None))}:
            load_dataset(dataset)
    report = run_all(found.missing, store, executor=executor, device=device, progress=progress)
    if report.trained:
        describe(store)
    if report.interrupted:
        raise KeyboardInterrupt
    if report.failed:
        name, error = next(iter(report.failed.items()))
        raise StudyError(
            f"{len(report.failed)} of {len(found.missing)} runs failed, the first of them {name} ({error}); "
            f"tracebacks are in {store.root / 'failures'}"
        )
    return report.trained


def _not_recorded(experiment: str, store: Store, found: Needs) -> NotRecordedError:
    first = found.missing[0]
    damage = "".join(f"; {error}" for error in found.damaged.values())
    return NotRecordedError(
        f"{len(found.missing)} runs of {experiment!r} are not recorded in {store.runs}, the first of them "
        f"{first.name} (kind {first.kind}, seed {first.seed}){damage}; "
        f"record them with: bnstudy run {experiment}"
    )
