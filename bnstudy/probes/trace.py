"""Which modules a pass calls and which parameters it uses, in what order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from bnstudy.probes.calls import Key, Path, intercepted, version_of


@dataclass(frozen=True)
class Layer:
    """A module that owns parameters: names, and the tick at which it first came into play."""

    name: str
    parameters: tuple[str, ...]
    start: float


@dataclass
class _Call:
    key: Key
    start: int
    end: float = math.inf
    # Whether it leaves its inputs alone, so that skipping it changes nothing for others.
    pure: bool = True
    outputs: list[tuple[Tensor, int]] = field(default_factory=list)
    children: list[_Call] = field(default_factory=list)


class Trace(TorchFunctionMode):
    """Watches one pass with ``tensors`` for parameters: which calls there are, and when.

    Parameters that a parent uses without calling their module (attention's output projection, tied
    weights) are seen as well. ``mutated`` are the calls whose output was changed in place later.
    """

    def __init__(self, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._model = model
        self._names = {id(tensor): name for name, tensor in tensors.items()}
        self._ticks = itertools.count()
        self._path = Path()
        self._stack = [_Call((), next(self._ticks))]
        self._called: dict[nn.Module, int] = {}
        self._used: dict[str, int] = {}
        self.mutated: set[Key] = set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the pass that runs in this context."""
        with intercepted(self._model, self._around), self:
            yield
        pending = [self._stack[0]]
        while pending:
            call = pending.pop()
            pending += call.children
            if any(version_of(tensor) != version for tensor, version in call.outputs):
                self.mutated.add(call.key)
            call.outputs.clear()

    def layers(self) -> list[Layer]:
        """Return the layers in order of first execution; parameters held twice go to the first of them."""
        owners: dict[int, list[tuple[float, str]]] = {}
        for name, module in self._model.named_modules():
            for parameter in module.parameters(recurse=False):
                start = self._called.get(module, math.inf)
                owners.setdefault(id(parameter), []).append((start, name))
        held: dict[str, list[str]] = {}
        for name, parameter in self._model.named_parameters():
            held.setdefault(min(owners[id(parameter)])[1], []).append(name)
        found = []
        for name, parameters in held.items():
            starts = [self._used.get(parameter, math.inf) for parameter in parameters]
            starts.append(self._called.get(self._model.get_submodule(name), math.inf))
            found.append(Layer(name, tuple(parameters), min(starts)))
        return sorted((layer for layer in found if layer.start < math.inf), key=lambda layer: layer.start)

    def finished_before(self, layer: Layer) -> set[Key]:
        """Return the largest calls that were over when ``layer`` began, and can be skipped."""
        keys = set()
        pending = [self._stack[0]]
        while pending:
            call = pending.pop()
            if call.key and call.end < layer.start and call.pure:
                keys.add(call.key)
            elif call.start < layer.start:
                pending += call.children
        return keys

    def _around(self, module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self._path.into(module) as key:
            call = _Call(key, next(self._ticks))
            self._called.setdefault(module, call.start)
            self._stack[-1].children.append(call)
            self._stack.append(call)
            try:
                inputs = _versions((args, kwargs))
                output = forward(*args, **kwargs)
                call.pure = all(version_of(tensor) == version for tensor, version in inputs)
                call.outputs = _versions(output)
            finally:
                self._stack.pop()
            call.end = next(self._ticks)
        return output

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Note the first use of every parameter that a value is computed from."""
        del types
        result = func(*args, **(kwargs or {}))
        # A shape, a dtype or a flag is no use of the values.
        if any(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(result)):
            for leaf in pytree.tree_leaves((args, kwargs)):
                name = self._names.get(id(leaf))
                if name is not None and name not in self._used:
                    self._used[name] = next(self._ticks)
        return result


def _versions(tree: Any) -> list[tuple[Tensor, int]]:
    return [(leaf, version_of(leaf)) for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]
