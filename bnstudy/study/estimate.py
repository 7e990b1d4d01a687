"""How long runs will take, from how long the recorded ones took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from bnstudy.records.provenance import processor
from bnstudy.records.spec import FLEET_FIELDS, Spec
from bnstudy.records.store import Record

TRAINING_IMAGES = {"cifar10": 50_000, "digits": 1438}


def seconds(
    specs: Sequence[Spec], records: Iterable[Record], device: str = "cpu", on: str | None = None
) -> float | None:
    """Return the seconds that ``specs`` will take one after the other, or None if nothing alike is recorded.

    A run takes as long per epoch as the median recorded run that computes the same took on a processor of
    this name, or of the name ``on``: one that differs in seed, optimiser, rate, epochs and decays at most.
    Where there is none, as long per image as the median of all recorded runs of its kind.
    """
    if device != "cpu":
        return None
    here = on or processor()
    alike: dict[str, list[float]] = {}
    same_kind: dict[str, list[float]] = {}
    for record in records:
        if record.provenance["device"] == here and record.outcome == "finished":
            took = record.provenance["wall_seconds"]
            alike.setdefault(_alike(record.spec), []).append(took / _epochs(record.spec))
            same_kind.setdefault(record.spec.kind, []).append(took / _images(record.spec))
    if any(spec.kind not in same_kind for spec in specs):
        return None
    return sum(
        _epochs(spec) * median(alike[_alike(spec)])
        if _alike(spec) in alike
        else _images(spec) * median(same_kind[spec.kind])
        for spec in specs
    )


def in_words(value: float) -> str:
    """Return a duration in the unit that suits it: ``"40 s"``, ``"12 min"``, ``"3.5 h"``."""
    if value < 90:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 90 * 60 else f"{value / 3600:.1f} h"


def _alike(spec: Spec) -> str:
    return spec.model_dump_json(exclude={*FLEET_FIELDS, "optimizer", "momentum", "epochs", "decays"})


def _epochs(spec: Spec) -> int:
    return int(getattr(spec, "epochs", 1))


def _images(spec: Spec) -> int:
    """Return the images that a run trains on, one epoch after the other; 1 for what trains on none."""
    size = getattr(spec, "train_size", None) or TRAINING_IMAGES.get(getattr(spec, "dataset", ""), 1)
    return _epochs(spec) * size
