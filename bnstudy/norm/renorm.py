"""Batch renormalization (Ioffe 2017, arXiv 1702.03275) in TensorFlow 1's two versions.

``"tf1.15"`` (TensorFlow 1.13 and later) keeps a moving mean and standard deviation that start
at the layer's initial statistics. ``"tf1.12"`` (1.12 and earlier) starts them at 0 with a weight
beside each, so that the first correction is r = 1, d = 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from bnstudy.norm.checks import check_keys
from bnstudy.norm.ema import moved

Algorithm = Literal["tf1.15", "tf1.12"]
ALGORITHMS: tuple[Algorithm, ...] = ("tf1.15", "tf1.12")
CLIPPING_KEYS = ("rmax", "rmin", "dmax")

State = dict[str, Tensor]


def check_clipping(clipping: Mapping[str, float]) -> None:
    """Raise ``ValueError`` unless keys are known and ``rmin <= rmax``, all of them >= 0."""
    check_keys("renorm_clipping", clipping.keys(), CLIPPING_KEYS)
    for key, value in clipping.items():
        if not value >= 0.0:
            raise ValueError(f"renorm_clipping[{key!r}] is {value!r}; allowed: a number of at least 0")
    if "rmin" in clipping and "rmax" in clipping and clipping["rmin"] > clipping["rmax"]:
        raise ValueError(
            f"renorm_clipping has rmin {clipping['rmin']!r} above rmax {clipping['rmax']!r}; "
            "allowed: rmin <= rmax"
        )


def initial_state(algorithm: Algorithm, mean: Tensor, variance: Tensor) -> State:
    """Return the variables [C] beside the moving mean and variance, before the first step.

    ``mean`` and ``variance`` [C] are the initial moving statistics.
    """
    if algorithm == "tf1.15":
        stddev = variance.sqrt()
        return {"renorm_mean": mean.clone(), "renorm_stddev": stddev, "moving_stddev": stddev.clone()}
    zero = torch.zeros_like(mean)
    return {
        "renorm_mean": zero,
        "renorm_mean_weight": zero.new_zeros(()),
        "renorm_stddev": zero.clone(),
        "renorm_stddev_weight": zero.new_zeros(()),
    }


def corrections(
    algorithm: Algorithm,
    state: Mapping[str, Tensor],
    mean: Tensor,
    variance: Tensor,
    epsilon: float,
    clipping: Mapping[str, float | Tensor],
) -> tuple[Tensor, Tensor]:
    """Return r [C] and d [C], constants for the gradient, from the state *before* its update.

    ``mean`` and ``variance`` [C] are the batch's. Clipping applies to r from below, then from
    above, and to d symmetrically, each only where its key is given.

    Source: Ioffe 2017, Algorithm 1; ``tf.layers.BatchNormalization._renorm_correction_and_moments``.
    """
    mean, variance = mean.detach(), variance.detach()
    stddev = (variance + epsilon).sqrt()
    if algorithm == "tf1.15":
        reference_mean = state["renorm_mean"]
        reference_stddev = state["renorm_stddev"].clamp(min=epsilon**0.5)
    else:
        reference_mean = state["renorm_mean"] + (1.0 - state["renorm_mean_weight"]) * mean
        reference_stddev = state["renorm_stddev"] + (1.0 - state["renorm_stddev_weight"]) * stddev
    r = stddev / reference_stddev
    d = (mean - reference_mean) / reference_stddev
    if "rmin" in clipping:
        r = torch.maximum(r, _like(clipping["rmin"], r))
    if "rmax" in clipping:
        r = torch.minimum(r, _like(clipping["rmax"], r))
    if "dmax" in clipping:
        bound = _like(clipping["dmax"], d)
        d = torch.minimum(torch.maximum(d, -bound), bound)
    return r, d


def updated(
    algorithm: Algorithm,
    state: Mapping[str, Tensor],
    mean: Tensor,
    variance: Tensor,
    *,
    decay: float,
    renorm_decay: float,
    epsilon: float,
) -> State:
    """Return every variable after one step; ``state`` holds moving_mean and moving_variance too.

    ``mean`` and ``variance`` [C] are the batch's population moments.
    """
    mean, variance = mean.detach(), variance.detach()
    stddev = (variance + epsilon).sqrt()
    new = dict(state)
    new["renorm_mean"] = moved(state["renorm_mean"], mean, renorm_decay)
    new["renorm_stddev"] = moved(state["renorm_stddev"], stddev, renorm_decay)
    if algorithm == "tf1.15":
        new["moving_mean"] = moved(state["moving_mean"], mean, decay)
        new["moving_stddev"] = moved(state["moving_stddev"], stddev, decay)
        # Not an average of variances: a square of averages, so that it lies below one.
        new["moving_variance"] = (new["moving_stddev"].square() - epsilon).clamp(min=0.0)
        return new
    one = torch.ones_like(state["renorm_mean_weight"])
    new["renorm_mean_weight"] = moved(state["renorm_mean_weight"], one, renorm_decay)
    new["renorm_stddev_weight"] = moved(state["renorm_stddev_weight"], one, renorm_decay)
    unbiased_mean = new["renorm_mean"] / new["renorm_mean_weight"]
    unbiased_stddev = new["renorm_stddev"] / new["renorm_stddev_weight"]
    new["moving_mean"] = moved(state["moving_mean"], unbiased_mean, decay)
    new["moving_variance"] = moved(state["moving_variance"], unbiased_stddev.square() - epsilon, decay)
    return new


def _like(bound: float | Tensor, values: Tensor) -> Tensor:
    if isinstance(bound, Tensor):
        return bound.to(values)
    return values.new_full((), bound)  # filled on the device: a CUDA graph can't hold a copy from the host
