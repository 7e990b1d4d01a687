"""C1, C2 and C3: internal covariate shift, and the distribution of what a layer gives.

Two changes came before any record of theirs existed. C3 was first written for a study "gaussianity" of its
own, with bounds on the mean, the variance and Kolmogorov's distance; the first two hold by construction, so
that shape and symmetry took their places, read from the covariate-shift study. C2's drift became that of one
step, in standard deviations.

Two came after a first recording on a part of the training images, and before that on all of them. C1's second
rule compared the largest gradients of different trainings; it compares within each now. And it took for
granted that noise raises the shift, which that recording spoke against; it is the rule's premise now.
"""

from __future__ import annotations

import math
from typing import Literal

import pandas as pd

from bnstudy.analysis.rules import Claim, Measure, Rule
from bnstudy.analysis.tables import Tables, last_step, paired, per_seed, rows


def _share_diverged(tables: Tables) -> pd.Series[float]:
    """Share of the grid's learning rates and optimisers at which training diverged."""
    without, with_norm = (per_seed(rows(tables, "runs", arm=arm), "diverged") for arm in ("none", "batch"))
    return paired(without, with_norm)


def _probed(tables: Tables, probe: str, arm: str, quantity: str) -> pd.Series[float]:
    """Return what a probe measured, by training, seed, step and layer."""
    found = rows(tables, probe, arm=arm, quantity=quantity)
    return found.set_index(["training", "seed", "step", "layer"])["value"]


def _by_seed(values: pd.Series[float]) -> pd.Series[float]:
    return values.groupby("seed").mean()


def _noise_over_none(probe: str, quantity: str, of_a_run: Literal["max", "mean"]) -> Measure:
    """Compare batch norm with noise and without, within each training, as a binary logarithm."""

    def measure(tables: Tables) -> pd.Series[float]:
        noisy, plain = (
            _by_seed(
                _probed(tables, probe, arm, quantity)
                .groupby(["training", "seed"])
                .agg(of_a_run)
                .map(math.log2)
            )
            for arm in ("noisy batch", "batch")
        )
        return paired(noisy, plain)

    return measure


def _relative_drift(tables: Tables) -> pd.Series[float]:
    """Return how much farther outputs move without normalisation, in proportion to their own spread."""
    without, with_norm = (
        _by_seed(
            _probed(tables, "activation_drift", arm, "output_wasserstein")
            / _probed(tables, "activation_drift", arm, "output_std")
        ).map(math.log2)
        for arm in ("none", "batch")
    )
    return paired(without, with_norm)


def _cosine(tables: Tables) -> pd.Series[float]:
    with_norm, without = (
        _by_seed(_probed(tables, "internal_covariate_shift", arm, "cosine")) for arm in ("batch", "none")
    )
    return paired(with_norm, without)


def _normality(quantity: str) -> Measure:
    def measure(tables: Tables) -> pd.Series[float]:
        last = {"gaussianity": last_step(rows(tables, "gaussianity", arm="batch"))}
        return _by_seed(_probed(last, "gaussianity", "batch", f"normalised_{quantity}"))

    return measure


# Noise after each layer (Santurkar et al. 2018, algorithm 1) is there to raise the shift and to change
# nothing else that the claim speaks of: if the shift is the cause, gradients have to grow with it. If the
# shift doesn't grow by a tenth at least, that tells nothing.
C1 = Claim(
    "C1",
    "产生梯度爆炸的原因是因为网络的内部协变量转移",
    "Exploding gradients come from internal covariate shift.",
    "explosion",
    (
        Rule(
            part="training explodes without normalisation",
            study="explosion",
            quantity="share of learning rates and optimisers at which training diverges",
            contrast="without batch normalization minus with it",
            threshold=0.1,
            measure=_share_diverged,
        ),
        Rule(
            part="more shift, larger gradients",
            study="covariate_shift",
            quantity="largest gradient norm of the run",
            contrast="with noise behind batch normalization over without",
            threshold=1.0,
            measure=_noise_over_none("gradient_health", "total_norm", "max"),
            unit="factor",
            premise=Rule(
                part="the noise raises the shift",
                study="covariate_shift",
                quantity="relative internal covariate shift",
                contrast="with noise behind batch normalization over without",
                threshold=math.log2(1.1),
                measure=_noise_over_none("internal_covariate_shift", "ics_relative", "mean"),
                unit="factor",
            ),
        ),
    ),
)

C2 = Claim(
    "C2",
    "最大限度地保证每次的正向传播输出在同一分布上",
    "Batch normalization keeps every forward pass on one distribution, so that backward and forward see "
    "the same.",
    "covariate_shift",
    (
        Rule(
            part="outputs drift less",
            study="covariate_shift",
            quantity="distance that a step moves the layers' outputs, in standard deviations of theirs",
            contrast="without batch normalization over with it",
            threshold=1.0,
            measure=_relative_drift,
            unit="factor",
        ),
        Rule(
            part="backward sees what forward saw",
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
            study="covariate_shift",
            quantity="Wasserstein distance of normalised values to the standard Gaussian, mean over units",
            contrast="at the last step, against 0",
            threshold=0.1,
            measure=_normality("normal_distance"),
            side="below",
            unit="number",
            level=True,
        ),
        Rule(
            part="symmetric",
            study="covariate_shift",
            quantity="absolute skewness of normalised values, mean over units",
            contrast="at the last step, against 0",
            threshold=0.5,
            measure=_normality("skewness"),
            side="below",
            unit="number",
            level=True,
        ),
    ),
)
