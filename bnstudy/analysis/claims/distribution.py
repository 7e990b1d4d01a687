"""C1, C2 and C3: internal covariate shift, and the distribution of what a layer gives."""

from __future__ import annotations

import math

import pandas as pd

from bnstudy.analysis.claims.rule import Claim, Rule
from bnstudy.analysis.tables import Tables, last_step, paired, per_seed, rows


def _share_diverged(tables: Tables) -> pd.Series[float]:
    """Share of the grid's learning rates and optimisers at which training diverged."""
    without, with_norm = (per_seed(rows(tables, "runs", arm=arm), "diverged") for arm in ("none", "batch"))
    return paired(without, with_norm)


def _largest_gradient(tables: Tables) -> pd.Series[float]:
    noisy, plain = (
        rows(tables, "gradients", arm=arm).groupby("seed")["norm"].max().map(math.log2)
        for arm in ("noisy batch", "batch")
    )
    return paired(noisy, plain)


def _mean_drift(tables: Tables) -> pd.Series[float]:
    without, with_norm = (
        per_seed(rows(tables, "drift", arm=arm), "drift").map(math.log2) for arm in ("none", "batch")
    )
    return paired(without, with_norm)


def _mean_cosine(tables: Tables) -> pd.Series[float]:
    with_norm, without = (per_seed(rows(tables, "ics", arm=arm), "cosine") for arm in ("batch", "none"))
    return paired(with_norm, without)


def _distance(column: str, ideal: float) -> Rule:
    def measure(tables: Tables) -> pd.Series[float]:
        last = last_step(rows(tables, "gaussianity", arm="batch"))
        return (last[column] - ideal).abs().groupby(last["seed"]).mean()

    named = {"mean": ("|mean|", 0.1), "variance": ("|variance - 1|", 0.1)}
    quantity, threshold = named.get(column, ("Kolmogorov's distance from the standard Gaussian", 0.05))
    return Rule(
        part=column,
        study="gaussianity",
        quantity=f"{quantity} of normalised test activations, averaged over channels and layers",
        contrast="against that of the standard Gaussian, 0",
        threshold=threshold,
        measure=measure,
        side="below",
        unit="number",
    )


# Noise after each layer (Santurkar et al. 2018, algorithm 1) raises the shift and changes nothing else that
# the claim speaks of: if the shift is the cause, gradients have to grow with it.
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
            contrast="with noise that raises the shift over without",
            threshold=1.0,
            measure=_largest_gradient,
            unit="factor",
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
            quantity="drift of the layers' outputs between recorded steps, mean over layers",
            contrast="without batch normalization over with it",
            threshold=1.0,
            measure=_mean_drift,
            unit="factor",
        ),
        Rule(
            part="backward sees what forward saw",
            study="covariate_shift",
            quantity="cosine of each layer's gradient before and after the earlier layers' update",
            contrast="with batch normalization minus without",
            threshold=0.05,
            measure=_mean_cosine,
            unit="number",
        ),
    ),
)

# Read in the claim's favour: the normalised values before beta, which any mean can follow.
C3 = Claim(
    "C3",
    "归一化成均值为0方差为1的标准高斯分布",
    "It makes each layer's result a standard Gaussian, of mean 0 and variance 1.",
    "gaussianity",
    (_distance("mean", 0.0), _distance("variance", 1.0), _distance("kolmogorov", 0.0)),
)
