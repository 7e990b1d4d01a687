"""A model as it was at one moment, and passes through it that leave no trace."""

from __future__ import annotations

import random
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import copy
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

Weights = Mapping[str, Tensor]
LossFunction = Callable[[Any, Any], Tensor]  # (output, target)
Result = TypeVar("Result")

# Swapped as a whole by functional_call, or for the time of a pass by `intercepted`.
_NOT_STATE = frozenset({"_parameters", "_buffers", "_modules", "forward"})
_CONTAINERS = (list, dict, set, deque, OrderedDict)
_GENERATORS = (torch.Generator, np.random.Generator, random.Random)


class RandomStates:
    """The states of the global generators: PyTorch's on every device in use, Python's and NumPy's."""

    def __init__(self) -> None:
        self._cpu = torch.get_rng_state()
        in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        self._cuda = torch.cuda.get_rng_state_all() if in_use else []
        self._python = random.getstate()
        self._numpy = np.random.get_state()  # noqa: NPY002  the global state is what a model may draw from

    def restore(self) -> None:
        """Put the generators back."""
        torch.set_rng_state(self._cpu)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002


class Attributes:
    """What a module and its submodules hold beside parameters, buffers and submodules.

    That is training modes, hooks, generators, batch moments, counters. Tensors, generators' states and
    the contents of plain containers (one level of them) are copied, so that changes in place are undone.
    """

    def __init__(self, module: nn.Module) -> None:
        self._kept = [(m, _copied_attributes(m)) for m in module.modules()]

    def restore(self) -> None:
        """Put everything back, and drop attributes that came since."""
        for module, kept in self._kept:
            there = vars(module)
            for name in there.keys() - kept.keys() - _NOT_STATE:
                del there[name]
            for name, (value, contents) in kept.items():
                there[name] = value
                _refill(value, contents)


def _copied_attributes(module: nn.Module) -> dict[str, tuple[Any, Any]]:
    there = vars(module)
    return {name: (there[name], _contents(there[name])) for name in there if name not in _NOT_STATE}


def _contents(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, random.Random):
        return value.getstate()
    if type(value) in (tuple, *_CONTAINERS):
        members = value.values() if isinstance(value, dict) else value
        inside = [(member, _contents(member)) for member in members if isinstance(member, _GENERATORS)]
        return copy(value), inside
    return None


@torch.no_grad()
def _refill(value: Any, contents: Any) -> None:
    if isinstance(value, Tensor):
        # An untouched tensor isn't written to: autograd would take that for a change.
        if not torch.equal(value, contents):
            value.copy_(contents)
    elif isinstance(value, torch.Generator):
        value.set_state(contents)
    elif isinstance(value, np.random.Generator):
        value.bit_generator.state = contents
    elif isinstance(value, random.Random):
        value.setstate(contents)
    elif contents is not None:
        members, inside = contents
        if not _same(value, members):
            value.clear()
            value.extend(members) if isinstance(value, (list, deque)) else value.update(members)
        for generator, state in inside:
            _refill(generator, state)


def _same(container: Any, contents: Any) -> bool:
    if len(container) != len(contents):
        return False
    if isinstance(container, (set, tuple)):
        return bool(container == contents)
    if isinstance(container, dict):
        return all(k in contents and contents[k] is v for k, v in container.items())
    return all(a is b for a, b in zip(container, contents, strict=True))


class Moment:
    """Weights, buffers, attributes and random states of ``model`` as they are now, all copied.

    Memory: one copy of parameters and buffers.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.weights = copied(model.named_parameters())
        self._buffers = copied(model.named_buffers())
        self._attributes = Attributes(model)
        self._random = RandomStates()

    def run(self, weights: Weights, body: Callable[[nn.Module], Result]) -> Result:
        """Return ``body(model)``, with these parameters and all else as it was at this moment.

        The parameters and buffers proper aren't touched; call it inside ``undisturbed(model)``.
        """
        self._attributes.restore()
        self._random.restore()
        tensors = {f"model.{name}": value for name, value in weights.items()}
        tensors |= {f"model.{name}": value.clone() for name, value in self._buffers.items()}
        result: Result = functional_call(_Inside(self.model), tensors, (body,))
        return result

    def gradients(
        self, tensors: Weights, wanted: Iterable[str], loss_fn: LossFunction, x: Any, y: Any
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the loss and its gradients with respect to ``wanted``, by a pass with ``tensors``.

        ``tensors`` are ``leaves(weights, wanted)``. A parameter that doesn't enter the loss has the
        gradient zero. Raises ``ValueError`` for a loss that isn't a single number.
        """
        inputs = [tensors[name] for name in wanted]

        def body(model: nn.Module) -> tuple[Tensor, list[Tensor]]:
            loss = loss_fn(model(x), y)
            if not isinstance(loss, Tensor) or loss.numel() != 1:
                shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
                raise ValueError(f"loss_fn(output, target) gave {shape}; allowed: a tensor of one number")
            if not inputs or not loss.requires_grad:
                return loss.detach(), [torch.zeros_like(p) for p in inputs]
            found = torch.autograd.grad(loss.reshape(()), inputs, allow_unused=True)
            dense = [
                torch.zeros_like(p) if g is None else g.to_dense() if g.is_sparse else g
                for p, g in zip(inputs, found, strict=True)
            ]
            return loss.detach(), dense

        with torch.enable_grad():
            return self.run(tensors, body)


class _Inside(nn.Module):
    """Lets a function of the model run where ``functional_call`` has swapped the parameters.

    The backward pass runs there too, since checkpointed models call their layers again in it.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, body: Callable[[nn.Module], Result]) -> Result:
        return body(self.model)


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Put back whatever passes through ``model`` leave behind, also when one raises.

    Compiled parts run eagerly. Autocast caches nothing: it would keep the weights of every pass.
    """
    attributes, randomness = Attributes(model), RandomStates()
    cache = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        with _eager():
            yield
    finally:
        torch.set_autocast_cache_enabled(cache)
        attributes.restore()
        randomness.restore()


def _eager() -> Any:
    # Importing dynamo takes seconds, and where nobody has there is nothing compiled.
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


def copied(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Return detached copies by name."""
    return {name: tensor.detach().clone() for name, tensor in tensors}


def leaves(weights: Weights, wanted: Iterable[str]) -> dict[str, Tensor]:
    """Return ``weights`` as leaves of a new graph, of which ``wanted`` alone require gradients."""
    names = set(wanted)
    return {name: value.detach().requires_grad_(name in names) for name, value in weights.items()}


def trainable(model: nn.Module) -> list[str]:
    """Return the names of the parameters that require gradients."""
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def underlying(model: nn.Module) -> nn.Module:
    """Return the module under ``torch.compile``, or ``model``. Raises ``TypeError`` for no module."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}; allowed: a torch.nn.Module")
    while isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
        model = inner
    return model


def check_function(argument: str, value: object) -> None:
    """Raise ``TypeError`` unless ``value`` can be called."""
    if not callable(value):
        raise TypeError(f"{argument} is {value!r}; allowed: a function")
