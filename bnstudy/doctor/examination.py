"""What ``diagnose`` measured, before anybody judges it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import nn

from bnstudy.doctor.answers import Answers
from bnstudy.doctor.layers import Layer
from bnstudy.doctor.leaks import Leak
from bnstudy.doctor.paired import Effect, Verdict, lost, risen
from bnstudy.doctor.passes import Moments

# The statistics that answers were measured with.
MOVING = "moving"  # the model as it is
PRECISE = "precise"  # recomputed on the training batches, as in training
QUIET = "precise, dropout off"  # and with everything but the batch norms evaluating
BATCH = "batch"  # each evaluation batch's own
DOMAIN = "precise of the evaluation data"


@dataclass(frozen=True)
class Cost:
    """What one kind of statistics loses against another, over the same images.

    ``unit`` is what losses are of, "images" or "batches"; accuracies are of images.
    """

    loss: Effect | None
    accuracy: Effect | None
    broken: int = 0  # of those, how many are NaN or infinite with the one, and aren't with the other
    unit: str = "images"

    @property
    def verdict(self) -> Verdict:
        """Return "harm" if any of the measures says so, "no harm" if all do."""
        verdicts = [effect.verdict for effect in (self.loss, self.accuracy) if effect is not None]
        if self.broken or "harm" in verdicts:
            return "harm"
        return "no harm" if verdicts and set(verdicts) == {"no harm"} else "can't tell"

    @property
    def needed(self) -> dict[str, int]:
        """Return about how many images (or batches, where losses are of those) would tell what can't be."""
        found: dict[str, int] = {}
        for unit, effect in ((self.unit, self.loss), ("images", self.accuracy)):
            if effect is not None and effect.verdict == "can't tell":
                found[unit] = max(found.get(unit, 0), effect.pairs_needed)
        return found

    def evidence(self) -> dict[str, float | int | None]:
        """Return the numbers, with their intervals."""
        found: dict[str, float | int | None] = {}
        for name, effect in (("loss", self.loss), ("accuracy", self.accuracy)):
            if effect is not None:
                found |= {
                    f"{name}_lost": effect.value,
                    f"{name}_low": effect.low,
                    f"{name}_high": effect.high,
                }
                found[f"{name}_smallest_effect"] = effect.smallest
                found[self.unit if name == "loss" else "images"] = effect.pairs
                if effect.p is not None:
                    found["mcnemar_p"] = effect.p
        if self.broken:
            found[f"broken_{self.unit}"] = self.broken
        return found

    def in_words(self) -> str:
        """Return the effects as a clause: "4.2 points of accuracy [2.1, 6.3] and 0.12 of loss [0.1, 0.2]"."""
        said = []
        if self.accuracy is not None:
            a = self.accuracy
            said.append(f"{100 * a.value:.1f} points of accuracy [{100 * a.low:.1f}, {100 * a.high:.1f}]")
        if self.loss is not None:
            e = self.loss
            said.append(f"{e.value:.3g} of loss [{e.low:.3g}, {e.high:.3g}]")
        if self.broken:
            said.append(f"{self.broken} {self.unit} that come out NaN or infinite")
        return " and ".join(said)


@dataclass
class Examination:
    """The measurements of one diagnosis.

    ``gaps`` are by layer: (mean gap in standard deviations, log variance gap), as of ``StatisticsGap``;
    ``recovered`` what exchanging one layer's statistics alone wins back, (loss, accuracy).
    ``trained`` are answers on training batches with precise statistics.
    """

    layers: dict[str, Layer]
    smallest: Mapping[str, float]
    answers: dict[str, Answers]
    held_back: bool
    precise: dict[str, Moments] = field(default_factory=dict)
    gaps: dict[str, tuple[float, float]] = field(default_factory=dict)
    recovered: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    trained: Answers | None = None
    leak: Leak | None = None
    untrained: bool = False

    def cost(self, worse: str, better: str) -> Cost | None:
        """Return what the first kind of statistics loses against the second; None if one wasn't measured."""
        first, second = self.answers.get(worse), self.answers.get(better)
        if first is None or second is None:
            return None
        whole = (first.broken == 0) & (second.broken == 0)
        broken = int(((first.broken != 0) & (second.broken == 0)).sum())
        loss = accuracy = None
        if whole.any():
            loss = risen(first.loss[whole], second.loss[whole], self.smallest["loss"])
        if first.accuracy is not None and second.accuracy is not None and (second.broken == 0).any():
            accuracy = lost(second.accuracy, first.accuracy, self.smallest["accuracy"])
        return Cost(loss, accuracy, broken, first.unit)

    @property
    def widest(self) -> tuple[str, float]:
        """Return the layer whose statistics are furthest off, and how far.

        In standard deviations of the mean, or half the logarithm of the variances' ratio if that is more.
        """
        if not self.gaps:
            return "", 0.0
        name = max(self.gaps, key=lambda layer: _size(self.gaps[layer]))
        return name, _size(self.gaps[name])

    def table(self) -> pd.DataFrame:
        """Return a row a layer: mean_gap, log_variance_gap, recovered_loss, recovered_accuracy."""
        rows = [
            {
                "layer": name,
                "mean_gap": gap[0],
                "log_variance_gap": gap[1],
                "recovered_loss": self.recovered.get(name, (np.nan, None))[0],
                "recovered_accuracy": self.recovered.get(name, (np.nan, None))[1],
            }
            for name, gap in self.gaps.items()
        ]
        columns = ["layer", "mean_gap", "log_variance_gap", "recovered_loss", "recovered_accuracy"]
        table = pd.DataFrame(rows, columns=columns)
        return table.astype(dict.fromkeys(columns[1:], "float64"))

    def arms(self) -> pd.DataFrame:
        """Return a row a kind of statistics: accuracy and loss with it, images, and how many are broken."""
        rows = [
            {
                "statistics": name,
                "accuracy": a.mean_accuracy(),
                "loss": a.mean_loss(),
                a.unit: len(a.loss),
                "broken": int((a.broken != 0).sum()),
            }
            for name, a in self.answers.items()
        ]
        return pd.DataFrame(rows)


def gap(layer: Layer, precise: Moments) -> tuple[float, float]:
    """Return mean gap and log variance gap of a layer's statistics; infinite where they are broken."""
    assert layer.mean is not None
    assert layer.variance is not None
    mean, variance = layer.mean.detach().double().cpu(), layer.variance.detach().double().cpu()
    epsilon = layer.epsilon or 0.0
    mean_gap = ((mean - precise[0]) / (precise[1] + epsilon).sqrt()).square().mean().sqrt()
    log_gap = ((variance + epsilon) / (precise[1] + epsilon)).log().square().mean().sqrt()
    values = [float(torch.nan_to_num(value, nan=torch.inf)) for value in (mean_gap, log_gap)]
    return values[0], values[1]


def _size(gaps: tuple[float, float]) -> float:
    return max(gaps[0], gaps[1] / 2)


def named(statistics: Mapping[nn.Module, Moments], layers: Mapping[str, nn.Module]) -> dict[str, Moments]:
    """Return statistics by their layers' names."""
    return {name: statistics[module] for name, module in layers.items() if module in statistics}
