"""A look at one pass: what in it would make no sense from a recording.

::

    look = FirstLook(model, batches)
    with look.watching():
        ...                # one pass with a gradient for each batch
    look.suspects          # whose calls, and why, in words
    look.changed_batch     # what the pass changed of the batch itself, or None
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from bnstudy.probes.calls import intercepted, version_of
from bnstudy.probes.references import Suspect
from bnstudy.probes.state import _ATOMS, _outside, _slots

# Containers in the arguments of one call; behind that nothing is looked at.
_MOST = 2048


class FirstLook:
    """Watches a pass for containers that calls share and change, and for gradients that are part of it."""

    def __init__(self, model: nn.Module, batches: Sequence[Any]) -> None:
        self._model = model
        self._names = {module: name for name, module in model.named_modules()}
        self._batches = batches
        self.suspects: list[Suspect] = []
        self.changed_batch: str | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the pass that runs in this context."""
        given: list[tuple[nn.Module, _Contents]] = []

        def around(module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            if module is self._model:
                return forward(*args, **kwargs)
            taken = _Contents({**dict(enumerate(args)), **kwargs})
            output = forward(*args, **kwargs)
            if (path := taken.changed()) is not None:
                self._suspect(f"{self._names[module]!r} changes its input{path}", module)
            given.append((module, _Contents(output)))
            return output

        whole = _Contents([x for x, _ in self._batches])
        with intercepted(self._model, around), _counted_gradients() as count:
            yield
        self.changed_batch = whole.changed()
        for module, output in given:
            if (path := output.changed()) is not None:
                name = self._names[module]
                self._suspect(f"the output of {name!r} is changed after its call, at {path}", module)
        if count[0] > len(self._batches):
            self._suspect("a gradient is taken within the forward pass or the loss (torch.autograd.grad)")

    def _suspect(self, reason: str, module: nn.Module | None = None) -> None:
        suspect = Suspect(reason, module)
        if suspect not in self.suspects:
            self.suspects.append(suspect)


@contextmanager
def bypassed(model: nn.Module) -> Iterator[list[str]]:
    """Collect the trained parameters that forwards in this context have by another way than ``_parameters``.

    A pass of a probe puts other tensors there, so that in one the parameters themselves aren't used.
    """
    used = _Used({id(p): name for name, p in model.named_parameters() if p.requires_grad})

    def around(module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if module is not model:
            return forward(*args, **kwargs)
        with used:
            return forward(*args, **kwargs)

    with intercepted(model, around):
        yield used.names


class _Used(TorchFunctionMode):
    def __init__(self, parameters: dict[int, str]) -> None:
        super().__init__()
        self._parameters = parameters
        self.names: list[str] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        # A shape, a dtype or a flag is no use of the values.
        if any(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(result)):
            leaves = pytree.tree_leaves((args, kwargs))
            self.names += [self._parameters[id(leaf)] for leaf in leaves if id(leaf) in self._parameters]
        return result


class _Contents:
    """What containers and objects hold, from one value on."""

    def __init__(self, value: Any) -> None:
        self._kept: list[tuple[str, Any, dict[Any, Any], dict[Any, int]]] = []
        seen: set[int] = set()
        pending = [("", value)]
        while pending and len(self._kept) < _MOST:
            path, one = pending.pop()
            members = None if id(one) in seen else _members(one)
            if members is None:
                continue
            seen.add(id(one))
            # Of tensors in containers a trace keeps the versions.
            inside = {} if isinstance(one, (Mapping, list, tuple)) else members
            versions = {key: version_of(v) for key, v in inside.items() if isinstance(v, Tensor)}
            self._kept.append((path, one, members, versions))
            pending += [(f"{path}[{key!r}]", member) for key, member in members.items()]

    def changed(self) -> str | None:
        """Return where they hold something else by now, or None."""
        for path, one, members, versions in self._kept:
            now = _members(one) or {}
            for key in [*members, *(now.keys() - members.keys())]:
                if key not in now or key not in members or not _same(members[key], now[key]):
                    return f"{path}[{key!r}]"
                if key in versions and version_of(now[key]) != versions[key]:
                    return f"{path}[{key!r}]"
        return None


def _members(value: Any) -> dict[Any, Any] | None:
    """Return what a container or an object holds, or None for what holds nothing that counts."""
    if type(value) in _ATOMS or isinstance(value, (Tensor, nn.Module, np.ndarray, types.FunctionType)):
        return None
    if isinstance(value, (list, tuple, deque)):
        return dict(enumerate(value))
    if isinstance(value, (set, frozenset)):
        return {id(member): member for member in value}
    if _outside(value):
        return None
    members = dict(value) if isinstance(value, dict) else {}
    own = getattr(value, "__dict__", None)
    if isinstance(own, dict):
        members |= {f".{name}": member for name, member in own.items()}
    kind: type = type(value)
    members |= {f".{name}": getattr(value, name) for name in _slots(kind) if hasattr(value, name)}
    return members or ({} if isinstance(value, dict) else None)


def _same(one: Any, other: Any) -> bool:
    return one is other or (type(one) in _ATOMS and type(one) is type(other) and bool(one == other))


@contextmanager
def _counted_gradients() -> Iterator[list[int]]:
    """Count the backward passes that run in this context, whoever asked for them and how."""
    engine, count = getattr(torch.autograd, "_engine_run_backward", None), [0]

    def counting(*args: Any, **kwargs: Any) -> Any:
        count[0] += 1
        return engine(*args, **kwargs) if engine is not None else None

    if engine is None:
        yield count
        return
    torch.autograd._engine_run_backward = counting  # type: ignore[attr-defined]
    try:
        yield count
    finally:
        torch.autograd._engine_run_backward = engine  # type: ignore[attr-defined]
