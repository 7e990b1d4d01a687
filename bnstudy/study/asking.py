"""Questions after the fact: what recorded trainings would have shown, from their snapshots.

Nothing is trained. The rows say where they come from: their column ``source`` is ``"snapshot"``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from bnstudy.records.snapshots import LARGEST_DECAY, read_snapshots
from bnstudy.records.spec import Checked, Decays, Look, RunSpec, Sizes, Statistics, ZeroDebias, read_list
from bnstudy.records.store import Record, Store
from bnstudy.study.needs import Found
from bnstudy.study.openmp import spin_briefly
from bnstudy.study.plan import Study
from bnstudy.study.run import NotRecordedError, default_data_dir

if TYPE_CHECKING:
    import pandas as pd

    from bnstudy.train.look_again import LookAgain

SOURCE = "snapshot"

_Read = BeforeValidator(read_list)
_Listed = (_Read, Field(min_length=1))


class Question(Checked):
    """What is asked of each snapshot of a study.

    * ``statistics``: moving, batch, frozen or precise, see ``bnstudy.train.evaluate``.
    * ``decays``, ``zero_debias``: of the moving averages: any decay from 0 to 0.9999; ``decays`` also of the
      frozen ones.
    * ``splits``: the images: ``"test"``, ``"train"`` (the first 10,000 that the run trained on), or
      ``"validation"`` (those that it held out).
    * ``precise_images``: training images behind the precise and the frozen statistics; None: all.
    * ``test_batches``: sizes of test batches that are normalised by their own moments (``is_training=True``).
    * ``orders``: in which they are met: ``"shuffled"``, ``"sorted by class"``.
    * ``leaked``: also ``is_training=False`` after such a pass has moved the averages in place.

    Empty ``statistics`` ask for ``test_batches`` alone.
    """

    statistics: Annotated[tuple[Statistics, ...], _Read] = ("moving",)
    decays: Decays = (0.9,)
    zero_debias: Annotated[tuple[ZeroDebias, ...], *_Listed] = ("none",)
    splits: Annotated[tuple[Literal["test", "train", "validation"], ...], *_Listed] = ("test",)
    precise_images: int | None = Field(default=None, ge=2, description="an integer of at least 2, or None")
    test_batches: Sizes = ()
    orders: Annotated[tuple[Literal["shuffled", "sorted by class"], ...], *_Listed] = ("shuffled",)
    leaked: bool = False

    @model_validator(mode="after")
    def _follow_from_the_nodes(self) -> Question:
        if too_large := [decay for decay in self.decays if decay > LARGEST_DECAY]:
            raise ValueError(
                f"decays is {list(self.decays)} with {too_large[0]!r}; allowed of a snapshot: "
                f"0 to {LARGEST_DECAY:g}"
            )
        return self

    @model_validator(mode="after")
    def _asks_something(self) -> Question:
        if not self.statistics and not self.test_batches:
            raise ValueError("statistics and test_batches are empty; allowed: at least one of them")
        return self

    def look(self, epochs: Sequence[float]) -> Look:
        """Return the look at snapshots after these epochs that answers it, but for the test batches."""
        names = ("statistics", "decays", "zero_debias", "splits", "precise_images")
        return Look(epochs=tuple(epochs), **{name: getattr(self, name) for name in names})


@dataclass(frozen=True)
class Answer:
    """What snapshots answered.

    * ``tables``: ``"checkpoints"`` and, where it was asked for, ``"test_batches"``: their recorded columns
      besides run, arms and seed, and ``source``, which is ``"snapshot"``.
    * ``runs``: names of the records whose snapshots answered.
    * ``without``: how the runs ended that have no snapshot, by name: they diverged before.
    """

    tables: dict[str, pd.DataFrame]
    runs: list[str]
    without: dict[str, str]


def with_snapshots(study: Study, store: Store) -> list[Found]:
    """Return those records of a study's runs that were asked for snapshots, in the order of the plan.

    Raises:
        NotRecordedError: the study plans no snapshots, or one of its runs with snapshots is not recorded.
        RecordError: a record of them is damaged.
    """
    planned = [
        r for r in study.runs() if isinstance(r.spec, RunSpec) and any(k.snapshot for k in r.spec.looks)
    ]
    if not planned:
        raise NotRecordedError(f"study {study.name!r} plans no snapshots")
    scan = store.scan([run.spec.name for run in planned])
    for error in [*scan.damaged.values(), *scan.newer.values()]:
        raise error
    missing = [run.spec.name for run in planned if run.spec.name not in scan.sound]
    if missing:
        raise NotRecordedError(
            f"{len(missing)} of {len(planned)} runs of {study.name!r} with snapshots are not recorded in "
            f"{store.runs}, the first of them {missing[0]}; record them with: bnstudy run {study.name}"
        )
    return [Found(run, scan.sound[run.spec.name]) for run in planned]


def ask(
    study: Study,
    question: Question,
    *,
    data_dir: str | os.PathLike[str] = "",
    device: str = "cpu",
    progress: bool = True,
    executor: Executor | None = None,
) -> Answer:
    """Return what a study's recorded snapshots answer; nothing is trained and nothing written.

    Args:
        study: whose runs.
        question: what is asked of each snapshot.
        data_dir: folder of the records.
        device: where the networks are evaluated.
        progress: whether to show a bar over runs.
        executor: evaluates the runs; by default, they are evaluated in this process, one after the other.

    Raises:
        NotRecordedError: the study plans no snapshots, or one of its runs with snapshots is not recorded.
        RecordError: a record is damaged.
        DataError: the data set is not here.
        ValueError: the question asks for what the runs don't have.
    """
    import pandas as pd
    from tqdm.auto import tqdm

    spin_briefly()
    store = Store(data_dir or default_data_dir())
    found = with_snapshots(study, store)
    where = (os.fspath(store.root), question, device)
    frames: dict[str, list[pd.DataFrame]] = {}
    without: dict[str, str] = {}
    with tqdm(total=len(found), desc="snapshots", unit="run", disable=not progress) as bar:
        futures = None if executor is None else [executor.submit(answer, f.record, *where) for f in found]
        for i, (run, record) in enumerate(found):
            tables = answer(record, *where) if futures is None else futures[i].result()
            bar.update()
            if not tables:
                without[record.spec.name] = record.outcome
            told = {"run": record.spec.name, **run.arms, "seed": record.spec.seed, "source": SOURCE}
            for name, table in tables.items():
                frames.setdefault(name, []).append(pd.DataFrame({**told, **table}))
    return Answer(
        {name: pd.concat(parts, ignore_index=True) for name, parts in frames.items()},
        [f.record.spec.name for f in found if f.record.spec.name not in without],
        without,
    )


def answer(record: Record, root: str, question: Question, device: str = "cpu") -> Mapping[str, Any]:
    """Return the tables with which the snapshots of one record answer; none if it has no snapshot."""
    spec = record.spec
    assert isinstance(spec, RunSpec)
    snapshots = read_snapshots(record, Store(root))
    if not snapshots:
        return {}
    again = _again(spec.dataset, spec.precision, device)
    tables: dict[str, Any] = {}
    if question.statistics:
        tables["checkpoints"] = again(snapshots, question.look(again.epochs(snapshots)))["checkpoints"]
    if question.test_batches:
        tables["test_batches"] = again.by_test_batch(
            snapshots, question.test_batches, question.orders, question.leaked
        )
    return tables


@lru_cache(maxsize=1)
def _again(dataset: str, precision: str, device: str) -> LookAgain:
    from bnstudy.train.look_again import LookAgain

    return LookAgain(dataset, precision, device)
