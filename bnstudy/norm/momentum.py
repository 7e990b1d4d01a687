"""The one place where TensorFlow's decay and PyTorch's momentum are converted into each other."""

from __future__ import annotations

from bnstudy.norm.checks import check_decay


def momentum_from_decay(decay: float) -> float:
    """Return PyTorch's momentum, the weight of the *new* value: ``1 - decay``."""
    return 1.0 - check_decay(decay)


def decay_from_momentum(momentum: float) -> float:
    """Return TensorFlow's decay, the weight of the *old* value: ``1 - momentum``."""
    return 1.0 - check_decay(momentum, "momentum")
