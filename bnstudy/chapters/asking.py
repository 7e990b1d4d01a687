"""Questions after the fact, by a study's name, and decays that a chapter answers without training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bnstudy.chapters.found import WHERE, plan_of
from bnstudy.chapters.loading import from_namespace
from bnstudy.records.snapshots import LARGEST_DECAY, read_snapshots
from bnstudy.records.spec import RunSpec, SpecError, ZeroDebias, validate
from bnstudy.records.store import Store
from bnstudy.study import asking
from bnstudy.study.asking import Answer, Question, with_snapshots
from bnstudy.study.frames import Frames
from bnstudy.study.needs import needs
from bnstudy.study.plan import Study
from bnstudy.study.run import NotRecordedError, default_data_dir

if TYPE_CHECKING:
    import pandas as pd

    from bnstudy.train.networks import Network

# Where a row comes from that was recorded in training.
RECORDED = "training"

# What stands beside new decays where none that was asked for is recorded.
USUAL = 0.9


def ask(
    experiment: str,
    question: Mapping[str, Any] | None = None,
    *,
    device: str = "cpu",
    data_dir: str | os.PathLike[str] = "",
    progress: bool = True,
    executor: Executor | None = None,
    **parameters: Any,
) -> Answer:
    """Return what the recorded snapshots of a study answer; nothing is trained.

    Args:
        experiment: its name, such as ``"core"``.
        question: fields of ``bnstudy.study.asking.Question``: decays, zero_debias, statistics, splits,
            precise_images, test_batches, orders, leaked.
        device: where the networks are evaluated.
        data_dir: folder of the records; empty: the repository's.
        progress: whether to show a bar.
        executor: evaluates the runs; by default this process, one after the other.
        parameters: of the study, such as ``seeds``.

    Raises:
        SpecError: the experiment, a parameter or the question is unknown or out of range.
        NotRecordedError: the study has no snapshots, or they are not recorded.
        RecordError: a record is damaged.
        DataError: the data set is not here.
    """
    plan = plan_of(experiment, parameters, also=())
    asked = validate(Question, question or {})
    return asking.ask(plan, asked, data_dir=data_dir, device=device, progress=progress, executor=executor)


def restored(
    experiment: str,
    *,
    seed: int | None = None,
    epoch: float | None = None,
    decay: float | None = None,
    zero_debias: ZeroDebias = "none",
    data_dir: str | os.PathLike[str] = "",
    **parameters: Any,
) -> Network:
    """Return a recorded network on the CPU, in evaluation mode, with moving averages of any decay.

    Its weights are float32, and it takes standardised images [N, 3, 32, 32]
    (``bnstudy.train.feed.DeviceData``).

    Args:
        experiment: a study with snapshots, such as ``"core"``.
        seed: of the run; None: the study's first.
        epoch: after which the snapshot was taken; None: the last one.
        decay: from 0 to 0.9999; None: the run's own.
        zero_debias: which averages are debiased, see ``bnstudy.norm.Arm``.
        data_dir: folder of the records; empty: the repository's.
        parameters: of the study.

    Raises:
        SpecError: the experiment, a parameter, the seed or the epoch is unknown or out of range.
        NotRecordedError: the study has no snapshots, or they are not recorded.
        RecordError: a record is damaged.
    """
    from bnstudy.train.look_again import restore

    store = Store(data_dir or default_data_dir())
    found = {f.record.spec.seed: f for f in with_snapshots(plan_of(experiment, parameters, also=()), store)}
    seed = min(found) if seed is None else seed
    if seed not in found:
        raise SpecError(f"seed is {seed}; allowed: {', '.join(map(str, sorted(found)))}")
    run, record = found[seed]
    epochs = _epochs(run.spec)
    at = epochs[-1] if epoch is None else epoch
    snapshots = read_snapshots(record, store)
    if at not in epochs[: len(snapshots)]:
        raise SpecError(f"epoch is {at}; allowed of run {record.spec.name}: {epochs[: len(snapshots)]}")
    return restore(snapshots[epochs.index(at)], decay, zero_debias)


@dataclass(frozen=True)
class Asked:
    """What was answered from snapshots instead of trained.

    * ``decays``: that were asked for and are not recorded in the chapter's study.
    * ``study``: the block whose snapshots answered.
    * ``rows``: every evaluation of these networks on test images: run, seed, epoch, phase, step, statistics,
      decay, zero_debias, loss, accuracy, and source: ``"training"`` where it was recorded then,
      ``"snapshot"`` where it was evaluated now.
    * ``runs``: names of the records.
    """

    decays: tuple[float, ...]
    study: Study
    rows: pd.DataFrame
    runs: list[str]


@dataclass(frozen=True)
class Unrecorded:
    """Decays that a block's snapshots can answer."""

    decays: tuple[float, ...]
    study: Study
    data_dir: str
    device: str
    progress: bool

    def answer(self) -> Asked:
        """Evaluate them; raises as ``ask`` does."""
        import pandas as pd

        store = Store(self.data_dir or default_data_dir())
        found = with_snapshots(self.study, store)
        question = validate(Question, {"decays": self.decays})
        answered = asking.ask(
            self.study, question, data_dir=store.root, device=self.device, progress=self.progress
        )
        if not answered.runs:
            raise NotRecordedError(f"every run of {self.study.name!r} diverged before its snapshot")
        new = answered.tables["checkpoints"]
        old = Frames(self.study, store, found)["checkpoints"].assign(source=RECORDED)
        old = old[(old["split"] == "test") & old["step"].isin(new["step"].unique())]
        rows = pd.concat([old, new], ignore_index=True).drop(columns=["arm", "split"], errors="ignore")
        phases = _phases(found[0].run.spec, sorted(new["step"].unique()))
        rows["epoch"] = rows["step"].map({step: epoch for step, (epoch, _) in phases.items()})
        rows["phase"] = rows["step"].map({step: phase for step, (_, phase) in phases.items()})
        return Asked(self.decays, self.study, rows, answered.runs)


def answerable(chapter: str, parameters: Mapping[str, Any]) -> tuple[Mapping[str, Any], Unrecorded | None]:
    """Return a chapter's parameters without the decays that snapshots can answer, and these.

    These are the ones that aren't recorded, if all else that was asked for is, and the block that the
    chapter's study names (``answered_by``) is recorded with its snapshots for all of its seeds. Where that
    doesn't hold, the parameters are as they were: then it has to be trained. If none of the decays is
    recorded, the usual one takes their place.

    Raises:
        SpecError: the chapter or a parameter is unknown or out of range.
    """
    settings = from_namespace(parameters)
    where: dict[str, Any] = {name: settings.pop(name) for name in WHERE if name in settings}
    plan = plan_of(chapter, settings)
    block, decays = getattr(plan, "answered_by", ""), getattr(plan, "decays", ())
    store = Store(where.get("data_dir") or default_data_dir())
    names = [run.spec.name for run in plan.runs()]
    if not block or set(store.scan(names).sound) == set(names):
        return parameters, None
    scan = store.scan()

    def recorded(decay: float) -> bool:
        return not needs(plan.model_copy(update={"decays": (decay,)}), store, scan).missing

    rest = tuple(decay for decay in decays if not recorded(decay))
    kept = [decay for decay in decays if decay not in rest] or [USUAL] * recorded(USUAL)
    snapshots = plan_of(block, {"dataset": getattr(plan, "dataset", "")}, also=())
    if not rest or not kept or max(rest) > LARGEST_DECAY or not _are_recorded(snapshots, store):
        return parameters, None
    unrecorded = Unrecorded(
        rest,
        snapshots,
        str(store.root),
        str(where.get("device", "cpu")),
        bool(where.get("progress", True)),
    )
    return {**settings, **where, "decays": kept}, unrecorded


def _are_recorded(study: Study, store: Store) -> bool:
    try:
        return bool(with_snapshots(study, store))
    except NotRecordedError:
        return False


def _phases(spec: Any, steps: list[int]) -> dict[int, tuple[float, str]]:
    """Return the epoch of each snapshot's step, and what the learning rate did up to it."""
    epochs = _epochs(spec)
    falls = spec.epochs - spec.annealed_epochs if spec.annealed_epochs else spec.epochs
    return {
        step: (epoch, "annealed" if epoch > falls else "constant rate")
        for step, epoch in zip(steps, epochs, strict=True)
    }


def _epochs(spec: Any) -> list[float]:
    """Return after how many epochs a run's snapshots are taken."""
    assert isinstance(spec, RunSpec)
    return sorted({epoch for look in spec.looks if look.snapshot for epoch in look.epochs})
