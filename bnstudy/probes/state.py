"""What a model holds beside parameters and buffers, and how to put it back.

``State(module)`` keeps it and ``restore()`` puts it back: training modes, hooks, counters, caches, batch
moments, generators, in attributes, in objects and containers of any depth, in what hooks close over and
in the classes of the modules. Identities stay: an object is filled again, never exchanged.

What lies outside of the model is left alone (optimisers, data loaders, trainers, loggers, threads, files),
as is what extension types keep to themselves. An iterator can be advanced but not put back, and is refused
by name.
"""

from __future__ import annotations

import array
import enum
import functools
import io
import random
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Swapped as a whole by `Moment.run`, or for the time of a pass by `intercepted`; a constant of PyTorch's.
NOT_STATE = frozenset({"_parameters", "_buffers", "_modules", "forward", "_reversed_padding_repeated_twice"})

_ATOMS = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        range,
        slice,
        type,
        torch.dtype,
        torch.device,
        torch.Size,
    }
    | {torch.memory_format, torch.layout, types.BuiltinFunctionType, types.ModuleType, types.CodeType}
)
# Where the world outside of a model begins: packages of classes, and classes.
_OUTSIDE_PACKAGES = (
    *("torch.optim", "torch.utils.data", "torch.distributed", "torch._dynamo", "torch._inductor", "torch.fx"),
    *("lightning", "pytorch_lightning", "lightning_fabric", "accelerate", "transformers.trainer"),
    *("logging", "threading", "queue", "multiprocessing", "concurrent", "asyncio", "weakref", "socket"),
    *("subprocess", "ctypes"),
)
_OUTSIDE = (type, io.IOBase, enum.Enum)

Restore = Callable[[], Any]


class State:
    """The state of ``module`` and its submodules, beside parameters, buffers and submodules.

    With ``only``, that of these submodules. Raises ``TypeError`` naming what can't be put back.
    """

    def __init__(self, module: nn.Module, only: Iterable[nn.Module] | None = None) -> None:
        self._walk = _Walk(module, only)

    def restore(self) -> None:
        """Put everything back, and drop what came since."""
        for container in self._walk.empty:
            if container:
                container.clear()
        for there, kept in self._walk.spaces:
            _refill(there, kept)
        for restore in self._walk.others:
            restore()


def is_plain(module: nn.Module) -> bool:
    """Whether the module's own attributes are values that can't change in place, and empty containers."""
    for name, value in vars(module).items():
        kind = type(value)
        if kind in _ATOMS or name in NOT_STATE:
            continue
        if kind is tuple and all(type(member) in _ATOMS for member in value):
            continue
        if kind not in _EMPTIABLE or value:
            return False
    return True


class _Walk:
    """Everything that can be reached from a module, with copies of what can change."""

    def __init__(self, module: nn.Module, only: Iterable[nn.Module] | None) -> None:
        self.empty: list[Any] = []
        self.spaces: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
        self.others: list[Restore] = []
        self._alive: list[Any] = []  # what has no name of its own keeps its id while it is walked
        self._seen: set[int] = set()
        self._pending: list[tuple[str, Any]] = []
        for inside in module.modules():
            self._seen.add(id(inside))
            for tensor in (*inside._parameters.values(), *inside._buffers.values()):
                self._seen.add(id(tensor))
        named = module.named_modules() if only is None else ((type(m).__name__, m) for m in only)
        for name, inside in named:
            there = vars(inside)
            kept = {key: value for key, value in there.items() if key not in NOT_STATE}
            self.spaces.append((there, kept))
            self._add_all(name, kept)
            self._class_of(inside, name)
        while self._pending:
            self._visit(*self._pending.pop())

    def _add(self, name: str, value: Any) -> None:
        if type(value) not in _ATOMS and id(value) not in self._seen:
            self._pending.append((name, value))

    def _add_all(self, name: str, values: dict[Any, Any]) -> None:
        atoms, seen, empty = _ATOMS, self._seen, self.empty
        for key, value in values.items():
            kind = type(value)
            if kind in atoms or id(value) in seen:
                continue
            if kind in _EMPTIABLE and not value:
                seen.add(id(value))
                empty.append(value)
            else:
                self._pending.append((f"{name}.{key}" if name else str(key), value))

    def _visit(self, name: str, value: Any) -> None:
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        self._alive.append(value)
        if isinstance(value, Tensor):
            if not value.is_meta:
                self.others.append(_tensor(value))
        elif isinstance(value, (list, deque, dict, set)):
            self._container(name, value)
        elif isinstance(value, (tuple, frozenset)):
            self._add_all(name, dict(enumerate(value)))
        elif (stateful := _stateful(value)) is not None:
            self.others.append(stateful)
        elif isinstance(value, types.FunctionType):
            self._function(name, value)
        elif isinstance(value, types.MethodType):
            self._add(name, value.__self__)
            self._add(name, value.__func__)
        elif isinstance(value, functools.partial):
            self._add(name, value.func)
            self._add_all(name, dict(enumerate(value.args)) | value.keywords)
        elif not _outside(value):
            self._object(name, value)

    def _container(self, name: str, value: Any) -> None:
        if isinstance(value, dict):
            kept = dict(value)
            self.others.append(functools.partial(_refill_mapping, value, kept))
            self._add_all(name, kept)
        else:
            members = set(value) if isinstance(value, set) else list(value)
            self.others.append(functools.partial(_refill_members, value, members))
            self._add_all(name, dict(enumerate(members)))
        if hasattr(value, "__dict__"):
            self._object(name, value)

    def _function(self, name: str, function: types.FunctionType) -> None:
        for cell, variable in zip(function.__closure__ or (), function.__code__.co_freevars, strict=True):
            try:
                contents = cell.cell_contents
            except ValueError:  # not filled yet
                continue
            if id(cell) not in self._seen:
                self._seen.add(id(cell))
                self.others.append(functools.partial(setattr, cell, "cell_contents", contents))
                self._add(f"{name}.{variable}", contents)
        if function.__defaults__:
            self._add_all(name, dict(enumerate(function.__defaults__)))
        if function.__dict__:
            self.spaces.append((function.__dict__, dict(function.__dict__)))
            self._add_all(name, function.__dict__)

    def _object(self, name: str, value: Any) -> None:
        if hasattr(type(value), "__next__") and not hasattr(value, "__dict__"):
            raise TypeError(
                f"model's {name} is a {type(value).__name__}, which a forward pass may advance and nothing "
                "can put back; allowed: state in attributes, containers or generators of random numbers"
            )
        there = getattr(value, "__dict__", None)
        if isinstance(there, dict):
            kept = dict(there)
            self.spaces.append((there, kept))
            self._add_all(name, kept)
        kind: type = type(value)
        slots = {slot: getattr(value, slot) for slot in _slots(kind) if hasattr(value, slot)}
        if slots:
            self.others.append(functools.partial(_refill_slots, value, slots))
            self._add_all(name, slots)
        self._class_of(value, name)

    def _class_of(self, value: Any, name: str) -> None:
        """Keep what the value's own classes hold, as counters and caches of all instances."""
        for kind in type(value).__mro__:
            if id(kind) in self._seen:
                continue
            self._seen.add(id(kind))
            if _is_library(kind):
                continue
            kept = {k: v for k, v in vars(kind).items() if not k.startswith("__") and _may_change(v)}
            if kept:
                self.others.append(functools.partial(_refill_class, kind, kept))
                self._add_all(f"{name} ({kind.__name__})", kept)


_EMPTIABLE = frozenset({dict, list, set, OrderedDict})


def _outside(value: Any) -> bool:
    if isinstance(value, _OUTSIDE):
        return True
    return any(_in_packages(kind.__module__, _OUTSIDE_PACKAGES) for kind in type(value).__mro__)


@functools.lru_cache(maxsize=4096)
def _in_packages(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@functools.lru_cache(maxsize=4096)
def _is_library(kind: type) -> bool:
    """Whether a class is Python's or PyTorch's own: such classes hold no model's state."""
    if not kind.__flags__ & (1 << 9):  # an extension type
        return True
    return _in_packages(kind.__module__, ("torch", "builtins", "collections", "typing", "abc", "enum"))


def _may_change(value: Any) -> bool:
    if isinstance(value, (types.FunctionType, type, property, staticmethod, classmethod)):
        return False
    return not hasattr(type(value), "__get__")


@functools.lru_cache(maxsize=4096)
def _slots(kind: type) -> tuple[str, ...]:
    found: list[str] = []
    for base in kind.__mro__:
        names = vars(base).get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if name not in ("__dict__", "__weakref__"):
                private = name.startswith("__") and not name.endswith("__")
                found.append(f"_{base.__name__.lstrip('_')}{name}" if private else name)
    return tuple(found)


def _stateful(value: Any) -> Restore | None:
    """Return what puts back a value whose state has an interface of its own, or None."""
    if isinstance(value, torch.Generator):
        return functools.partial(value.set_state, value.get_state())
    if isinstance(value, np.random.Generator):
        return functools.partial(setattr, value.bit_generator, "state", value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return functools.partial(value.set_state, value.get_state())
    if isinstance(value, random.Random):
        return functools.partial(value.setstate, value.getstate())
    if isinstance(value, np.ndarray):
        return functools.partial(np.copyto, value, value.copy()) if value.flags.writeable else None
    if isinstance(value, (bytearray, array.array)):
        return functools.partial(_refill_members, value, value[:])
    return None


def _tensor(tensor: Tensor) -> Restore:
    kept = tensor.detach().clone()

    @torch.no_grad()
    def restore() -> None:
        # An untouched tensor isn't written to: autograd would take that for a change.
        if tensor.layout != torch.strided or not torch.equal(tensor, kept):
            tensor.copy_(kept)

    return restore


def _refill(there: dict[Any, Any], kept: dict[Any, Any]) -> None:
    absent = _ABSENT
    for name, value in kept.items():
        if there.get(name, absent) is not value:
            there[name] = value
    if len(there) > len(kept):
        for name in there.keys() - kept.keys() - NOT_STATE:
            del there[name]


def _refill_mapping(there: dict[Any, Any], kept: dict[Any, Any]) -> None:
    # The order too: a cache may go by it.
    same = len(there) == len(kept) and _all_same(there, kept) and _all_same(there.values(), kept.values())
    if not same:
        there.clear()
        there.update(kept)


def _refill_members(there: Any, kept: Any) -> None:
    if len(there) == len(kept):
        same = there == kept if isinstance(there, set) else _all_same(there, kept)
        if same:
            return
    if isinstance(there, (list, bytearray, array.array)):
        there[:] = kept
    else:
        there.clear()
        there.extend(kept) if isinstance(there, deque) else there.update(kept)


def _all_same(a: Iterable[Any], b: Iterable[Any]) -> bool:
    return all(x is y for x, y in zip(a, b, strict=True))


def _refill_slots(value: Any, kept: dict[str, Any]) -> None:
    kind: type = type(value)
    for name in _slots(kind):
        if name in kept:
            if getattr(value, name, _ABSENT) is not kept[name]:
                object.__setattr__(value, name, kept[name])
        elif hasattr(value, name):
            object.__delattr__(value, name)


def _refill_class(kind: type, kept: dict[str, Any]) -> None:
    for name, value in kept.items():
        if vars(kind).get(name, _ABSENT) is not value:
            setattr(kind, name, value)


_ABSENT: Iterator[Any] = iter(())
