"""A graph of deferred PyTorch computations: what TensorFlow 1 builds before a session runs it.

An operation holds a function of PyTorch tensors. Nothing is computed until ``Session.run``,
so that update operations, control dependencies and a flag that is a tensor mean what they
mean in TensorFlow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import torch

from bnstudy.tf1.dtypes import DType
from bnstudy.tf1.errors import OperatorNotAllowedInGraphError
from bnstudy.tf1.names import Names
from bnstudy.tf1.operators import Operators
from bnstudy.tf1.shapes import TensorShape

Compute = Callable[..., Any]


class Operation:
    """A node: ``compute(run, *input values)`` gives the values of its outputs.

    ``differentiable`` says whether ``tf.gradients`` looks behind it. ``role`` marks what sessions look out
    for.
    """

    merges = False

    def __init__(
        self,
        graph: Graph,
        name: str,
        inputs: Sequence[Tensor],
        compute: Compute,
        control_inputs: Sequence[Operation],
    ) -> None:
        self.graph = graph
        self.name = name
        self.inputs = list(inputs)
        self.compute = compute
        self.control_inputs = list(control_inputs)
        self.outputs: list[Tensor] = []
        self.constant: torch.Tensor | None = None
        self.branch: Branch | None = None
        self.differentiable = True
        self.role: str = ""
        self.writes: tuple[Tensor, ...] = ()

    @property
    def dependencies(self) -> list[Operation]:
        """Return the operations that have to run before this one."""
        return [*self.control_inputs, *(t.op for t in self.inputs)]

    def run(self, feed_dict: dict[Any, Any] | None = None, session: Any = None) -> None:
        """Run it in ``session``, by default the one whose ``with`` block this is."""
        default_session(session).run(self, feed_dict)

    def __repr__(self) -> str:
        return f"<tf.Operation {self.name!r}>"


class Tensor(Operators):
    """One output of an operation."""

    def __init__(self, op: Operation, index: int, dtype: DType, shape: TensorShape) -> None:
        self.op = op
        self.index = index
        self.dtype = dtype
        self.shape = shape
        self.aliases: list[str] = []

    @property
    def name(self) -> str:
        """Return ``operation:index``."""
        return f"{self.op.name}:{self.index}"

    @property
    def graph(self) -> Graph:
        """Return the graph that it belongs to."""
        return self.op.graph

    def get_shape(self) -> TensorShape:
        """Return what is known of its shape."""
        return self.shape

    def set_shape(self, shape: Sequence[int | None] | TensorShape) -> None:
        """Add what ``shape`` knows to its shape; raises ``ValueError`` where they contradict each other."""
        self.shape = self.shape.merge_with(TensorShape(shape))

    def eval(self, feed_dict: dict[Any, Any] | None = None, session: Any = None) -> Any:
        """Return its value in ``session``, by default the one whose ``with`` block this is."""
        return default_session(session).run(self, feed_dict)

    def __bool__(self) -> NoReturn:
        raise OperatorNotAllowedInGraphError(
            "Using a `tf.Tensor` as a Python `bool` is not allowed. Use `if t is not None:` instead of "
            "`if t:` to test if a tensor is defined, and use TensorFlow ops such as tf.cond to execute "
            "subgraphs conditioned on the value of a tensor."
        )

    def __iter__(self) -> NoReturn:
        raise TypeError("Tensor objects are only iterable when eager execution is enabled.")

    def __repr__(self) -> str:
        return f"<tf.Tensor {self.name!r} shape={self.shape} dtype={self.dtype.name}>"


@dataclass(frozen=True)
class Branch:
    """One side of a ``tf.cond`` while it is built: what is created in it waits for ``pivot``."""

    pivot: Operation
    outer: Branch | None


@dataclass(frozen=True)
class Normalized:
    """One call of ``batch_norm``: where its variables are, and what no checkpoint holds.

    ``bessel``: whether the moving variance averages the corrected variance.
    """

    scope: str
    training: Any
    in_place: bool
    decay: Any
    epsilon: Any
    bessel: bool


class Graph:
    """Operations, collections and variables; ``with Graph().as_default():`` builds into it."""

    def __init__(self) -> None:
        self.operations: dict[str, Operation] = {}
        self.collections: dict[Any, list[Any]] = {}
        self.variables: dict[str, Any] = {}
        self.variable_scopes: dict[str, int] = {}
        self.variable_scope_stack: list[Any] = []
        self.template_counts: dict[str, int] = {}
        self.seed: int | None = None
        self.names = Names()
        self._said: set[str] = set()
        # How batch_norm was called: for the traps, and for networks elsewhere that take the weights.
        self.batch_norms: list[Normalized] = []
        self._control_stack: list[list[Operation]] = []
        self._branch: Branch | None = None

    @contextmanager
    def as_default(self) -> Iterator[Graph]:
        """Return a context in which new operations land in this graph."""
        _STACK.append(self)
        try:
            yield self
        finally:
            _STACK.reverse()
            _STACK.remove(self)
            _STACK.reverse()

    def unique_name(self, name: str) -> str:
        """Return ``name`` in the current name scope, with a number if it is taken."""
        return self.names.unique(name)

    def name_scope(self, name: str | None) -> AbstractContextManager[str]:
        """Return a context that prefixes operation names; ``name`` ending in ``/`` re-enters one."""
        return self.names.within(name)

    @contextmanager
    def control_dependencies(self, inputs: Iterable[Any] | None) -> Iterator[None]:
        """Return a context in which new operations run after ``inputs``.

        None leaves outer control dependencies, and the branch of a ``tf.cond`` around it.
        """
        kept = self._control_stack, self._branch
        if inputs is None:
            self._control_stack, self._branch = [], None
        else:
            self._control_stack = [*kept[0], [as_operation(i) for i in inputs]]
        try:
            yield
        finally:
            self._control_stack, self._branch = kept

    @contextmanager
    def inside(self, pivot: Operation) -> Iterator[None]:
        """Return a context in which new operations belong to the branch of ``pivot``."""
        outer = self._branch
        self._branch = Branch(pivot, outer)
        try:
            yield
        finally:
            self._branch = outer

    @property
    def in_branch(self) -> bool:
        """Return whether a branch of a ``tf.cond`` is being built."""
        return self._branch is not None

    def add(
        self,
        name: str,
        inputs: Sequence[Tensor],
        compute: Compute,
        outputs: Sequence[tuple[DType, TensorShape]],
        kind: type[Operation] = Operation,
    ) -> Operation:
        """Add an operation whose outputs have the given types and shapes; ``ValueError`` across graphs."""
        for tensor in inputs:
            if tensor.op.graph is not self:
                raise ValueError(f"{tensor!r} must be from the same graph as {name!r}.")
        control = [op for frame in self._control_stack for op in frame]
        if self._branch is not None:
            control.append(self._branch.pivot)
        op = kind(self, self.unique_name(name), inputs, compute, list(dict.fromkeys(control)))
        op.branch = self._branch
        op.outputs = [Tensor(op, i, dtype, shape) for i, (dtype, shape) in enumerate(outputs)]
        self.operations[op.name] = op
        return op

    def get_operation_by_name(self, name: str) -> Operation:
        """Return the operation ``name``; raises ``KeyError`` if there is none."""
        try:
            return self.operations[name]
        except KeyError:
            raise KeyError(f"The name {name!r} refers to an Operation not in the graph.") from None

    def get_tensor_by_name(self, name: str) -> Tensor:
        """Return the tensor ``operation:index``; raises ``KeyError`` if there is none."""
        operation, _, index = name.partition(":")
        try:
            return self.operations[operation].outputs[int(index or 0)]
        except (KeyError, IndexError):
            raise KeyError(f"The name {name!r} refers to a Tensor which does not exist.") from None

    def get_operations(self) -> list[Operation]:
        """Return all operations, in the order of their creation."""
        return list(self.operations.values())

    def add_to_collection(self, key: Any, value: Any) -> None:
        """Append ``value`` to the collection ``key``."""
        self.collections.setdefault(key, []).append(value)

    def get_collection(self, key: Any, scope: str | None = None) -> list[Any]:
        """Return a copy of the collection, or of its items whose names match the regex ``scope``."""
        items = list(self.collections.get(key, []))
        if not scope:
            return items
        pattern = re.compile(scope)
        return [item for item in items if hasattr(item, "name") and pattern.match(item.name)]

    def get_collection_ref(self, key: Any) -> list[Any]:
        """Return the collection itself: what is appended to it is in it."""
        return self.collections.setdefault(key, [])

    def once(self, what: str) -> bool:
        """Return whether this is the first time that ``what`` is asked of this graph."""
        new = what not in self._said
        self._said.add(what)
        return new

    def finalize(self) -> None:
        """Do nothing: the graph stays open for more operations."""


_STACK: list[Graph] = []
_DEFAULT = [Graph()]
# Sessions in whose `with` block the program is, the innermost last.
SESSIONS: list[Any] = []


def get_default_graph() -> Graph:
    """Return the graph of the innermost ``as_default`` block, or the global one."""
    return _STACK[-1] if _STACK else _DEFAULT[0]


def reset_default_graph() -> None:
    """Replace the global graph by an empty one; raises ``AssertionError`` inside ``as_default``."""
    if _STACK:
        raise AssertionError("Do not use tf.reset_default_graph() to clear nested graphs.")
    _DEFAULT[0] = Graph()


def default_session(session: Any = None) -> Any:
    """Return ``session`` or the one whose ``with`` block this is; ``ValueError`` without either."""
    if session is not None:
        return session
    if not SESSIONS:
        raise ValueError(
            "Cannot evaluate tensor using `eval()`: No default session is registered. Use "
            "`with sess.as_default()` or pass an explicit session to `eval(session=sess)`"
        )
    return SESSIONS[-1]


def as_operation(value: Any) -> Operation:
    """Return the operation of a tensor, operation or variable."""
    if isinstance(value, Operation):
        return value
    op = getattr(value, "op", None)
    if not isinstance(op, Operation):
        raise TypeError(f"Can not convert a {type(value).__name__} into a Operation.")
    return op
