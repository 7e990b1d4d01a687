"""Running a graph: each operation at most once a ``run``, variables kept by the session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from bnstudy.tf1.graph import SESSIONS, Graph, Operation, Tensor, as_operation, get_default_graph
from bnstudy.tf1.memory import keep_freed
from bnstudy.tf1.run import Plan, Run
from bnstudy.tf1.shapes import TensorShape
from bnstudy.tf1.watch import Watch


class Session:
    """Holds the values of variables and runs operations of one graph.

    ``device`` is where it computes (an addition to TensorFlow's arguments); ``target`` and
    ``config`` are accepted and ignored. The first session has the process keep the memory that it frees (see
    ``bnstudy.tf1.memory``).
    """

    def __init__(
        self, target: str = "", graph: Graph | None = None, config: Any = None, device: str = "cpu"
    ) -> None:
        del target, config
        keep_freed()
        self.graph = graph or get_default_graph()
        self.device = torch.device(device)
        self.storage: dict[Any, torch.Tensor] = {}
        self.generators: dict[Operation, torch.Generator] = {}
        self._plans: dict[tuple[tuple[Operation, ...], frozenset[Operation]], Plan] = {}
        self._watch = Watch(self.graph)
        self._graph_contexts: list[Any] = []
        self._closed = False

    def __enter__(self) -> Session:
        SESSIONS.append(self)
        context = self.graph.as_default()
        context.__enter__()
        self._graph_contexts.append(context)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._graph_contexts.pop().__exit__(*exception)
        SESSIONS.remove(self)
        self.close()

    @contextmanager
    def as_default(self) -> Iterator[Session]:
        """Return a context in which it is the default session, and after which it is still open."""
        SESSIONS.append(self)
        try:
            with self.graph.as_default():
                yield self
        finally:
            SESSIONS.remove(self)

    def close(self) -> None:
        """Forget the variables' values; it can't run any more."""
        self.storage.clear()
        self._closed = True

    def run(
        self,
        fetches: Any,
        feed_dict: dict[Any, Any] | None = None,
        options: Any = None,
        run_metadata: Any = None,
    ) -> Any:
        """Return the values of ``fetches``: a tensor, variable, name, or a list, tuple or dict of them.

        An operation's value is None. ``options`` and ``run_metadata`` are accepted and ignored.

        Raises ``InvalidArgumentError`` for a placeholder without a value and for a value that belongs to a
        branch not taken, ``ValueError`` for a value of the wrong shape and for what is inside a branch of
        ``tf.cond``, ``FailedPreconditionError`` for a variable that is not initialised, ``RuntimeError``
        after ``close``.
        """
        del options, run_metadata
        if self._closed:
            raise RuntimeError("Attempted to use a closed Session.")
        flat: list[Any] = []
        _flatten(fetches, self.graph, flat)
        targets = tuple(as_operation(f) for f in flat)
        fed = {self._fed(key): value for key, value in (feed_dict or {}).items()}
        key = targets, frozenset(t.op for t in fed)
        plan, new = self._plans.get(key), False
        if plan is None:
            for op in targets:
                _check_fetchable(op, self.graph)
            plan, new = Plan(targets, key[1]), True
            self._plans[key] = plan
        self._watch.before(plan, new=new)
        run = Run(self, plan)
        for tensor, value in fed.items():
            run.feed(tensor, self._value(tensor, value))
        run.evaluate()
        return _unflatten(fetches, iter([_fetched(run, f) for f in flat]))

    def load(self, variable: Any, value: torch.Tensor) -> None:
        """Set a variable's value at once."""
        self._watch.assigned(variable.op.name)
        self.storage[variable] = value

    def _fed(self, key: Any) -> Tensor:
        if isinstance(key, str):
            key = self.graph.get_tensor_by_name(key)
        tensor = key if isinstance(key, Tensor) else getattr(key, "snapshot", None)
        if tensor is None or len(tensor.op.outputs) != 1:
            raise TypeError(f"Cannot interpret feed_dict key as Tensor: {key!r}")
        if tensor.op.graph is not self.graph:
            raise TypeError(
                f"Cannot interpret feed_dict key as Tensor: {key!r} is not an element of this graph."
            )
        if tensor.op.branch is not None:
            raise ValueError(f"Tensor {tensor.name} may not be fed.")
        return tensor

    def _value(self, tensor: Tensor, value: Any) -> torch.Tensor:
        if isinstance(value, torch.Tensor):
            array = value.detach().to(self.device, tensor.dtype.torch)
        elif isinstance(value, Tensor):
            raise TypeError(
                "The value of a feed cannot be a tf.Tensor object. Acceptable feed values include Python "
                "scalars, "
                "strings, lists and numpy ndarrays."
            )
        else:
            array = torch.from_numpy(np.array(value)).to(self.device, tensor.dtype.torch)
        if not tensor.shape.is_compatible_with(TensorShape(list(array.shape))):
            raise ValueError(
                f"Cannot feed value of shape {tuple(array.shape)} for Tensor {tensor.name!r}, "
                f"which has shape '{tensor.shape}'"
            )
        return array


class InteractiveSession(Session):
    """A session that is the default one from the start."""

    def __init__(
        self, target: str = "", graph: Graph | None = None, config: Any = None, device: str = "cpu"
    ) -> None:
        super().__init__(target, graph, config, device)
        SESSIONS.append(self)

    def close(self) -> None:
        """Forget the variables' values and stop being the default."""
        super().close()
        if self in SESSIONS:
            SESSIONS.remove(self)


def get_default_session() -> Session | None:
    """Return the session whose ``with`` block this is, or None."""
    return SESSIONS[-1] if SESSIONS else None


def _check_fetchable(op: Operation, graph: Graph) -> None:
    if op.graph is not graph:
        raise ValueError(f"{op!r} is not an element of this graph.")
    if op.branch is not None:
        raise ValueError(
            f"Operation {op.name!r} has been marked as not fetchable: it was created inside a branch of "
            "tf.cond. "
            "Return it from the branch, or depend on what cond returns."
        )


def _flatten(fetches: Any, graph: Graph, into: list[Any]) -> None:
    if isinstance(fetches, dict):
        for value in fetches.values():
            _flatten(value, graph, into)
    elif isinstance(fetches, (list, tuple)):
        for value in fetches:
            _flatten(value, graph, into)
    elif isinstance(fetches, str):
        by_name = graph.get_tensor_by_name if ":" in fetches else graph.get_operation_by_name
        into.append(by_name(fetches))
    elif isinstance(fetches, (Tensor, Operation)):
        into.append(fetches)
    elif hasattr(fetches, "snapshot"):
        into.append(fetches.snapshot)
    else:
        raise TypeError(f"Fetch argument {fetches!r} has invalid type {type(fetches)}")


def _unflatten(fetches: Any, values: Any) -> Any:
    if isinstance(fetches, dict):
        return {key: _unflatten(value, values) for key, value in fetches.items()}
    if isinstance(fetches, tuple) and hasattr(fetches, "_fields"):
        return type(fetches)(*[_unflatten(value, values) for value in fetches])
    if isinstance(fetches, (list, tuple)):
        return type(fetches)([_unflatten(value, values) for value in fetches])
    return next(values)


def _fetched(run: Run, fetch: Any) -> Any:
    if isinstance(fetch, Operation):
        return None
    value = run.fetched(fetch).detach().cpu()
    if value.dtype == torch.bfloat16:
        value = value.float()
    return value.numpy().copy()[()]
