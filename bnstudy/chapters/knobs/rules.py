"""C8, C9 and C12: scale, epsilon and reuse.

Accuracies are those with moving averages: what an evaluation uses as the article writes it. Values of epsilon
are the labels of their arms.
"""

from __future__ import annotations

import pandas as pd

from bnstudy.analysis.rules import SMALLEST_EFFECT, Claim, Rule
from bnstudy.analysis.tables import Tables, at_its_best, last_step, paired, per_seed, rows

DEFAULT_EPSILON = "0.001"


def _at_the_end(tables: Tables, arm: str) -> pd.DataFrame:
    """Return an arm's evaluations with moving averages on the test images at its own last step."""
    return last_step(rows(tables, "evaluation", arm=arm, split="test", statistics="moving"))


def _default_against_best(tables: Tables) -> pd.Series[float]:
    last = {"evaluation": _at_the_end(tables, "epsilon")}
    best = at_its_best(last["evaluation"], by="epsilon")
    default = rows(last, "evaluation", epsilon=DEFAULT_EPSILON)
    return paired(per_seed(default, "accuracy"), per_seed(best, "accuracy"))


def _without_gamma(tables: Tables) -> pd.Series[float]:
    without, with_gamma = (per_seed(_at_the_end(tables, arm), "accuracy") for arm in ("no gamma", "gamma"))
    return paired(without, with_gamma)


def _shared(tables: Tables) -> pd.Series[float]:
    reused, apart = (per_seed(rows(tables, "sharing", arm=arm), "shared") for arm in ("reuse", "no reuse"))
    return paired(reused, apart)


# A ReLU lets a positive factor through, so a linear layer behind it can do gamma's work: nothing may be lost.
C8 = Claim(
    "C8",
    "我们常习惯在BN后面接一个线性变化,如relu",
    '`scale` multiplies by gamma, and BN is customarily followed by "a linear change such as ReLU".',
    "knobs",
    (
        Rule(
            part="gamma is not needed before a ReLU",
            study="knobs",
            quantity="test accuracy at the last step",
            contrast="without gamma minus with it, each layer followed by a ReLU",
            threshold=-SMALLEST_EFFECT,
            measure=_without_gamma,
        ),
    ),
)

C9 = Claim(
    "C9",
    "为了避免分母为0",
    "`epsilon` avoids division by zero, and its default is fine.",
    "knobs",
    (
        Rule(
            part="the default is fine",
            study="knobs",
            quantity="test accuracy at the last step",
            contrast="the default epsilon minus the best of those recorded",
            threshold=-SMALLEST_EFFECT,
            measure=_default_against_best,
        ),
    ),
)

C12 = Claim(
    "C12",
    "支持变量共享",
    "`reuse` supports variable sharing.",
    "knobs",
    (
        Rule(
            part="one set of variables",
            study="knobs",
            quantity="share of variables, moving averages included, that two calls have in common",
            contrast="with reuse minus without",
            threshold=0.99,
            measure=_shared,
        ),
    ),
)
