"""Variables, and the scopes that name and share them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.dtypes import DType, as_dtype, float32
from bnstudy.tf1.errors import FailedPreconditionError
from bnstudy.tf1.graph import Operation, Tensor, get_default_graph
from bnstudy.tf1.initializers import default_initializer
from bnstudy.tf1.keys import GraphKeys
from bnstudy.tf1.operators import Operators
from bnstudy.tf1.shapes import TensorShape


class _AutoReuse:
    """The type of ``AUTO_REUSE``."""

    def __repr__(self) -> str:
        return "tf.AUTO_REUSE"


AUTO_REUSE = _AutoReuse()


class Variable(Operators):
    """A value that a session keeps between runs.

    As in TensorFlow 1 it has no truth value of its own: ``if variable:`` is always taken,
    ``variable == False`` and ``variable is False`` never hold.
    """

    def __init__(
        self,
        initial_value: Any = None,
        trainable: bool = True,
        collections: Sequence[str] | None = None,
        validate_shape: bool = True,
        name: str | None = None,
        dtype: Any = None,
        *,
        full_name: str | None = None,
    ) -> None:
        del validate_shape
        graph = get_default_graph()
        if callable(initial_value):
            initial_value = initial_value()
        with graph.control_dependencies(None):
            self.initial_value: Tensor = convert_to_tensor(initial_value, dtype)
            self.dtype: DType = self.initial_value.dtype
            self.shape: TensorShape = self.initial_value.shape
            self.trainable = trainable
            output = [(self.dtype, self.shape)]
            own = f"{full_name}/" if full_name else (name or "Variable")
            self.op: Operation = graph.add(own, [], self._read, output)
            self.snapshot: Tensor = self.op.outputs[0]
            self.initializer: Operation = self.assign(self.initial_value, name=f"{self.op.name}/Assign/").op
        keys = list(collections or [GraphKeys.GLOBAL_VARIABLES])
        if trainable and GraphKeys.TRAINABLE_VARIABLES not in keys:
            keys.append(GraphKeys.TRAINABLE_VARIABLES)
        for key in keys:
            graph.add_to_collection(key, self)

    @property
    def name(self) -> str:
        """Return the name of its value, ``scope/name:0``."""
        return f"{self.op.name}:0"

    def get_shape(self) -> TensorShape:
        """Return its shape."""
        return self.shape

    def value(self) -> Tensor:
        """Return its value at the start of its use in a run: one snapshot for all readers."""
        return self.snapshot

    def read_value(self) -> Tensor:
        """Return its value at the moment of this read, after the control dependencies around it."""
        op = get_default_graph().add(f"{self.op.name}/read/", [], self._read, [(self.dtype, self.shape)])
        return op.outputs[0]

    def initialized_value(self) -> Tensor:
        """Return the value that its initialiser gives it."""
        return self.initial_value

    def assign(self, value: Any, name: str | None = None) -> Tensor:
        """Return a tensor whose evaluation sets the variable; it has the new value."""
        return self._change(name or "Assign", value, lambda old, new: new)

    def assign_add(self, delta: Any, name: str | None = None) -> Tensor:
        """Return a tensor whose evaluation adds ``delta``."""
        return self._change(name or "AssignAdd", delta, lambda old, new: old() + new)

    def assign_sub(self, delta: Any, name: str | None = None) -> Tensor:
        """Return a tensor whose evaluation subtracts ``delta``."""
        return self._change(name or "AssignSub", delta, lambda old, new: old() - new)

    def load(self, value: Any, session: Any = None) -> None:
        """Set it in ``session`` at once."""
        from bnstudy.tf1.session import default_session

        held = default_session(session)
        held.storage[self] = torch.as_tensor(value, dtype=self.dtype.torch, device=held.device).clone()

    def eval(self, session: Any = None) -> Any:
        """Return its value in ``session``."""
        return self.snapshot.eval(session=session)

    def stored(self, run: Any) -> torch.Tensor:
        """Return what the session of ``run`` holds now; raises ``FailedPreconditionError``."""
        try:
            held: torch.Tensor = run.session.storage[self]
        except KeyError:
            raise FailedPreconditionError(f"Attempting to use uninitialized value {self.op.name}") from None
        return held

    def store(self, run: Any, value: torch.Tensor) -> torch.Tensor:
        """Set what the session of ``run`` holds; snapshots already taken keep the old value."""
        value = value.detach()
        run.session.storage[self] = value
        return value

    def __repr__(self) -> str:
        return f"<tf.Variable {self.name!r} shape={self.shape} dtype={self.dtype.name}>"

    def _read(self, run: Any) -> torch.Tensor:
        return self.stored(run)

    def _change(self, name: str, value: Any, function: Callable[..., torch.Tensor]) -> Tensor:
        source = convert_to_tensor(value, self.dtype)

        def compute(run: Any, new: torch.Tensor) -> torch.Tensor:
            # A copy, so that no later writer of the source can change the variable.
            return self.store(run, function(lambda: self.stored(run), new.to(run.session.device)).clone())

        return get_default_graph().add(name, [source], compute, [(self.dtype, self.shape)]).outputs[0]


class VariableScope:
    """Where ``get_variable`` looks: a name and a reuse policy."""

    def __init__(
        self, name: str, reuse: Any, initializer: Any = None, regularizer: Any = None, dtype: Any = float32
    ) -> None:
        self.name = name
        self.reuse = reuse
        self.initializer = initializer
        self.regularizer = regularizer
        self.dtype = dtype
        self.original_name_scope = f"{name}/" if name else ""

    def reuse_variables(self) -> None:
        """From now on, ``get_variable`` here finds and never creates."""
        self.reuse = True

    def get_collection(self, key: Any) -> list[Any]:
        """Return the items of a collection whose names are in this scope."""
        return get_default_graph().get_collection(key, self.name)

    def global_variables(self) -> list[Variable]:
        """Return the variables of this scope."""
        return self.get_collection(GraphKeys.GLOBAL_VARIABLES)

    def trainable_variables(self) -> list[Variable]:
        """Return the trainable variables of this scope."""
        return self.get_collection(GraphKeys.TRAINABLE_VARIABLES)


def get_variable_scope() -> VariableScope:
    """Return the current scope."""
    stack = get_default_graph().variable_scope_stack
    if not stack:
        stack.append(VariableScope("", False))
    scope: VariableScope = stack[-1]
    return scope


@contextmanager
def variable_scope(
    name_or_scope: str | VariableScope | None,
    default_name: str | None = None,
    values: Sequence[Any] | None = None,
    initializer: Any = None,
    regularizer: Any = None,
    reuse: Any = None,
    dtype: Any = None,
) -> Iterator[VariableScope]:
    """Return a context in which variables are named and shared under ``name_or_scope``.

    Without a name, ``default_name`` is made unique (``BatchNorm``, ``BatchNorm_1``, ...). Raises
    ``ValueError`` as TensorFlow does for ``reuse=True`` without a name, and for no name at all.

    Source: ``tf.variable_scope``.
    """
    del values
    graph = get_default_graph()
    outer = get_variable_scope()
    counts = graph.variable_scopes
    if name_or_scope is None and default_name is None:
        raise ValueError("If default_name is None then name_or_scope is required")
    if isinstance(name_or_scope, VariableScope):
        full = name_or_scope.name
        inherited: VariableScope = name_or_scope
    else:
        if name_or_scope is None:
            if reuse and not isinstance(reuse, _AutoReuse):
                raise ValueError("reuse=True cannot be used without a name_or_scope")
            own = _unique_scope(outer.name, str(default_name), counts)
        else:
            own = name_or_scope
        full = f"{outer.name}/{own}" if outer.name else own
        inherited = outer
    scope = VariableScope(
        full,
        reuse or inherited.reuse,
        initializer or inherited.initializer,
        regularizer or inherited.regularizer,
        dtype or inherited.dtype,
    )
    counts[full] = counts.get(full, 0) + 1
    graph.variable_scope_stack.append(scope)
    try:
        with graph.name_scope(full.rsplit("/", 1)[-1] if full else None) as names:
            scope.original_name_scope = names
            yield scope
    finally:
        graph.variable_scope_stack.pop()
        # A scope entered again numbers its inner default names from the start, so that reuse finds them.
        for name in counts:
            if name.startswith(f"{full}/") or (not full and name):
                counts[name] = 0


def get_variable(
    name: str,
    shape: Sequence[Any] | TensorShape | None = None,
    dtype: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool = True,
    collections: Sequence[str] | None = None,
) -> Variable:
    """Return the variable ``name`` of the current scope, creating it if the scope's reuse allows.

    Raises ``ValueError`` where TensorFlow does: it exists and is not to be reused, does not exist
    and is to be, or has another shape or type.

    Source: ``tf.get_variable``.
    """
    graph = get_default_graph()
    scope = get_variable_scope()
    full = f"{scope.name}/{name}" if scope.name else name
    found: Variable | None = graph.variables.get(full)
    automatic = isinstance(scope.reuse, _AutoReuse)
    if found is not None:
        if not scope.reuse:
            raise ValueError(
                f"Variable {full} already exists, disallowed. Did you mean to set reuse=True or "
                "reuse=tf.AUTO_REUSE in VarScope?"
            )
        if shape is not None and not found.shape.is_compatible_with(TensorShape(shape)):
            raise ValueError(
                f"Trying to share variable {full}, but specified shape {TensorShape(shape)} and found shape "
                f"{found.shape}."
            )
        if dtype is not None and as_dtype(dtype) is not found.dtype:
            raise ValueError(
                f"Trying to share variable {full}, but specified dtype {as_dtype(dtype).name} and "
                f"found dtype {found.dtype.name}."
            )
        return found
    if scope.reuse and not automatic:
        raise ValueError(
            f"Variable {full} does not exist, or was not created with tf.get_variable(). Did you mean to set "
            "reuse=tf.AUTO_REUSE in VarScope?"
        )
    kind = as_dtype(dtype or scope.dtype)
    chosen = initializer if initializer is not None else scope.initializer or default_initializer(kind)
    variable = Variable(
        _initial(full, chosen, shape, kind), trainable, collections, name=name, dtype=kind, full_name=full
    )
    graph.variables[full] = variable
    penalty = regularizer or scope.regularizer
    if penalty is not None:
        with graph.control_dependencies(None), graph.name_scope(f"{full}/Regularizer/"):
            loss = penalty(variable)
        if loss is not None:
            graph.add_to_collection(GraphKeys.REGULARIZATION_LOSSES, loss)
    return variable


def _initial(name: str, initializer: Any, shape: Any, dtype: DType) -> Tensor:
    with get_default_graph().control_dependencies(None):
        if not callable(initializer):
            return convert_to_tensor(initializer, dtype)
        if shape is None or not TensorShape(shape).is_fully_defined():
            raise ValueError(
                f"Shape of a new variable ({name}) must be fully defined, but instead was {shape}."
            )
        made = initializer(TensorShape(shape).as_list(), dtype)
        return convert_to_tensor(made, dtype)


def _unique_scope(outer: str, name: str, counts: dict[str, int]) -> str:
    prefix = f"{outer}/" if outer else ""
    if not counts.get(prefix + name):
        return name
    index = 1
    while counts.get(f"{prefix}{name}_{index}"):
        index += 1
    return f"{name}_{index}"


def global_variables(scope: str | None = None) -> list[Variable]:
    """Return the variables of the default graph."""
    return get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES, scope)


def trainable_variables(scope: str | None = None) -> list[Variable]:
    """Return the trainable variables of the default graph."""
    return get_default_graph().get_collection(GraphKeys.TRAINABLE_VARIABLES, scope)


def model_variables(scope: str | None = None) -> list[Variable]:
    """Return the variables that layers created."""
    return get_default_graph().get_collection(GraphKeys.MODEL_VARIABLES, scope)


def global_variables_initializer() -> Operation:
    """Return an operation that gives every variable its initial value."""
    return variables_initializer(global_variables())


def variables_initializer(var_list: Sequence[Variable], name: str = "init") -> Operation:
    """Return an operation that gives the listed variables their initial values."""
    graph = get_default_graph()
    with graph.control_dependencies([v.initializer for v in var_list]):
        return graph.add(name, [], lambda run: None, [])
