"""The effects of calls in one pass, so that others can skip them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from bnstudy.probes.calls import Key, Path, intercepted
from bnstudy.probes.moment import RandomStates
from bnstudy.probes.state import State


@dataclass
class _Effects:
    """All that a call brought about, so that it need not run again."""

    output: Any
    mutated: bool
    module: nn.Module

    def __post_init__(self) -> None:
        if self.mutated:
            self.output = _clone(self.output)
        self._random = RandomStates()
        self._state = State(self.module)
        self._buffers = [b.clone() for b in self.module.buffers()]

    @torch.no_grad()
    def replay(self) -> Any:
        self._random.restore()
        self._state.restore()
        for buffer, value in zip(self.module.buffers(), self._buffers, strict=True):
            buffer.copy_(value)
        return _clone(self.output) if self.mutated else self.output


class Recording:
    """The effects of the calls ``keys`` in one pass, replayed in later ones.

    The outputs of ``mutated`` calls are copied, since what follows changes them in place.
    Memory: the outputs of all those calls.
    """

    def __init__(self, keys: set[Key], mutated: set[Key]) -> None:
        self._keys = keys
        self._mutated = mutated
        self._effects: dict[Key, _Effects] = {}

    @contextmanager
    def made_in(self, model: nn.Module) -> Iterator[None]:
        """Record the pass that runs in this context."""
        path = Path()

        def around(module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            with path.into(module) as key:
                output = forward(*args, **kwargs)
                if key in self._keys:
                    self._effects[key] = _Effects(output, key in self._mutated, module)
                return output

        with intercepted(model, around):
            yield

    @contextmanager
    def replayed_in(self, model: nn.Module, keys: Collection[Key]) -> Iterator[None]:
        """Skip the calls of ``keys`` in the pass that runs in this context."""
        path = Path()

        def around(module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            with path.into(module) as key:
                known = self._effects.get(key) if key in keys else None
                return forward(*args, **kwargs) if known is None else known.replay()

        with intercepted(model, around):
            yield


def _clone(tree: Any) -> Any:
    return pytree.tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, tree)
