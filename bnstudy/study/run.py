"""From a plan to frames: load what is recorded, train what isn't."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bnstudy.records.store import NewerError, Store
from bnstudy.study.frames import Frames
from bnstudy.study.needs import Needs, needs
from bnstudy.study.openmp import spin_briefly
from bnstudy.study.plan import Study

if TYPE_CHECKING:
    from bnstudy.study.engine import Rules


class NotRecordedError(LookupError):
    """Runs that a study needs are not recorded; the message has the command that records them."""


class StudyError(RuntimeError):
    """Runs failed; all others are recorded. The message names the first, and where the tracebacks are."""


def default_data_dir() -> Path:
    """Return the repository's ``data/``, found from the package and not from the caller's folder."""
    return Path(__file__).resolve().parents[2] / "data"


def load_plan(plan: Study, data_dir: str | os.PathLike[str] = "") -> Frames:
    """Return a study's recorded tables without training anything and without torch.

    Raises:
        NotRecordedError: a run is not recorded, or its record is damaged.
        NewerError: it is recorded by a later version.
    """
    store = Store(data_dir or default_data_dir())
    found = needs(plan, store)
    _refuse_newer(found)
    if found.missing:
        raise _not_recorded(plan.name, store, found)
    return Frames(plan, store, found.found)


def run_plan(
    plan: Study,
    *,
    device: str = "cpu",
    data_dir: str | os.PathLike[str] = "",
    progress: bool = True,
    executor: Executor | None = None,
    rules: Rules | None = None,
) -> Frames:
    """Return a study's tables, training only the runs that are not recorded.

    ``bnstudy.run_study`` is this with a study's name and parameters; it says what each argument means, and
    which errors there are. ``rules`` gives the digests of the rules that read a run, see ``run_all``.
    """
    store = Store(data_dir or default_data_dir())
    found = needs(plan, store)
    _refuse_newer(found)
    if not found.missing:
        return Frames(plan, store, found.found)
    if os.environ.get("BNSTUDY_TRAIN") == "never":
        raise _not_recorded(plan.name, store, found)
    trained = _train(plan, found, store, executor, device, progress, rules)
    return Frames(plan, store, needs(plan, store).found, trained)


def _train(
    plan: Study,
    found: Needs,
    store: Store,
    executor: Executor | None,
    device: str,
    progress: bool,
    rules: Rules | None,
) -> list[str]:
    spin_briefly()
    from bnstudy.records.package import describe
    from bnstudy.study.engine import run_all

    if executor is None:
        # What would fail every run is said once, before any of them.
        from bnstudy.train.data import load_dataset
        from bnstudy.train.device import check_device

        check_device(device)
        for dataset in {d for spec in found.missing if (d := getattr(spec, "dataset", None))}:
            load_dataset(dataset)
        if any(spec.kind == "tensorflow" for spec in found.missing):
            from bnstudy.study.measures.tensorflow import TensorFlowError, tensorflow_python

            try:
                tensorflow_python()
            except TensorFlowError as lacking:
                raise StudyError(f"{lacking}; or leave TensorFlow's runs out: tensorflow=False") from lacking
    with _where(plan, executor) as chosen:
        report = run_all(found.missing, store, executor=chosen, device=device, progress=progress, rules=rules)
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


@contextmanager
def _where(plan: Study, executor: Executor | None) -> Iterator[Executor | None]:
    """Give where a study's runs are trained: a process each, one after the other, if it asks for that."""
    from bnstudy.study import executors

    if not plan.apart or not (executor is None or isinstance(executor, executors.Processes)):
        yield executor
        return
    with executors.processes(1, fresh=True) as pool:
        yield pool


def _refuse_newer(found: Needs) -> None:
    if found.newer:
        first = next(iter(found.newer.values()))
        more = f" ({len(found.newer)} runs are recorded so)" * (len(found.newer) > 1)
        raise NewerError(f"{first}{more}")


def _not_recorded(experiment: str, store: Store, found: Needs) -> NotRecordedError:
    first = found.missing[0]
    damage = "".join(f"; {error}" for error in found.damaged.values())
    return NotRecordedError(
        f"{len(found.missing)} runs of {experiment!r} are not recorded in {store.runs}, the first of them "
        f"{first.name} (kind {first.kind}, seed {first.seed}){damage}; "
        f"record them with: bnstudy run {experiment}"
    )
