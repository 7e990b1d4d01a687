"""How a batch goes through a model, whatever the batch is.

All that calls a user's model goes through a ``Feed``, so that every measurement takes the same batches::

    feed = Feed(forward=forward, loss_fn=loss_fn, autocast=autocast)  # the user's arguments, checked
    output, target = feed.outcome(model, x, y)                        # or feed.output, feed.loss
    for x, y in parts(x, y): ...                                      # the micro-batches of a step

Without ``forward`` a tuple of inputs is passed as several and a mapping by name, where the model's
signature allows; anything else is one input. With ``forward`` it gets the batch as it was given: ``x``
alone where there is no ``y``, else the pair.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

# (model, batch) -> (output, target)
Forward = Callable[[Any, Any], tuple[Any, Any]]
# (output, target) -> a tensor of one number
LossFunction = Callable[[Any, Any], Tensor]
Autocast = Callable[[], AbstractContextManager[Any]]

RECIPE = "forward=lambda model, batch: (output, target)"


@dataclass(frozen=True)
class MicroBatches:
    """The micro-batches of one accumulated step, where the whole step stands in the body.

    ``batches`` are pairs (x, y), or what ``forward`` takes. Gradients and losses are means over them, as
    where each micro-batch's loss is divided by their number.
    """

    batches: Iterable[Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "batches", list(self.batches))
        if not self.batches:
            raise ValueError("batches is empty; allowed: at least one micro-batch")


class Feed:
    """Passes batches through a model.

    Args:
        forward: ``forward(model, batch)``, which returns (output, target); by default ``model(x)``.
        loss_fn: ``loss_fn(output, target)``, a tensor of one number. None where nothing needs a loss, or
            where ``forward``'s output is the loss.
        autocast: a function without arguments that returns the context that every pass runs in, such as
            ``lambda: torch.autocast("cuda", torch.bfloat16)``; by default the state of the caller.
    """

    def __init__(
        self,
        *,
        forward: Forward | None = None,
        loss_fn: LossFunction | None = None,
        autocast: Autocast | None = None,
    ) -> None:
        for name, value in (("forward", forward), ("loss_fn", loss_fn), ("autocast", autocast)):
            if value is not None:
                check_function(name, value)
        self._forward = forward
        self._loss_fn = loss_fn
        self._autocast: Autocast = autocast or nullcontext

    def outcome(self, model: nn.Module, x: Any, y: Any = None) -> tuple[Any, Any]:
        """Return (output, target) of one batch."""
        with self._autocast():
            return self._outcome(model, x, y)

    def output(self, model: nn.Module, x: Any, y: Any = None) -> Any:
        """Return what the model makes of one batch."""
        return self.outcome(model, x, y)[0]

    def loss(self, model: nn.Module, x: Any, y: Any = None) -> Tensor:
        """Return the loss of one batch, with no axes. Raises ``ValueError`` unless it is a single number."""
        with self._autocast():
            output, target = self._outcome(model, x, y)
            loss = output if self._loss_fn is None else self._loss_fn(output, target)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            what = "loss_fn(output, target)" if self._loss_fn is not None else "forward's output, the loss,"
            raise ValueError(f"{what} gave {shape}; allowed: a tensor of one number")
        return loss.reshape(())

    def split(self, batch: Any) -> tuple[Any, Any]:
        """Return (x, y) of a loader's batch: its two members, or the whole of it for ``forward``."""
        if self._forward is None and isinstance(batch, (tuple, list)) and len(batch) == 2:
            return batch[0], batch[1]
        return batch, None

    def _outcome(self, model: nn.Module, x: Any, y: Any) -> tuple[Any, Any]:
        if self._forward is None:
            return called(model, x), y
        outcome = self._forward(model, x if y is None else (x, y))
        if not isinstance(outcome, tuple) or len(outcome) != 2:
            raise TypeError(f"forward returned a {type(outcome).__name__}; allowed: a pair (output, target)")
        return outcome


def called(model: nn.Module, x: Any) -> Any:
    """Return ``model`` of ``x``; a tuple is several inputs, a mapping named ones, where it takes them so."""
    if type(x) is tuple and _takes(model, *x):
        return model(*x)
    if isinstance(x, Mapping) and _takes(model, **x):
        return model(**x)
    if not _takes(model, x):
        names = (
            f"{list(x)}"
            if isinstance(x, Mapping)
            else f"{len(x)} inputs"
            if type(x) is tuple
            else "one input"
        )
        signature = str(inspect.signature(type(model).forward)).replace("(self, ", "(")
        raise TypeError(f"x has {names}, and model.forward is {signature}; give {RECIPE}")
    return model(x)


def parts(x: Any, y: Any = None) -> list[tuple[Any, Any]]:
    """Return the micro-batches (x, y) of a step: those of ``MicroBatches``, or the batch alone."""
    if not isinstance(x, MicroBatches):
        return [(x, y)]
    return [batch if type(batch) is tuple and len(batch) == 2 else (batch, None) for batch in x.batches]


def check_function(argument: str, value: object) -> None:
    """Raise ``TypeError`` unless ``value`` can be called."""
    if not callable(value):
        raise TypeError(f"{argument} is {value!r}; allowed: a function")


def _takes(model: nn.Module, *args: Any, **kwargs: Any) -> bool:
    # The class's, since an instance's own may be one that stands in for it and takes anything.
    try:
        inspect.signature(type(model).forward).bind(model, *args, **kwargs)
    except TypeError:
        return False
    except ValueError:  # no signature to be had
        pass
    return True
