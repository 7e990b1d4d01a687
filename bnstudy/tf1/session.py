"""Running a graph: each operation at most once a ``run``, variables kept by the session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from bnstudy.tf1.errors import InvalidArgumentError
from bnstudy.tf1.graph import Graph, Operation, Tensor, as_operation, get_default_graph
from bnstudy.tf1.shapes import TensorShape

_SESSIONS: list[Session] = []


class Run:
    """The values of one ``Session.run``."""

    def __init__(self, session: Session, watched: set[Tensor]) -> None:
        self.session = session
        self.watched = watched
        self.values: dict[Operation, tuple[torch.Tensor, ...]] = {}

    def value(self, tensor: Tensor) -> torch.Tensor:
        """Return the value of ``tensor``, whose operation has run."""
        return self.values[tensor.op][tensor.index]

    def store(self, op: Operation, values: tuple[torch.Tensor, ...]) -> None:
        """Keep the outputs of ``op``; those that gradients are asked for become differentiable."""
        watched = [
            v.detach().requires_grad_()
            if t in self.watched and not v.requires_grad and v.is_floating_point()
            else v
            for t, v in zip(op.outputs, values, strict=False)
        ]
        self.values[op] = tuple(watched)

    def evaluate(self, targets: Sequence[Operation]) -> None:
        """Run ``targets`` and what they need, without recursion (graphs can be deep)."""
        stack = list(reversed(targets))
        while stack:
            op = stack[-1]
            if op in self.values:
                stack.pop()
                continue
            missing = [needed for needed in op.requires(self) if needed not in self.values]
            if missing:
                stack.extend(reversed(missing))
                continue
            self.store(op, op.execute(self))
            stack.pop()


class Session:
    """Holds the values of variables and runs operations of one graph.

    ``device`` is where it computes (an addition to TensorFlow's arguments); ``target`` and
    ``config`` are accepted and ignored.
    """

    def __init__(
        self, target: str = "", graph: Graph | None = None, config: Any = None, device: str = "cpu"
    ) -> None:
        del target, config
        self.graph = graph or get_default_graph()
        self.device = torch.device(device)
        self.storage: dict[Any, torch.Tensor] = {}
        self.generators: dict[Operation, torch.Generator] = {}
        self._watched: dict[tuple[Operation, ...], set[Tensor]] = {}

    def __enter__(self) -> Session:
        _SESSIONS.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        _SESSIONS.remove(self)

    def as_default(self) -> Session:
        """Return it, to be the default session of a ``with`` block."""
        return self

    def close(self) -> None:
        """Forget the variables' values."""
        self.storage.clear()

    def run(self, fetches: Any, feed_dict: dict[Any, Any] | None = None) -> Any:
        """Return the values of ``fetches``: a tensor, variable, name, or a list, tuple or dict of them.

        An operation's value is None.

        Raises ``InvalidArgumentError`` for a placeholder without a value, ``ValueError`` for a value of
        the wrong shape, ``FailedPreconditionError`` for a variable that is not initialised.
        """
        flat: list[Any] = []
        _flatten(fetches, self.graph, flat)
        targets = tuple(as_operation(f) for f in flat)
        if targets not in self._watched:
            self._watched[targets] = _gradient_sources(targets)
        watched = self._watched[targets]
        run = Run(self, watched)
        for key, value in (feed_dict or {}).items():
            self._feed(run, key, value)
        with torch.set_grad_enabled(bool(watched)):
            run.evaluate(targets)
        return _unflatten(fetches, iter([_fetched(run, f) for f in flat]))

    def _feed(self, run: Run, key: Any, value: Any) -> None:
        tensor = key if isinstance(key, Tensor) else getattr(key, "snapshot", None)
        if tensor is None or len(tensor.op.outputs) != 1:
            raise TypeError(f"Cannot interpret feed_dict key as Tensor: {key!r}")
        if isinstance(value, torch.Tensor):
            array = value.detach().to(self.device, tensor.dtype.torch)
        else:
            array = torch.from_numpy(np.array(value)).to(self.device, tensor.dtype.torch)
        if not tensor.shape.is_compatible_with(TensorShape(list(array.shape))):
            raise ValueError(
                f"Cannot feed value of shape {tuple(array.shape)} for Tensor {tensor.name!r}, "
                f"which has shape '{tensor.shape}'"
            )
        run.store(tensor.op, (array,))


class InteractiveSession(Session):
    """A session that is the default one from the start."""

    def __init__(
        self, target: str = "", graph: Graph | None = None, config: Any = None, device: str = "cpu"
    ) -> None:
        super().__init__(target, graph, config, device)
        _SESSIONS.append(self)

    def close(self) -> None:
        """Forget the variables' values and stop being the default."""
        super().close()
        if self in _SESSIONS:
            _SESSIONS.remove(self)


class Gradients(Operation):
    """Derivatives of the sum of its first inputs by the others (``sources``)."""

    sources: Sequence[Tensor] = ()


def default_session(session: Any = None) -> Session:
    """Return ``session`` or the one whose ``with`` block this is; ``ValueError`` without either."""
    if isinstance(session, Session):
        return session
    if not _SESSIONS:
        raise ValueError(
            "Cannot evaluate tensor using `eval()`: No default session is registered. Use "
            "`with sess.as_default()` or pass an explicit session to `eval(session=sess)`"
        )
    return _SESSIONS[-1]


def missing_feed(name: str) -> InvalidArgumentError:
    """Return the error of a placeholder without a value."""
    return InvalidArgumentError(f"You must feed a value for placeholder tensor {name!r}")


def _gradient_sources(targets: Sequence[Operation]) -> set[Tensor]:
    seen: set[Operation] = set()
    sources: set[Tensor] = set()
    stack = list(targets)
    while stack:
        op = stack.pop()
        if op in seen:
            continue
        seen.add(op)
        if isinstance(op, Gradients):
            sources.update(op.sources)
        stack.extend([*op.control_inputs, *(t.op for t in op.inputs)])
    return sources


def _flatten(fetches: Any, graph: Graph, into: list[Any]) -> None:
    if isinstance(fetches, dict):
        for value in fetches.values():
            _flatten(value, graph, into)
    elif isinstance(fetches, (list, tuple)):
        for value in fetches:
            _flatten(value, graph, into)
    elif isinstance(fetches, str):
        into.append(graph.get_tensor_by_name(fetches))
    elif isinstance(fetches, (Tensor, Operation)):
        into.append(fetches)
    elif hasattr(fetches, "snapshot"):
        into.append(fetches.snapshot)
    else:
        raise TypeError(f"Fetch argument {fetches!r} has invalid type {type(fetches)}")


def _unflatten(fetches: Any, values: Any) -> Any:
    if isinstance(fetches, dict):
        return {key: _unflatten(value, values) for key, value in fetches.items()}
    if isinstance(fetches, (list, tuple)):
        return type(fetches)([_unflatten(value, values) for value in fetches])
    return next(values)


def _fetched(run: Run, fetch: Any) -> Any:
    if isinstance(fetch, Operation):
        return None
    value = run.value(fetch).detach().cpu()
    if value.dtype == torch.bfloat16:
        value = value.float()
    return value.numpy().copy()[()]
