"""The effects of calls in one pass, so that others can skip them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from bnstudy.probes.calls import Key, Path, intercepted, version_of
from bnstudy.probes.moment import RandomStates
from bnstudy.probes.state import NOT_STATE, State, is_plain

# The dictionary that a buffer hangs in, and its name there.
Place = tuple[dict[str, Tensor | None], str]


class Recording:
    """The effects of the calls ``keys`` in one pass, replayed in later ones.

    Effects are outputs, and what changed of buffers, attributes and random states. The outputs of
    ``mutated`` calls are copied, since what follows changes them in place.
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
        start = {module: dict(vars(module)) for module in model.modules()}

        def around(module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            with path.into(module) as key:
                if key not in self._keys:
                    return forward(*args, **kwargs)
                before = _Before(module)
                output = forward(*args, **kwargs)
                self._effects[key] = _Effects(output, key in self._mutated, before, start)
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


class _Before:
    """What a call may change, as it was before it."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.random = RandomStates()
        self.modules = list(module.modules())
        self.places: list[Place] = [(m._buffers, name) for m in self.modules for name in m._buffers]
        self.buffers = [there[name] for there, name in self.places]
        self.versions = [0 if b is None else version_of(b) for b in self.buffers]


class _Effects:
    """All that a call brought about, so that it need not run again."""

    def __init__(
        self, output: Any, mutated: bool, before: _Before, start: dict[nn.Module, dict[str, Any]]
    ) -> None:
        self._mutated = mutated
        self._output = _clone(output) if mutated else output
        now = RandomStates()
        self._random = None if now == before.random else now
        self._buffers = [
            (there, name, buffer.clone())
            for (there, name), old, version in zip(
                before.places, before.buffers, before.versions, strict=True
            )
            if (buffer := there[name]) is not None and (buffer is not old or version_of(buffer) != version)
        ]
        plain = {module: is_plain(module) for module in before.modules}
        self._attributes = [
            (vars(module), name, value)
            for module, is_so in plain.items()
            if is_so
            for name, value in vars(module).items()
            if name not in NOT_STATE and start[module].get(name, now) is not value
        ]
        rest = [module for module, is_so in plain.items() if not is_so]
        self._state = State(before.module, rest) if rest else None

    @torch.no_grad()
    def replay(self) -> Any:
        """Bring the effects about, and return the output."""
        if self._random is not None:
            self._random.restore()
        if self._state is not None:
            self._state.restore()
        for attributes, name, value in self._attributes:
            attributes[name] = value
        for there, name, value in self._buffers:
            # A copy each time: what comes after may change it in place.
            there[name] = value.clone()
        return _clone(self._output) if self._mutated else self._output


def _clone(tree: Any) -> Any:
    return pytree.tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, tree)
