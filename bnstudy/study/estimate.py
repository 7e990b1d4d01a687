"""How long runs will take, from how long the recorded ones took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from bnstudy.spec import FLEET_FIELDS, RunSpec
from bnstudy.study.provenance import processor
from bnstudy.study.store import Record


def seconds(specs: Sequence[Spec], records: Iterable[Record], device: str = "cpu") -> float | None:
    """Return the seconds that ``specs`` will take one after the other, or None if nothing alike is recorded.

    A run takes as long per epoch as the median recorded run that computes the same took on a processor of
    this name: one that differs in seed, optimiser, rate, epochs and decays at most. Where there is none, as
    long per image as the median of all recorded runs of its kind.
    """
    if device != "cpu":
        return None
    here = processor()
    pace: dict[str, list[float]] = {}
    for record in records:
        if record.provenance["device"] == here and record.outcome == "finished":
            each = record.provenance["wall_seconds"] / record.spec.epochs
            pace.setdefault(_kind(record.spec), []).append(each)
    if any(_kind(spec) not in pace for spec in specs):
        return None
    return sum(spec.epochs * median(pace[_kind(spec)]) for spec in specs)


def in_words(value: float) -> str:
    """Return a duration in the unit that suits it: ``"40 s"``, ``"12 min"``, ``"3.5 h"``."""
    if value < 90:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 90 * 60 else f"{value / 3600:.1f} h"


def _kind(spec: RunSpec) -> str:
    return spec.model_dump_json(exclude={*FLEET_FIELDS, "optimizer", "momentum", "epochs", "decays"})
