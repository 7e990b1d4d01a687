"""The moving average of any decay, from those of a few: interpolation between Chebyshev's nodes."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# 1 - decay of the first and last node: decays from 0 to 0.9999.
LEAST, MOST = 1e-4, 1.0
NODES = 40


def node_decays(count: int = NODES) -> list[float]:
    """Return the nodes: decays whose ``log(1 - decay)`` are Chebyshev points of the second kind, ascending.

    The first is 0 and the last 0.9999. A moving average is a smooth function of ``log(1 - decay)``, so that
    it follows from its values at these nodes by ``interpolation_weights``: with 40 of them to about 1e-6 of
    a batch moment's noise, where an equally dense grid would oscillate.

    Source: Berrut & Trefethen, Barycentric Lagrange Interpolation (2004), section 5.
    """
    low, high = math.log(LEAST), math.log(MOST)
    points = np.cos(np.pi * np.arange(count) / (count - 1))  # from 1, which is decay 0, to -1
    rates = np.exp(low + (high - low) * (points + 1) / 2)
    rates[0], rates[-1] = MOST, LEAST
    return [float(1.0 - rate) for rate in rates]


def interpolation_weights(decay: float, nodes: npt.ArrayLike | None = None) -> Array:
    """Return the weights [count] with which the nodes' averages add up to that of ``decay``.

    Raises:
        ValueError: ``decay`` is not from 0 to 0.9999.
    """
    decays = np.array(node_decays() if nodes is None else nodes, dtype=np.float64)
    if not 0.0 <= decay <= decays[-1]:
        raise ValueError(f"decay is {decay!r}; allowed: 0 to {decays[-1]:g}")
    x, at = np.log1p(-decays), math.log1p(-decay)
    weights = np.where(np.arange(len(x)) % 2, -1.0, 1.0)
    weights[[0, -1]] /= 2
    distance = at - x
    if (exact := np.abs(distance) < 1e-14).any():
        return np.asarray(exact / exact.sum())
    weights /= distance
    return np.asarray(weights / weights.sum())


def interpolate(averages: npt.ArrayLike, decay: float, steps: int, debiased: bool = False) -> Array:
    """Return the moving averages [2, C] of ``decay`` from the nodes' [count, 2, C], means then variances.

    ``debiased``: as if both had started unbiased (``zero_debias="both"``) instead of at 0 and 1, after so
    many ``steps``.
    """
    values = np.tensordot(interpolation_weights(decay), np.asarray(averages, dtype=np.float64), axes=1)
    if debiased:
        left = decay**steps
        values = (values - left * np.array([[0.0], [1.0]])) / (1.0 - left)
    return np.asarray(values)
