"""``tf.contrib.layers``' penalties, for variables of the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bnstudy.norm.parameters import L1Regularizer, L2Regularizer
from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.graph import Tensor
from bnstudy.tf1.infer import make


def l2_regularizer(scale: float, scope: str | None = None) -> Callable[[Any], Tensor]:
    """Return the function ``scale * sum(w^2) / 2``; raises ``ValueError`` for a negative or integer scale."""
    penalty = L2Regularizer(scale)
    return lambda weights: _applied(scope or "l2_regularizer", penalty, weights)


def l1_regularizer(scale: float, scope: str | None = None) -> Callable[[Any], Tensor]:
    """Return the function ``scale * sum(|w|)``; raises ``ValueError`` for a negative or integer scale."""
    penalty = L1Regularizer(scale)
    return lambda weights: _applied(scope or "l1_regularizer", penalty, weights)


def _applied(name: str, penalty: Callable[..., Any], weights: Any) -> Tensor:
    result: Tensor = make(name, name, penalty, convert_to_tensor(weights))
    return result
