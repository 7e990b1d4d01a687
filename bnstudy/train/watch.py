"""What may look at a run from outside while it trains."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from torch import Tensor

from bnstudy.train.networks import Network


class Watch(Protocol):
    """Something that looks at chosen steps of a run from outside and leaves no trace in it."""

    def due(self, step: int) -> bool:
        """Say whether it looks at this step, counted from 1."""

    def around(self, x: Tensor, y: Tensor) -> AbstractContextManager[None]:
        """Return the context in which a step is taken that it looks at, on images ``x`` and labels ``y``."""


LossFunction = Callable[[Tensor, Tensor], Tensor]

# From a run's network, loss, and learning rates of all its steps.
WatchMaker = Callable[[Network, LossFunction, list[float]], Watch]
