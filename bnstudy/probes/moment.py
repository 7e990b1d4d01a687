"""A model as it was at one moment, and passes through it that leave no trace.

::

    moment = Moment(model)                     # a copy of weights, buffers, state and random states
    with undisturbed(model), torch.no_grad():  # puts everything back, also when a pass raises
        output = moment.run(moment.weights, lambda model: model(x))
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from copy import copy
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from bnstudy.probes.forward import Feed
from bnstudy.probes.state import State

Weights = Mapping[str, Tensor]
Result = TypeVar("Result")


class RandomStates:
    """The states of the global generators: PyTorch's on every device in use, Python's and NumPy's."""

    def __init__(self) -> None:
        self._cpu = torch.get_rng_state()
        in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        self._cuda = torch.cuda.get_rng_state_all() if in_use else []
        self._python = random.getstate()
        self._numpy = np.random.get_state()  # noqa: NPY002  the global state is what a model may draw from

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RandomStates) or len(self._cuda) != len(other._cuda):
            return False
        return (
            torch.equal(self._cpu, other._cpu)
            and all(torch.equal(a, b) for a, b in zip(self._cuda, other._cuda, strict=True))
            and self._python == other._python
            and all(np.array_equal(a, b) for a, b in zip(self._numpy, other._numpy, strict=True))
        )

    __hash__ = None  # type: ignore[assignment]

    def restore(self) -> None:
        """Put the generators back."""
        torch.set_rng_state(self._cpu)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002


class Moment:
    """Weights, buffers, state and random states of ``model`` as they are now, all copied.

    Memory: one copy of parameters and buffers.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.weights = copied(model.named_parameters())
        self._buffers = copied(model.named_buffers())
        self._state = State(model)
        self._random = RandomStates()
        names = {id(tensor): name for name, tensor in (*model.named_parameters(), *model.named_buffers())}
        # The dictionaries that hold tensors, with the first name in the model of what each entry holds.
        self._holders = [
            (there, {key: None if tensor is None else names[id(tensor)] for key, tensor in there.items()})
            for module in model.modules()
            for there in cast("list[dict[str, Any]]", [module._parameters, module._buffers])
        ]

    def run(self, weights: Weights, body: Callable[[nn.Module], Result]) -> Result:
        """Return ``body(model)``, with these parameters and all else as it was at this moment.

        The parameters and buffers proper aren't touched; call it inside ``undisturbed(model)``.
        """
        self._state.restore()
        self._random.restore()
        tensors = {**weights, **{name: value.clone() for name, value in self._buffers.items()}}
        kept = [(there, dict(there)) for there, _ in self._holders]
        try:
            for there, names in self._holders:
                _exchange(there, {key: name and tensors[name] for key, name in names.items()})
            return body(self.model)
        finally:
            for there, held in kept:
                _exchange(there, held)

    def with_later_noise(self) -> Moment:
        """Return this moment, but with the random states and the state in objects as they are now.

        After a pass of this moment, whose generators have moved on, a pass of that one draws what the next
        would.
        """
        later = copy(self)
        later._state = State(self.model)
        later._random = RandomStates()
        return later

    def gradients(
        self, tensors: Weights, wanted: Iterable[str], feed: Feed, batches: Sequence[tuple[Any, Any]]
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the loss and its gradients with respect to ``wanted``, by passes with ``tensors``.

        Both are means over ``batches``, the step's micro-batches (x, y). ``tensors`` are
        ``leaves(weights, wanted)``. A parameter that doesn't enter the loss has the gradient zero. Raises
        ``ValueError`` for a loss that isn't a single number.
        """
        inputs = [tensors[name] for name in wanted]

        def body(model: nn.Module) -> tuple[Tensor, list[Tensor]]:
            losses: list[Tensor] = []
            sums: list[Tensor] = []
            for x, y in batches:
                loss = feed.loss(model, x, y)
                found = _gradients(loss, inputs)
                losses.append(loss.detach())
                sums = [a + b for a, b in zip(sums, found, strict=True)] if sums else found
            if len(batches) == 1:
                return losses[0], sums
            return torch.stack(losses).mean(), [g / len(batches) for g in sums]

        with torch.enable_grad():
            return self.run(tensors, body)


def _exchange(there: dict[str, Any], contents: dict[str, Any]) -> None:
    if there or contents:
        there.clear()
        there.update(contents)


def _gradients(loss: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    if not inputs or not loss.requires_grad:
        return [torch.zeros_like(p) for p in inputs]
    try:
        found = torch.autograd.grad(loss, inputs, allow_unused=True)
    except RuntimeError as error:
        if "use_reentrant" not in str(error):
            raise
        raise RuntimeError(
            "model uses reentrant checkpointing, through which PyTorch gives no gradient of single "
            "parameters; allowed: torch.utils.checkpoint.checkpoint(..., use_reentrant=False)"
        ) from error
    return [
        torch.zeros_like(p) if g is None else g.to_dense() if g.is_sparse else g
        for p, g in zip(inputs, found, strict=True)
    ]


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Put back whatever passes through ``model`` leave behind, also when one raises.

    Compiled parts run eagerly. Autocast caches nothing: it would keep the weights of every pass.
    """
    state, randomness = State(model), RandomStates()
    cache = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        with _eager():
            yield
    finally:
        torch.set_autocast_cache_enabled(cache)
        state.restore()
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
    """Return the module under ``torch.compile``, ``DistributedDataParallel`` and ``DataParallel``.

    What is measured on it is then of this process's batch alone. Raises ``TypeError`` for no module, and
    for one whose parameters are spread over processes.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}; allowed: a torch.nn.Module")
    while True:
        if isinstance(model, (DistributedDataParallel, DataParallel)):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            break
    for name, module in model.named_modules():
        if any(_is_sharded(p) for p in (module, *module._parameters.values())):
            raise TypeError(
                f"model is sharded over processes at {name or 'its root'!r} (FSDP); allowed: DDP, or a copy "
                "with whole parameters, from torch.distributed.checkpoint.state_dict.get_model_state_dict"
            )
    return model


def _is_sharded(thing: object) -> bool:
    # By name: importing either takes long, and needs a PyTorch that was built with distribution.
    return type(thing).__name__ in ("FullyShardedDataParallel", "DTensor")
