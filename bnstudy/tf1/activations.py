"""``tf.nn``'s activations, dropout and the L2 loss."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.infer import make
from bnstudy.tf1.math import sigmoid, tanh, unary
from bnstudy.tf1.random import random
from bnstudy.tf1.shapes import TensorShape
from bnstudy.tf1.shaping import shape


def relu(features: Any, name: str | None = None) -> Tensor:
    """Return ``max(features, 0)``."""
    result = unary(name or "Relu", F.relu, features)
    result.op.role = "relu"
    return result


def relu6(features: Any, name: str | None = None) -> Tensor:
    """Return ``min(max(features, 0), 6)``."""
    return unary(name or "Relu6", F.relu6, features)


def elu(features: Any, name: str | None = None) -> Tensor:
    """Return ``features`` above 0, else ``exp(features) - 1``."""
    return unary(name or "Elu", F.elu, features)


def softplus(features: Any, name: str | None = None) -> Tensor:
    """Return ``log(exp(features) + 1)``."""
    return unary(name or "Softplus", lambda v: F.softplus(v, threshold=80.0), features)


def leaky_relu(features: Any, alpha: float = 0.2, name: str | None = None) -> Tensor:
    """Return ``features`` above 0, else ``alpha * features``."""
    return unary(name or "LeakyRelu", lambda v: F.leaky_relu(v, alpha), features)


def softmax(logits: Any, axis: int | None = None, name: str | None = None, dim: int | None = None) -> Tensor:
    """Return probabilities over the last axis, or over ``axis`` (earlier name: ``dim``)."""
    along = next(a for a in (axis, dim, -1) if a is not None)
    return unary(name or "Softmax", lambda v: v.softmax(along), logits)


def log_softmax(
    logits: Any, axis: int | None = None, name: str | None = None, dim: int | None = None
) -> Tensor:
    """Return logarithms of probabilities over the last axis, or over ``axis`` (earlier name: ``dim``)."""
    along = next(a for a in (axis, dim, -1) if a is not None)
    return unary(name or "LogSoftmax", lambda v: v.log_softmax(along), logits)


def l2_loss(t: Any, name: str | None = None) -> Tensor:
    """Return ``sum(t^2) / 2``."""
    source = convert_to_tensor(t)
    static = [(source.dtype, TensorShape([]))]
    result: Tensor = make(name, "L2Loss", lambda v: v.square().sum() / 2, source, static=static)
    return result


def dropout(
    x: Any,
    keep_prob: Any = None,
    noise_shape: Any = None,
    seed: int | None = None,
    name: str | None = None,
    rate: Any = None,
) -> Tensor:
    """Keep each element with probability ``keep_prob``, and divide by it; ``rate`` is one minus that.

    The probability is a number or a scalar tensor. Raises ``ValueError`` for a number outside 0 to 1 and
    for none.
    """
    if noise_shape is not None:
        raise NotImplementedError("dropout: noise_shape is not covered")
    if (keep_prob is None) == (rate is None):
        raise ValueError("dropout needs keep_prob or rate, and not both")
    source = convert_to_tensor(x)
    if isinstance(keep_prob, (int, float)) or isinstance(rate, (int, float)):
        kept = float(keep_prob) if keep_prob is not None else 1.0 - float(rate)
        if not 0.0 < kept <= 1.0:
            raise ValueError(f"keep_prob must be a scalar tensor or a float in the range (0, 1], got {kept}")
        if kept == 1.0:
            return source
    graph = get_default_graph()
    with graph.name_scope(name or "dropout"):
        kept_prob = convert_to_tensor(
            keep_prob if rate is None else 1.0 - rate, source.dtype, name="keep_prob"
        )
        known = source.shape.is_fully_defined()
        chance = random(
            "random_uniform", source.shape if known else shape(source), source.dtype, seed, _uniform
        )
        mask: Any = make(
            "mask",
            "mask",
            lambda u, k: (u < k).to(u.dtype) / k,
            chance,
            kept_prob,
            static=[(source.dtype, source.shape)],
        )
        result: Tensor = make(
            "SelectV2", "SelectV2", torch.mul, source, mask, static=[(source.dtype, source.shape)]
        )
    return result


def _uniform(t: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return t.uniform_(0.0, 1.0, generator=generator)


__all__ = [
    "dropout", "elu", "l2_loss", "leaky_relu", "log_softmax", "relu", "relu6", "sigmoid", "softmax",
    "softplus", "tanh",
]  # fmt: skip
