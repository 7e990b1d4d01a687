"""Shift, drift and smoothness, and C2 and C3: whether a step moves what layers see, and of what shape it is.

Two changes came before any record of theirs existed. C3 was first written for a study "gaussianity" of its
own, with bounds on the mean, the variance and Kolmogorov's distance; the first two hold by construction, so
that shape and symmetry took their places, read from this study. C2's drift became that of one step, in
standard deviations.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from bnstudy.analysis.rules import Claim, Label, Measure, Rule
from bnstudy.analysis.tables import Tables, last_step, paired, probed, rows, seed_means

RUN = ["arm", "training", "seed"]


def convolutions(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of convolutions, which every arm has, with a layer's short name: ``"conv1"``."""
    chosen = table[table["layer"].str.endswith(".conv", na=False)]
    return chosen.assign(layer=chosen["layer"].str.split(".").str[-2])


def measured(table: pd.DataFrame, quantity: str) -> pd.Series[float]:
    """Return the values of one quantity by arm, training, seed, step and layer."""
    chosen = table[table["quantity"] == quantity]
    return chosen.set_index([*RUN, "step", "layer"])["value"]


def shift(tables: Tables, quantity: str = "ics_relative") -> pd.Series[float]:
    """Return the shift of the convolutions behind the first, whose shift is 0 by definition."""
    values = measured(convolutions(tables["internal_covariate_shift"]), quantity)
    layers = values.index.get_level_values("layer")
    behind: pd.Series[float] = values[layers != layers.min()]
    return behind


def drift(tables: Tables) -> pd.Series[float]:
    """Return how far a step moves the convolutions' outputs, in standard deviations of theirs."""
    table = convolutions(tables["activation_drift"])
    return measured(table, "output_wasserstein") / measured(table, "output_std")


def loss_range(tables: Tables) -> pd.Series[float]:
    """Return the largest less the smallest loss along the gradient, in nats."""
    table = tables["gradient_predictiveness"]
    return measured(table, "loss_max") - measured(table, "loss_min")


def smoothness(tables: Tables) -> pd.Series[float]:
    """Return the effective beta-smoothness along the gradient."""
    return measured(tables["gradient_predictiveness"], "beta_smoothness")


def learning_curve(tables: Tables) -> pd.Series[float]:
    """Return the training loss at each probed step, as the mean since the one before."""
    steps = sorted(tables["gradient_predictiveness"]["step"].unique())
    training = tables["training"]
    edges = np.array(steps)[np.searchsorted(steps, training["step"].clip(upper=steps[-1]))]
    by_step = [*RUN, pd.Series(edges, training.index, name="step")]
    return training.groupby(by_step, sort=False)["loss"].mean()


def accuracy(tables: Tables) -> pd.Series[float]:
    """Return test accuracy at the end of each run, normalised by each test batch's own statistics."""
    return last_step(rows(tables, "evaluation", split="test")).set_index(RUN)["accuracy"]


def by_run(values: pd.Series[float]) -> pd.Series[float]:
    """Return the mean over steps and layers of each run."""
    return values.groupby(RUN, sort=False).mean()


def over_seeds(values: pd.Series[float], arm: str, training: str) -> pd.Series[float]:
    """Return the values of one arm and training by seed."""
    chosen: pd.Series[float] = values.xs((arm, training), level=("arm", "training"))
    return chosen


def _relative_drift(tables: Tables) -> pd.Series[float]:
    """Return how much farther outputs move without normalisation, in proportion to their own spread."""
    without, with_norm = (
        seed_means(
            probed(tables, "activation_drift", arm, "output_wasserstein")
            / probed(tables, "activation_drift", arm, "output_std")
        ).map(math.log2)
        for arm in ("none", "batch")
    )
    return paired(without, with_norm)


def _cosine(tables: Tables) -> pd.Series[float]:
    with_norm, without = (
        seed_means(probed(tables, "internal_covariate_shift", arm, "cosine")) for arm in ("batch", "none")
    )
    return paired(with_norm, without)


def normality(quantity: str) -> Measure:
    """Return what measures a quantity of normalised values' shape at the last step, as ``"skewness"``."""

    def measure(tables: Tables) -> pd.Series[float]:
        last = {"gaussianity": last_step(rows(tables, "gaussianity", arm="batch"))}
        return seed_means(probed(last, "gaussianity", "batch", f"normalised_{quantity}"))

    return measure


C2 = Claim(
    "C2",
    "最大限度地保证每次的正向传播输出在同一分布上",
    "Batch normalization keeps every forward pass on one distribution, so that backward and forward see "
    "the same.",
    "covariate_shift",
    (
        Rule(
            part="outputs drift less",
            label=Label(
                "distance that a step moves outputs, in their standard deviations, "
                "without over with batch norm",
                "一步更新使输出移动几个标准差，无 BN 与有 BN 之比",
            ),
            study="covariate_shift",
            quantity="distance that a step moves the layers' outputs, in standard deviations of theirs",
            contrast="without batch normalization over with it",
            threshold=1.0,
            measure=_relative_drift,
            unit="factor",
        ),
        Rule(
            part="backward sees what forward saw",
            label=Label(
                "cosine of a layer's gradient before and after the earlier layers' update, "
                "with minus without batch norm",
                "前面各层更新前后梯度夹角的余弦，有 BN 减无 BN",
            ),
            study="covariate_shift",
            quantity="cosine of each layer's gradient before and after the earlier layers' update",
            contrast="with batch normalization minus without",
            threshold=0.05,
            measure=_cosine,
            unit="number",
        ),
    ),
)


# Read in the claim's favour: the normalised values before beta, which any mean can follow. Their mean is 0
# and variance 1, less epsilon's share, by construction: the shape is what is left to measure. A uniform
# distribution of that mean and variance lies 0.15 from the Gaussian, an exponential one 0.31.
C3 = Claim(
    "C3",
    "归一化成均值为0方差为1的标准高斯分布",
    "It makes each layer's result a standard Gaussian, of mean 0 and variance 1.",
    "covariate_shift",
    (
        Rule(
            part="close to a Gaussian",
            label=Label(
                "distance of normalised values to the standard Gaussian", "归一化值到标准高斯分布的距离"
            ),
            study="covariate_shift",
            quantity="Wasserstein distance of normalised values to the standard Gaussian, mean over units",
            contrast="at the last step, against 0",
            threshold=0.1,
            measure=normality("normal_distance"),
            side="below",
            unit="number",
            level=True,
        ),
        Rule(
            part="symmetric",
            label=Label("absolute skewness of normalised values", "归一化值偏度的绝对值"),
            study="covariate_shift",
            quantity="absolute skewness of normalised values, mean over units",
            contrast="at the last step, against 0",
            threshold=0.5,
            measure=normality("skewness"),
            side="below",
            unit="number",
            level=True,
        ),
    ),
)


CLAIMS = (C2, C3)
