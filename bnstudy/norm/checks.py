"""Argument checks whose messages name the argument, its value and what is allowed."""

from __future__ import annotations

from collections.abc import Collection
from numbers import Real


def check_decay(value: object, argument: str = "decay") -> float:
    """Return ``value`` as a float, or raise ``ValueError`` unless it lies in [0, 1].

    TensorFlow 1 accepts any number; above 1 its moving averages diverge without a word.
    """
    if not isinstance(value, Real) or isinstance(value, bool) or not 0.0 <= float(value) <= 1.0:
        raise ValueError(
            f"{argument} is {value!r}; allowed: 0 to 1 (the weight of the old value, 1 - PyTorch's momentum)"
        )
    return float(value)


def check_epsilon(value: object) -> float:
    """Return ``value`` as a float, or raise ``ValueError`` unless it is above 0."""
    if not isinstance(value, Real) or isinstance(value, bool) or not float(value) > 0.0:
        raise ValueError(f"epsilon is {value!r}; allowed: a number above 0")
    return float(value)


def check_choice(argument: str, value: object, allowed: Collection[str]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        names = ", ".join(repr(name) for name in allowed)
        raise ValueError(f"{argument} is {value!r}; allowed: {names}")


def check_keys(argument: str, keys: Collection[str], allowed: Collection[str]) -> None:
    """Raise ``ValueError`` unless every one of ``keys`` is in ``allowed``."""
    unknown = sorted(set(keys) - set(allowed))
    if unknown:
        names = ", ".join(repr(name) for name in allowed)
        raise ValueError(f"{argument} has the keys {unknown}; allowed: {names}")
