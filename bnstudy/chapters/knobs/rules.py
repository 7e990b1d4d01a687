"""What each of the remaining arguments changes, and C8, C9 and C12: scale, epsilon and reuse.

The claims' accuracies are those with moving averages: what an evaluation uses as the article writes it.
Values of epsilon are the labels of their arms.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bnstudy.analysis.rules import SMALLEST_EFFECT, Claim, Label, Rule
from bnstudy.analysis.tables import Tables, at_its_best, last_step, paired, per_seed, rows

# What an evaluation normalises with; the first is how the article evaluates.
STATISTICS = {
    "moving": "moving averages",
    "batch": "batch statistics",
    "precise": "precise statistics",
}


DEFAULT_EPSILON = "0.001"


@dataclass(frozen=True)
class Contrast:
    """An arm against the arm that it differs from in one thing, and what to call the two."""

    arm: str
    base: str
    name: str
    against: str


# The article's own network has no gamma, a bias, a normalised last layer and a ReLU on its logits.
LAYER = (
    Contrast("no gamma", "gamma", "no gamma", "gamma"),
    Contrast("no gamma, linear logits", "gamma, linear logits", "no gamma,\nlinear logits", "gamma"),
    Contrast("no bias", "no gamma", "no bias", "bias"),
    Contrast("no gamma, linear logits", "no gamma", "linear logits", "ReLU on logits"),
    Contrast("last layer not normalised", "no gamma", "ReLU on logits,\nnot normalised", "normalised"),
    Contrast(
        "last layer not normalised, linear logits",
        "no gamma, linear logits",
        "linear logits,\nnot normalised",
        "normalised",
    ),
)


TINY = (
    Contrast("tiny batch, renorm", "tiny batch", "renorm", "batch norm"),
    Contrast("tiny batch, padded", "tiny batch", "padded", "not padded"),
    Contrast("tiny batch, padded, weighted", "tiny batch, padded", "weighted,\npadded", "not weighted"),
    Contrast("tiny batch, padded, weighted", "tiny batch", "weighted,\npadded", "not padded"),
)


def accuracy(tables: Tables, statistics: str = "moving", split: str = "test") -> pd.Series[float]:
    """Return accuracy at each arm's own last step, by arm, epsilon (a label, or empty) and seed."""
    evaluation = tables["evaluation"]
    chosen = evaluation[(evaluation["split"] == split) & (evaluation["statistics"] == statistics)]
    last = chosen["step"] == chosen.groupby("arm")["step"].transform("max")
    return chosen[last].set_index(["arm", "epsilon", "seed"])["accuracy"]


def of(values: pd.Series[float], arm: str, epsilon: str = "") -> pd.Series[float]:
    """Return the values of one arm by seed; none where there are none."""
    at = values.index
    chosen = values[(at.get_level_values("arm") == arm) & (at.get_level_values("epsilon") == epsilon)]
    return chosen.droplevel(["arm", "epsilon"])


def difference(values: pd.Series[float], contrast: Contrast) -> pd.Series[float]:
    """Return an arm's values minus those of its base, by seed."""
    return (of(values, contrast.arm) - of(values, contrast.base)).dropna()


def sharing(tables: Tables) -> pd.DataFrame:
    """Return by arm the second call's variables and the share of them that it shares, means over seeds."""
    columns = ["variables", "shared"]
    return tables["sharing"].groupby("arm", sort=False)[columns].mean().reset_index()


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
            label=Label(
                "test accuracy, without minus with gamma before ReLUs",
                "测试准确率，ReLU 之前无 gamma 减有 gamma",
            ),
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
            label=Label(
                "test accuracy, default epsilon minus the best of those recorded",
                "测试准确率，默认 epsilon 减所测中最好者",
            ),
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
            label=Label(
                "share of variables that two calls have in common, with minus without reuse",
                "两次调用共享的变量所占比例，用 reuse 减不用",
            ),
            study="knobs",
            quantity="share of variables, moving averages included, that two calls have in common",
            contrast="with reuse minus without",
            threshold=0.99,
            measure=_shared,
        ),
    ),
)


CLAIMS = (C8, C9, C12)
