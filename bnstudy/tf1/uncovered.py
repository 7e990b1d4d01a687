"""What a name that isn't covered says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def refused(module: str) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for a module: it raises an ``AttributeError`` that says what is covered."""

    def find(name: str) -> Any:
        raise AttributeError(
            f"{module} has no {name!r}: bnstudy.tf1 covers what programs around batch normalization use; "
            "its documentation lists what is in it, and what is not"
        )

    return find
