"""The article's claims and the rules that decide them, written down before the runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from bnstudy.analysis.decay import accuracy, difference, last_step
from bnstudy.analysis.statistics import Interval, mean_interval

Answer = Literal["supported", "refuted", "open"]

# An accuracy difference below this is of no practical use, whatever its sign.
SMALLEST_EFFECT = 0.005


@dataclass(frozen=True)
class Verdict:
    """A claim, what its rule says, and the effect that decided it."""

    claim: str
    answer: Answer
    effect: Interval
    rule: str


def decide(effect: Interval, smallest: float = SMALLEST_EFFECT) -> Answer:
    """Decide a claim that says an effect is positive.

    Supported if the whole interval lies above ``smallest``; refuted if it lies below
    ``smallest``, so that a useful effect is ruled out; open if the interval holds it.
    """
    if effect.low > smallest:
        return "supported"
    if effect.high < smallest:
        return "refuted"
    return "open"


def c6_smoothing_helps(evaluation: pd.DataFrame, decay: float = 0.9, schedule: str = "constant") -> Verdict:
    """C6: averaging the batch statistics "gives better results" than each batch's own.

    Quantity: test accuracy at the last step. Contrast: the article's moving averages (its decay, started at
    0 and 1, constant learning rate) minus each test batch's own statistics, paired by seed.
    """
    moving = {"statistics": "moving", "zero_debias": "none", "decay": decay}
    effect = mean_interval(difference(_last(evaluation, schedule), moving, {"statistics": "batch"}))
    return Verdict(
        "C6",
        decide(effect),
        effect,
        f"test accuracy with moving averages of decay {decay:g} minus that with each batch's own statistics",
    )


def c7_large_decay_overfits(
    evaluation: pd.DataFrame, large: float = 0.999, usual: float = 0.9, schedule: str = "constant"
) -> Verdict:
    """C7: with too large a decay "overfitting comes easily".

    Overfitting is a train-test gap that grows. Quantity: training accuracy minus test accuracy at the
    last step. Contrast: the large decay minus the usual one, paired by seed.
    """
    last = _last(evaluation, schedule)
    effect = mean_interval(generalisation_gap(last, large) - generalisation_gap(last, usual))
    return Verdict(
        "C7",
        decide(effect),
        effect,
        f"growth of the train-test gap of accuracy from decay {usual:g} to decay {large:g}",
    )


def generalisation_gap(evaluation: pd.DataFrame, decay: float) -> pd.Series[float]:
    """Return training minus test accuracy with plain moving averages of ``decay``, per run and step."""
    arm = {"statistics": "moving", "zero_debias": "none", "decay": decay}
    return (accuracy(evaluation, split="train", **arm) - accuracy(evaluation, split="test", **arm)).dropna()


def _last(evaluation: pd.DataFrame, schedule: str) -> pd.DataFrame:
    chosen = evaluation[evaluation["schedule"] == schedule]
    if chosen.empty:
        there = ", ".join(map(repr, evaluation["schedule"].unique()))
        raise ValueError(f"schedule is {schedule!r}; allowed here: {there}")
    return last_step(chosen)
