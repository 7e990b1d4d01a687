"""A graph of deferred PyTorch computations: what TensorFlow 1 builds before a session runs it.

An operation holds a function of PyTorch tensors. Nothing is computed until ``Session.run``,
so that update operations, control dependencies and a flag that is a tensor mean what they
mean in TensorFlow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import torch

from bnstudy.tf1.dtypes import DType, as_dtype
from bnstudy.tf1.errors import OperatorNotAllowedInGraphError
from bnstudy.tf1.operators import Operators
from bnstudy.tf1.shapes import TensorShape

if TYPE_CHECKING:
    from bnstudy.tf1.session import Run

Compute = Callable[..., Any]

# Stand-ins for unknown sizes: an output size that differs between the two is unknown too. They
# have many divisors, so that reshapes of unknown batches divide.
_STAND_INS = (720, 1440)


class Operation:
    """A node: ``compute(run, *input values)`` gives the values of its outputs."""

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

    def requires(self, run: Run) -> list[Operation]:
        """Return the operations that must have run before this one."""
        del run
        return [*self.control_inputs, *(t.op for t in self.inputs)]

    def execute(self, run: Run) -> tuple[torch.Tensor, ...]:
        """Compute the outputs."""
        result = self.compute(run, *(run.value(t) for t in self.inputs))
        if result is None:
            return ()
        return result if isinstance(result, tuple) else (result,)

    def run(self, feed_dict: dict[Any, Any] | None = None, session: Any = None) -> None:
        """Run it in ``session``, by default the one whose ``with`` block this is."""
        from bnstudy.tf1.session import default_session

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
        """Declare its shape."""
        self.shape = TensorShape(shape)

    def eval(self, feed_dict: dict[Any, Any] | None = None, session: Any = None) -> Any:
        """Return its value in ``session``, by default the one whose ``with`` block this is."""
        from bnstudy.tf1.session import default_session

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
        self._names: dict[str, int] = {}
        self._name_stack: list[str] = []
        self._control_stack: list[list[Operation]] = []

    @contextmanager
    def as_default(self) -> Iterator[Graph]:
        """Return a context in which new operations land in this graph."""
        _STACK.append(self)
        try:
            yield self
        finally:
            _STACK.remove(self)

    def unique_name(self, name: str) -> str:
        """Return ``name`` in the current name scope, with a number if it is taken.

        A name ending in ``/`` is taken as it is, without the slash.
        """
        if name.endswith("/"):
            full = name[:-1]
        else:
            full = (
                "/".join([*self._name_stack[-1:], name])
                if self._name_stack and self._name_stack[-1]
                else name
            )
        count = self._names.get(full, 0)
        self._names[full] = count + 1
        if count == 0 or name.endswith("/"):
            return full
        candidate = f"{full}_{count}"
        while candidate in self._names:
            count += 1
            candidate = f"{full}_{count}"
        self._names[candidate] = 1
        return candidate

    @contextmanager
    def name_scope(self, name: str | None) -> Iterator[str]:
        """Return a context that prefixes operation names; ``name`` ending in ``/`` re-enters one."""
        scope = "" if not name else self.unique_name(name)
        self._name_stack.append(scope)
        try:
            yield f"{scope}/" if scope else ""
        finally:
            self._name_stack.pop()

    @contextmanager
    def control_dependencies(self, inputs: Iterable[Any] | None) -> Iterator[None]:
        """Return a context in which new operations run after ``inputs``; None clears outer ones."""
        if inputs is None:
            kept, self._control_stack = self._control_stack, []
            try:
                yield
            finally:
                self._control_stack = kept
            return
        self._control_stack.append([as_operation(i) for i in inputs])
        try:
            yield
        finally:
            self._control_stack.pop()

    def add(
        self,
        name: str,
        inputs: Sequence[Tensor],
        compute: Compute,
        outputs: Sequence[tuple[DType, TensorShape]],
        kind: type[Operation] = Operation,
    ) -> Operation:
        """Add an operation whose outputs have the given types and shapes."""
        control = [op for frame in self._control_stack for op in frame]
        op = kind(self, self.unique_name(name), inputs, compute, control)
        op.outputs = [Tensor(op, i, dtype, shape) for i, (dtype, shape) in enumerate(outputs)]
        self.operations[op.name] = op
        return op

    def get_tensor_by_name(self, name: str) -> Tensor:
        """Return the tensor ``operation:index``; raises ``KeyError`` if there is none."""
        operation, _, index = name.partition(":")
        try:
            return self.operations[operation].outputs[int(index or 0)]
        except (KeyError, IndexError):
            raise KeyError(f"The name {name!r} refers to a Tensor which does not exist.") from None

    def add_to_collection(self, key: Any, value: Any) -> None:
        """Append ``value`` to the collection ``key``."""
        self.collections.setdefault(key, []).append(value)

    def get_collection(self, key: Any, scope: str | None = None) -> list[Any]:
        """Return a copy of the collection, or of its items whose names match the regex ``scope``."""
        items = list(self.collections.get(key, []))
        if scope is None:
            return items
        pattern = re.compile(scope)
        return [item for item in items if hasattr(item, "name") and pattern.match(item.name)]


_STACK: list[Graph] = []
_DEFAULT = [Graph()]


def get_default_graph() -> Graph:
    """Return the graph of the innermost ``as_default`` block, or the global one."""
    return _STACK[-1] if _STACK else _DEFAULT[0]


def reset_default_graph() -> None:
    """Replace the global graph by an empty one; raises ``AssertionError`` inside ``as_default``."""
    if _STACK:
        raise AssertionError("Do not use tf.reset_default_graph() to clear nested graphs.")
    _DEFAULT[0] = Graph()


def as_operation(value: Any) -> Operation:
    """Return the operation of a tensor, operation or variable."""
    if isinstance(value, Operation):
        return value
    op = getattr(value, "op", None)
    if not isinstance(op, Operation):
        raise TypeError(f"Can not convert a {type(value).__name__} into a Operation.")
    return op


def make(name: str | None, default: str, function: Compute, *inputs: Tensor) -> Any:
    """Add a stateless operation ``function(*input values)``; return its tensor or tuple of tensors.

    Types and static shapes come from running ``function`` on tensors without data. Raises
    ``ValueError`` if it refuses inputs whose shapes are fully known.
    """
    outputs, several = infer(function, inputs)
    op = get_default_graph().add(name or default, inputs, lambda run, *values: function(*values), outputs)
    return tuple(op.outputs) if several else op.outputs[0]


def infer(function: Compute, inputs: Sequence[Tensor]) -> tuple[list[tuple[DType, TensorShape]], bool]:
    """Return type and static shape of each output, and whether there are several."""
    known = all(t.shape.is_fully_defined() for t in inputs)
    ranked = all(t.shape.ndims is not None for t in inputs)
    results = []
    for size in _STAND_INS[: 1 if known else 2]:
        sizes = [[size if d.value is None else d.value for d in t.shape] for t in inputs]
        fakes = [
            torch.empty(s, dtype=t.dtype.torch, device="meta") for s, t in zip(sizes, inputs, strict=True)
        ]
        try:
            result = function(*fakes)
        except (RuntimeError, IndexError) as error:
            if known:
                raise ValueError(
                    f"{error}; input shapes: {', '.join(str(t.shape) for t in inputs)}"
                ) from error
            return [(inputs[0].dtype, TensorShape(None))], False
        several = isinstance(result, tuple)
        results.append(result if several else (result,))
    outputs = []
    for versions in zip(*results, strict=True):
        dims = [
            s if len(set(sizes)) == 1 else None
            for sizes in zip(*(v.shape for v in versions), strict=True)
            for s in sizes[:1]
        ]
        outputs.append((as_dtype(versions[0].dtype), TensorShape(dims if ranked else None)))
    return outputs, several
