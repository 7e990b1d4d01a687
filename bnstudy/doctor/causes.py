"""Why statistics are off: what can be told from counters, momenta and the statistics themselves."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bnstudy.doctor.examination import Examination
from bnstudy.doctor.layers import Layer, statistics
from bnstudy.doctor.passes import Moments

COLD = 0.05  # weight of the initial values from which statistics count as cold
LARGE = 0.9  # momentum


@dataclass(frozen=True)
class Cause:
    """A code, what it means in a sentence, and how sure that is."""

    code: str
    sentence: str
    sure: str


BROKEN = Cause(
    "broken",
    "Statistics that no average can have (NaN, infinite, or a variance below 0) are in the model; the scan's "
    "findings say where.",
    "certain",
)
NEVER = Cause(
    "never-updated",
    "The statistics are those of a new layer: they were never updated, or a checkpoint came without them.",
    "certain: means 0 and variances 1",
)
MOMENTUM = Cause(
    "momentum",
    "The momentum is as large as another framework's decay: the statistics are those of the last batch "
    "alone.",
    "likely: from the momentum",
)


def cause_of(found: Examination) -> Cause:
    """Return why the statistics of the layers that are furthest off are off."""
    layers = [layer for name, layer in found.layers.items() if name in found.gaps]
    if any(_broken(layer) for layer in layers):
        return BROKEN
    furthest = [found.layers[name] for name in _furthest(found)]
    if any(layer.initial for layer in furthest):
        return NEVER
    if all(layer.momentum is not None and layer.momentum >= LARGE for layer in furthest):
        return MOMENTUM
    cold = [weight for layer in furthest if (weight := _initial_weight(layer, found)) is not None]
    if cold and max(cold) > COLD:
        return Cause(
            "cold",
            f"The statistics still have {100 * max(cold):.0f} % of their initial values, 0 and 1: too few "
            f"updates "
            "for this momentum.",
            "certain: from counter and momentum"
            if _counted(furthest)
            else "likely: they lie on the way from 0 and 1",
        )
    return _foreign_or_stale(found)


def _foreign_or_stale(found: Examination) -> Cause:
    first = next(iter(found.gaps))
    if found.gaps[first][0] > 0.5 or found.gaps[first][1] > 1.0:
        return Cause(
            "foreign-domain",
            f"{first}, which sees the data nearly as they are, is far off already: the statistics come "
            f"from other data "
            "or another preprocessing than train_batches.",
            "likely: from where the gap begins; weights that moved far look alike",
        )
    return Cause(
        "stale",
        "The weights moved and the statistics didn't follow: eval() left on, an average of weights, a resume "
        "without buffers, or a momentum too small for the learning rate.",
        "likely: nothing else explains it",
    )


def _furthest(found: Examination) -> list[str]:
    widest = found.widest[1]
    return [name for name, gaps in found.gaps.items() if max(gaps[0], gaps[1] / 2) >= widest / 2]


def _broken(layer: Layer) -> bool:
    found = statistics(layer)
    return found is not None and not bool(
        found[0].isfinite().all() and found[1].isfinite().all() and (found[1] >= 0).all()
    )


def _counted(layers: list[Layer]) -> bool:
    return all(layer.count is not None and layer.momentum is not None for layer in layers)


def _initial_weight(layer: Layer, found: Examination) -> float | None:
    """Return the weight of the initial values in a layer's statistics, from its counter, or as they look."""
    if layer.count and layer.momentum is not None:
        return float((1 - layer.momentum) ** layer.count)
    precise = found.precise.get(layer.name)
    return None if precise is None or layer.count else _apparent_weight(layer, precise)


def _apparent_weight(layer: Layer, precise: Moments) -> float | None:
    """Return ``w`` in mean = (1 - w) precise mean, variance = w + (1 - w) precise; None if it doesn't fit."""
    found = statistics(layer)
    assert found is not None
    towards = torch.cat([precise[0], precise[1] - 1])
    now = torch.cat([found[0], found[1] - 1])
    length = float(towards.square().sum())
    if length == 0:
        return None
    share = float((towards * now).sum()) / length
    left = float((now - share * towards).square().sum())
    return 1 - share if 0 < share < 1 and left < 0.05 * float(now.square().sum()) else None
