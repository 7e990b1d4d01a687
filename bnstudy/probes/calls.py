"""The calls of modules within a pass: how to stand in for them, and how to name them."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

Around = Callable[..., Any]  # (module, forward, *args, **kwargs) -> what forward would return
# Module and how many calls of it came before within the same parent, from the outermost call inwards.
Key = tuple[tuple[nn.Module, int], ...]


@contextmanager
def intercepted(model: nn.Module, around: Around) -> Iterator[None]:
    """Let ``around(module, forward, *args, **kwargs)`` take the place of every forward in ``model``."""
    kept = [(module, "forward" in vars(module), module.forward) for module in model.modules()]
    try:
        for module, _, forward in kept:
            vars(module)["forward"] = functools.partial(around, module, forward)
        yield
    finally:
        for module, own, forward in kept:
            if own:
                vars(module)["forward"] = forward
            else:
                vars(module).pop("forward", None)


def version_of(tensor: Tensor) -> int:
    """Return how often ``tensor`` was changed in place; 0 for inference tensors, which don't count it."""
    return 0 if tensor.is_inference() else tensor._version


class Path:
    """Where in the tree of calls a pass is."""

    def __init__(self) -> None:
        self._frames: list[tuple[Key, Counter[nn.Module]]] = [((), Counter())]

    @contextmanager
    def into(self, module: nn.Module) -> Iterator[Key]:
        """Enter a call of ``module``, and yield its key."""
        parent, seen = self._frames[-1]
        key = (*parent, (module, seen[module]))
        seen[module] += 1
        self._frames.append((key, Counter()))
        try:
            yield key
        finally:
            self._frames.pop()
