"""What regularises how much, on much and little data, and C5: whether batch norm can replace the rest."""

from __future__ import annotations

import pandas as pd

from bnstudy.analysis.rules import SMALLEST_EFFECT, Claim, Label, Rule
from bnstudy.analysis.tables import Tables, at_its_best, last_step, paired, per_seed, rows

ALTERNATIVES = ("l2", "dropout")


RUN = ["arm", "fraction", "seed"]


# Each regularised arm, and the same network without that regularisation.
BASES = {
    "l2": "none",
    "dropout": "none",
    "batch + l2": "batch",
    "batch + dropout": "batch",
    "dropout + batch": "batch",
}


NORMALISED = ("batch", "batch + l2", "batch + dropout", "dropout + batch")


def accuracy(tables: Tables, split: str = "test", statistics: str = "moving") -> pd.Series[float]:
    """Return accuracy at the end of each run, by arm, fraction and seed.

    ``statistics="moving"`` is how an evaluation goes as the article writes it, and includes networks without
    normalisation, which have no statistics. ``"precise"`` has networks with normalisation alone.
    """
    wanted = ("moving", "none") if statistics == "moving" else (statistics,)
    evaluation = tables["evaluation"]
    chosen = evaluation[(evaluation["split"] == split) & evaluation["statistics"].isin(wanted)]
    last = chosen["step"] == chosen.groupby(["arm", "fraction"])["step"].transform("max")
    return chosen[last].set_index(RUN)["accuracy"]


def gap(tables: Tables) -> pd.Series[float]:
    """Return training minus test accuracy at the end of each run, by arm, fraction and seed."""
    return (accuracy(tables, "train") - accuracy(tables)).dropna()


def gains(tables: Tables) -> pd.Series[float]:
    """Return each regularised arm's test accuracy minus that of its base, by arm, fraction and seed."""
    reached = accuracy(tables)
    differences = {arm: (_arm(reached, arm) - _arm(reached, base)).dropna() for arm, base in BASES.items()}
    return pd.concat(differences, names=["arm"])


def recalibration(tables: Tables) -> pd.Series[float]:
    """Return test accuracy with precise minus with moving statistics, by arm, fraction and seed.

    Precise statistics are measured on the training images with dropout off and the weights fixed, which Li et
    al. (2018) call recalibration.
    """
    return (accuracy(tables, statistics="precise") - accuracy(tables)).dropna()


def variance_shift(tables: Tables) -> pd.Series[float]:
    """Return what recalibration gains each arm beyond what it gains batch normalization alone.

    The moving averages of a network without dropout miss the precise statistics too, since they are stale and
    noisy; what is left is dropout's (or L2's) own. By arm, fraction and seed.
    """
    gained = recalibration(tables)
    alone = _arm(gained, "batch")
    differences = {arm: (_arm(gained, arm) - alone).dropna() for arm in NORMALISED if arm != "batch"}
    return pd.concat(differences, names=["arm"])


def of(values: pd.Series[float], arm: str, fraction: str) -> pd.Series[float]:
    """Return the values of one arm and fraction by seed; none where there are none."""
    chosen = _arm(values, arm)
    return chosen[chosen.index.get_level_values("fraction") == fraction].droplevel("fraction")


def _arm(values: pd.Series[float], arm: str) -> pd.Series[float]:
    # An arm whose runs all diverged has no values, which is no error here as it is for ``xs``.
    return values[values.index.get_level_values("arm") == arm].droplevel("arm")


def _accuracy(tables: Tables, arms: tuple[str, ...], split: str = "test") -> pd.Series[float]:
    """Return the last accuracy by seed of the best of ``arms``, on the full training set."""
    return per_seed(
        at_its_best(pd.concat(_at_the_end(tables, arm, split) for arm in arms), by="arm"), "accuracy"
    )


def _at_the_end(tables: Tables, arm: str, split: str) -> pd.DataFrame:
    """Return an arm's last evaluations: with moving averages, where there are any."""
    statistics = "moving" if arm.startswith("batch") else "none"
    where = {"arm": arm, "split": split, "fraction": "all", "statistics": statistics}
    return last_step(rows(tables, "evaluation", **where))


def _gap_closed(tables: Tables) -> pd.Series[float]:
    gaps = [
        paired(_accuracy(tables, (arm,), "train"), _accuracy(tables, (arm,))) for arm in ("none", "batch")
    ]
    return paired(*gaps)


def _over_alternatives(tables: Tables) -> pd.Series[float]:
    return paired(_accuracy(tables, ("batch",)), _accuracy(tables, ALTERNATIVES))


def _left_to_gain(tables: Tables) -> pd.Series[float]:
    return paired(
        _accuracy(tables, tuple(f"batch + {a}" for a in ALTERNATIVES)), _accuracy(tables, ("batch",))
    )


C5 = Claim(
    "C5",
    "有很强的泛化能力,在一些情况下,完全可以代替前面的正则化,dropout",
    "It generalises strongly and can, in some cases, replace regularisation and dropout entirely.",
    "regularisation",
    (
        Rule(
            part="it generalises",
            label=Label(
                "training minus test accuracy, without minus with batch norm",
                "训练与测试准确率之差，无 BN 减有 BN",
            ),
            study="regularisation",
            quantity="training minus test accuracy at the last step",
            contrast="without batch normalization minus with it",
            threshold=0.01,
            measure=_gap_closed,
        ),
        Rule(
            part="no worse than what it replaces",
            label=Label(
                "test accuracy, batch norm minus the better of L2 and dropout",
                "测试准确率，只用 BN 减 L2 与 dropout 中较好者",
            ),
            study="regularisation",
            quantity="test accuracy at the last step",
            contrast="batch normalization alone minus the better of L2 and dropout without it",
            threshold=-SMALLEST_EFFECT,
            measure=_over_alternatives,
        ),
        Rule(
            part="nothing left to gain from them",
            label=Label(
                "test accuracy, L2 or dropout on top minus batch norm alone",
                "测试准确率，BN 之上再加 L2 或 dropout 减只用 BN",
            ),
            study="regularisation",
            quantity="test accuracy at the last step",
            contrast="the better of L2 and dropout on top of batch normalization minus it alone",
            threshold=SMALLEST_EFFECT,
            measure=_left_to_gain,
            side="below",
        ),
    ),
)


CLAIMS = (C5,)
