"""What each decay lost in the recorded trainings, and which of them is nearest to a training of one's own."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import pandas as pd

from bnstudy.analysis.judged.training import CHANCE
from bnstudy.analysis.statistics import Interval, mean_interval
from bnstudy.analysis.tables import last_step, paired
from bnstudy.blocks.core import ANNEALING, END, CoreStudy
from bnstudy.chapters.decay import curve
from bnstudy.chapters.decay.study import DecayStudy
from bnstudy.chapters.decay_range.rules import at_the_end
from bnstudy.chapters.decay_range.study import DecayRangeStudy
from bnstudy.chapters.loading import load
from bnstudy.chapters.shown import Shown
from bnstudy.study.frames import Frames
from bnstudy.study.run import NotRecordedError

# A network that is hardly better than chance has little to lose.
TOLD = 2 * CHANCE

SCHEDULES = ("constant", "annealed")


@dataclass(frozen=True)
class Setting:
    """Where losses were recorded: after so many steps of a training, with batches of so many images.

    ``schedule`` is the learning rate's, up to that step: ``"constant"``, or ``"annealed"`` to zero at that
    step; ``learning_rate`` is what it began with. ``study`` has the records, ``page`` is the chapter on it.
    """

    study: str
    page: str
    schedule: str
    learning_rate: float
    batch_size: int
    steps: int


@dataclass(frozen=True)
class Loss:
    """Test accuracy that a decay loses against precise statistics of the same weights.

    Mean and 95 % interval over seeds (Student's t, as the chapters' tables have it). ``debiased``: the same
    without the weight of the initial value; None where that wasn't recorded.
    """

    setting: Setting
    decay: float
    plain: Interval
    debiased: Interval | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, in percentage points."""
        return {
            **asdict(self.setting),
            "decay": self.decay,
            "seeds": self.plain.count,
            "plain": _points(self.plain),
            "debiased": None if self.debiased is None else _points(self.debiased),
        }


def _points(interval: Interval) -> list[float]:
    return [100 * value for value in (interval.mean, interval.low, interval.high)]


class Recorded(NamedTuple):
    """Losses, and the names of the records that they are from."""

    losses: list[Loss]
    runs: list[str]


def recorded_losses(data_dir: str | os.PathLike[str] = "") -> Recorded:
    """Return all recorded losses: two chapters', and the core block's of the second round once it is there.

    Raises:
        NotRecordedError: a run of one of the two chapters is not recorded.
    """
    decay, decay_range = load("decay", data_dir), load("decay_range", data_dir)
    found = Recorded([*of_decay(decay), *of_decay_range(decay_range)], [*decay.runs, *decay_range.runs])
    try:
        core = load("core", data_dir)
    except NotRecordedError:
        return found
    return Recorded([*found.losses, *of_core(core)], [*found.runs, *core.runs])


def of_decay(frames: Frames) -> Iterator[Loss]:
    """Yield the decay chapter's: after each recorded step at a constant rate, else after the last."""
    study = frames.study
    assert isinstance(study, DecayStudy)
    evaluation = frames["evaluation"]
    for schedule, rows in evaluation[evaluation["split"] == "test"].groupby("schedule"):
        now = rows if schedule == "constant" else last_step(rows)
        for step, found in now.groupby("step"):
            yield from _losses(_setting(study, str(schedule), step), found)


def of_decay_range(frames: Frames) -> Iterator[Loss]:
    """Yield those of the chapter on decay's other settings, less those of which a run diverged."""
    study = frames.study
    assert isinstance(study, DecayRangeStudy)
    last = at_the_end(frames)
    for label, changes in study.settings().items():
        rows = last[(last["setting"] == label) & (last["split"] == "test")]
        if rows["seed"].nunique() < study.seeds:
            continue  # those that didn't diverge would be a choice among the results
        yield from _losses(replace(_setting(study, "constant", rows["step"].max()), **changes), rows)


def of_core(frames: Frames) -> Iterator[Loss]:
    """Yield the second round's, at the checkpoints that have precise statistics beside moving averages."""
    study = frames.study
    assert isinstance(study, CoreStudy)
    rows = frames["checkpoints"]
    rows = rows[(rows["arm"] == "batch") & (rows["split"] == "test")]
    end = rows["step"].max()
    for step in sorted(rows["step"].unique().tolist()):
        schedule = "constant" if step * END <= end * ANNEALING else "annealed"
        if schedule == "constant" or step == end:  # in between, the rate isn't at zero yet
            setting = Setting("core", "decay", schedule, study.rate_batch, study.batch_size, step)
            yield from _losses(setting, rows[rows["step"] == step])
    yield from _of_snapshots(frames, rows)


def _of_snapshots(frames: Frames, recorded: pd.DataFrame) -> Iterator[Loss]:
    """Yield what other decays lost in the core's networks, before annealing and after it."""
    study: Any = frames.study
    shown = Shown(frames, "decay", "en")
    table = curve.losses(shown)
    if table.empty:
        return
    for (phase, decay), rows in table.groupby(["schedule", "decay"]):
        if decay in set(recorded["decay"]):
            continue
        step = round(shown.phases[str(phase)] * shown.steps_an_epoch)
        setting = Setting("core", "decay", str(phase), study.rate_batch, study.batch_size, step)
        plain, debiased = (rows[rows["zero_debias"] == kind]["lost"] for kind in ("none", "both"))
        of_debiased = None if debiased.empty else mean_interval(debiased)
        yield Loss(setting, float(str(decay)), mean_interval(plain), of_debiased)


def _setting(study: DecayStudy | DecayRangeStudy, schedule: str, step: Any) -> Setting:
    return Setting(study.name, study.name, schedule, study.learning_rate, study.batch_size, int(step))


def as_near(losses: Sequence[Loss], found: Loss) -> list[Loss]:
    """Return the others that any inputs are as near to as to ``found``: of other learning rates or rounds."""
    alike = replace(found.setting, study="", page="", learning_rate=0.0)
    return [
        loss
        for loss in losses
        if loss is not found
        and loss.decay == found.decay
        and replace(loss.setting, study="", page="", learning_rate=0.0) == alike
    ]


def _losses(setting: Setting, rows: pd.DataFrame) -> Iterator[Loss]:
    """Yield what each decay lost, from one step's evaluations of test images, a seed a row of each kind."""
    precise = _by_seed(rows, "precise")
    if precise.empty or precise.mean() < TOLD:
        return
    for decay in sorted(rows["decay"].dropna().unique()):
        plain, debiased = (_by_seed(rows, "moving", decay, debias) for debias in ("none", "both"))
        if not plain.empty:
            yield Loss(
                setting,
                float(decay),
                mean_interval(paired(precise, plain)),
                None if debiased.empty else mean_interval(paired(precise, debiased)),
            )


def _by_seed(
    rows: pd.DataFrame, statistics: str, decay: float | None = None, debias: str = ""
) -> pd.Series[float]:
    chosen = rows[rows["statistics"] == statistics]
    if decay is not None:
        chosen = chosen[(chosen["decay"] == decay) & (chosen["zero_debias"] == debias)]
    if chosen["seed"].duplicated().any():
        raise ValueError(f"{statistics} statistics, decay {decay}: several rows of a seed; allowed: one")
    accuracies: pd.Series[float] = chosen.set_index("seed")["accuracy"]
    return accuracies


def nearest(
    losses: Sequence[Loss], *, steps: int, decay: float, batch_size: int, schedule: str
) -> Loss | None:
    """Return the recorded loss nearest to a training: of its schedule, and by ratios.

    The distance is the product of three ratios, the larger over the smaller: of steps, of batch sizes, and of
    ``1 - decay``, how fast the average moves. Of several as near, the one of most seeds, then the first. None
    if no training of that schedule is recorded.

    Raises:
        ValueError: the schedule isn't one of ``SCHEDULES``.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule is {schedule!r}; allowed: {', '.join(map(repr, SCHEDULES))}")

    def distance(loss: Loss) -> tuple[float, int]:
        there = loss.setting
        ratios = (
            (there.steps, steps),
            (there.batch_size, batch_size),
            (1 - loss.decay, 1 - decay),
        )
        # Sums that differ by rounding are the same.
        return round(sum(abs(math.log(a / b)) for a, b in ratios), 9), -loss.plain.count

    return min((loss for loss in losses if loss.setting.schedule == schedule), key=distance, default=None)
