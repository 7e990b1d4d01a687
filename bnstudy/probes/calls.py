"""The calls of modules within one forward pass: their order, and how to skip those already known."""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from bnstudy.probes.moment import Attributes, RandomStates

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


class _Path:
    """Where in the tree of calls a pass is."""

    def __init__(self) -> None:
        self._frames: list[tuple[Key, Counter[nn.Module]]] = [((), Counter())]

    @contextmanager
    def into(self, module: nn.Module) -> Iterator[Key]:
        parent, seen = self._frames[-1]
        key = (*parent, (module, seen[module]))
        seen[module] += 1
        self._frames.append((key, Counter()))
        try:
            yield key
        finally:
            self._frames.pop()


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
    """Watches one forward pass with ``tensors`` for parameters: which calls there are, and when.

    Parameters that a parent uses without calling
    their module (attention's output projection, tied weights) are seen as well.
    """

    def __init__(self, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._model = model
        self._names = {id(tensor): name for name, tensor in tensors.items()}
        self._ticks = itertools.count()
        self._path = _Path()
        self._stack = [_Call((), next(self._ticks))]
        self._called: dict[nn.Module, int] = {}
        self._used: dict[str, int] = {}
        self._mutated: set[Key] = set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the pass that runs in this context."""
        with intercepted(self._model, self._around), self:
            yield
        pending = [self._stack[0]]
        while pending:
            call = pending.pop()
            pending += call.children
            if any(tensor._version != version for tensor, version in call.outputs):
                self._mutated.add(call.key)
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

    def record(self, keys: Collection[Key]) -> Recording:
        """Return the recorder of these calls in another pass."""
        return Recording(set(keys), self._mutated)

    def _around(self, module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self._path.into(module) as key:
            call = _Call(key, next(self._ticks))
            self._called.setdefault(module, call.start)
            self._stack[-1].children.append(call)
            self._stack.append(call)
            try:
                inputs = _versions((args, kwargs))
                output = forward(*args, **kwargs)
                call.pure = all(tensor._version == version for tensor, version in inputs)
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
        self._attributes = Attributes(self.module)
        self._buffers = [b.clone() for b in self.module.buffers()]

    @torch.no_grad()
    def replay(self) -> Any:
        self._random.restore()
        self._attributes.restore()
        for buffer, value in zip(self.module.buffers(), self._buffers, strict=True):
            buffer.copy_(value)
        return _clone(self.output) if self.mutated else self.output


class Recording:
    """The effects of chosen calls in one pass, replayed in later ones.

    Memory: the outputs of those calls.
    """

    def __init__(self, keys: set[Key], mutated: set[Key]) -> None:
        self._keys = keys
        self._mutated = mutated
        self._effects: dict[Key, _Effects] = {}

    @contextmanager
    def made_in(self, model: nn.Module) -> Iterator[None]:
        """Record the pass that runs in this context."""
        path = _Path()

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
        path = _Path()

        def around(module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            with path.into(module) as key:
                known = self._effects.get(key) if key in keys else None
                return forward(*args, **kwargs) if known is None else known.replay()

        with intercepted(model, around):
            yield


def _versions(tree: Any) -> list[tuple[Tensor, int]]:
    return [(tensor, tensor._version) for tensor in _tensors(tree)]


def _tensors(tree: Any) -> Iterable[Tensor]:
    return (leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor))


def _clone(tree: Any) -> Any:
    return pytree.tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, tree)
