"""Variables: values that a session keeps between runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.dtypes import DType, boolean
from bnstudy.tf1.errors import FailedPreconditionError, warn_of_trap
from bnstudy.tf1.graph import Operation, Tensor, default_session, get_default_graph
from bnstudy.tf1.keys import GraphKeys
from bnstudy.tf1.operators import Operators
from bnstudy.tf1.run import Run
from bnstudy.tf1.shapes import TensorShape


class Variable(Operators):
    """A value that a session keeps between runs.

    As in TensorFlow 1 it has no truth value of its own: ``if variable:`` is always taken,
    ``variable == False`` and ``variable is False`` never hold.

    ``initial_value`` is a value, a tensor or a function that returns one. ``validate_shape``,
    ``caching_device`` and ``use_resource`` are accepted and ignored. Raises ``ValueError`` for a tensor
    that was made inside a branch of ``tf.cond``: a variable is made outside of it, wherever the call
    stands.
    """

    def __init__(
        self,
        initial_value: Any = None,
        trainable: bool | None = True,
        collections: Sequence[str] | None = None,
        validate_shape: bool = True,
        caching_device: Any = None,
        name: str | None = None,
        variable_def: Any = None,
        dtype: Any = None,
        expected_shape: Any = None,
        use_resource: bool | None = None,
    ) -> None:
        del validate_shape, caching_device, variable_def, expected_shape, use_resource
        graph = get_default_graph()
        self.trainable = trainable is not False
        # A variable waits for nothing, and belongs to no branch.
        with graph.control_dependencies(None), graph.name_scope(name or "Variable") as scope:
            if callable(initial_value):
                with graph.name_scope("Initializer"):
                    initial_value = initial_value()
            self.initial_value: Tensor = convert_to_tensor(initial_value, dtype, name="initial_value")
            if self.initial_value.op.branch is not None:
                raise ValueError(
                    f"Initializer for variable {scope} is from inside a control-flow construct, such as a "
                    "loop or "
                    "conditional. When creating a variable inside a loop or conditional, use a lambda as the "
                    "initializer."
                )
            self.dtype: DType = self.initial_value.dtype
            self.shape: TensorShape = self.initial_value.shape
            self.op: Operation = graph.add(scope, [], self._read, [(self.dtype, self.shape)])
            self.op.role = "variable"
            self.snapshot: Tensor = self.op.outputs[0]
            self.initializer: Operation = self._change("Assign", self.initial_value, lambda old, new: new).op
            self.initializer.role = "initialise"
        keys = list(collections or [GraphKeys.GLOBAL_VARIABLES])
        if self.trainable and GraphKeys.TRAINABLE_VARIABLES not in keys:
            keys.append(GraphKeys.TRAINABLE_VARIABLES)
        for key in keys:
            graph.add_to_collection(key, self)

    @property
    def name(self) -> str:
        """Return the name of its value, ``scope/name:0``."""
        return f"{self.op.name}:0"

    @property
    def graph(self) -> Any:
        """Return the graph that it belongs to."""
        return self.op.graph

    def get_shape(self) -> TensorShape:
        """Return its shape."""
        return self.shape

    def value(self) -> Tensor:
        """Return its value at the start of its use in a run: one snapshot for all readers."""
        return self.snapshot

    def read_value(self) -> Tensor:
        """Return its value at the moment of this read, after the control dependencies around it."""

        def compute(run: Run, held: torch.Tensor) -> torch.Tensor:
            now = self.stored(run)
            return now + (held - held.detach()) if held.requires_grad else now

        kind = [(self.dtype, self.shape)]
        return get_default_graph().add("read", [self.snapshot], compute, kind).outputs[0]

    def initialized_value(self) -> Tensor:
        """Return its value if a session has initialised it before this run, else its initial value."""

        def compute(run: Run, initial: torch.Tensor) -> torch.Tensor:
            held = run.session.storage.get(self)
            return initial if held is None or self.initializer in run.plan.present else held

        kind = [(self.dtype, self.shape)]
        return get_default_graph().add("initialized_value", [self.initial_value], compute, kind).outputs[0]

    def assign(self, value: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Return a tensor whose evaluation sets the variable; it has the new value."""
        del use_locking
        return self._change(name or "Assign", value, lambda old, new: new)

    def assign_add(self, delta: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Return a tensor whose evaluation adds ``delta``."""
        del use_locking
        return self._change(name or "AssignAdd", delta, lambda old, new: old() + new)

    def assign_sub(self, delta: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Return a tensor whose evaluation subtracts ``delta``."""
        del use_locking
        return self._change(name or "AssignSub", delta, lambda old, new: old() - new)

    def load(self, value: Any, session: Any = None) -> None:
        """Set it in ``session`` at once; raises ``ValueError`` for a value of another shape."""
        held = default_session(session)
        new = torch.as_tensor(value, dtype=self.dtype.torch, device=held.device).clone()
        if not self.shape.is_compatible_with(list(new.shape)):
            raise ValueError(f"Cannot load a value of shape {tuple(new.shape)} into {self!r}")
        held.load(self, new)

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

    def __bool__(self) -> bool:
        if self.dtype is boolean:
            warn_of_trap(
                f"{self!r} is used as a Python flag: a Variable is always true, whatever is assigned to it; "
                "give it to is_training, or use tf.cond"
            )
        return True

    def __iter__(self) -> Any:
        raise TypeError("'Variable' object is not iterable.")

    def __repr__(self) -> str:
        return f"<tf.Variable {self.name!r} shape={self.shape} dtype={self.dtype.name}>"

    def _read(self, run: Any) -> torch.Tensor:
        return self.stored(run)

    def _change(self, name: str, value: Any, function: Callable[..., torch.Tensor]) -> Tensor:
        graph = get_default_graph()
        with graph.name_scope(name) as scope:
            source = convert_to_tensor(value, self.dtype, name="value")
        if not self.shape.is_compatible_with(source.shape):
            raise ValueError(f"Shape {source.shape} of the assigned value does not fit {self!r}")

        def compute(run: Any, new: torch.Tensor) -> torch.Tensor:
            # A copy, so that no later writer of the source can change the variable.
            return self.store(run, function(lambda: self.stored(run), new.to(run.session.device)).clone())

        op = graph.add(scope, [source], compute, [(self.dtype, self.shape)])
        op.differentiable = False
        op.role, op.writes = "assign", (self.snapshot,)
        return op.outputs[0]


def assign(
    ref: Variable, value: Any, validate_shape: bool = True, use_locking: bool = False, name: Any = None
) -> Tensor:
    """Return a tensor whose evaluation sets the variable ``ref``."""
    del validate_shape, use_locking
    return ref.assign(value, name=name)


def assign_add(ref: Variable, value: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Return a tensor whose evaluation adds ``value`` to the variable ``ref``."""
    del use_locking
    return ref.assign_add(value, name=name)


def assign_sub(ref: Variable, value: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Return a tensor whose evaluation subtracts ``value`` from the variable ``ref``."""
    del use_locking
    return ref.assign_sub(value, name=name)


def global_variables(scope: str | None = None) -> list[Variable]:
    """Return the variables of the default graph."""
    return get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES, scope)


def local_variables(scope: str | None = None) -> list[Variable]:
    """Return the variables of the default graph that are neither saved nor trained."""
    return get_default_graph().get_collection(GraphKeys.LOCAL_VARIABLES, scope)


def trainable_variables(scope: str | None = None) -> list[Variable]:
    """Return the trainable variables of the default graph."""
    return get_default_graph().get_collection(GraphKeys.TRAINABLE_VARIABLES, scope)


def model_variables(scope: str | None = None) -> list[Variable]:
    """Return the variables that layers created."""
    return get_default_graph().get_collection(GraphKeys.MODEL_VARIABLES, scope)


def moving_average_variables(scope: str | None = None) -> list[Variable]:
    """Return the variables that have moving averages."""
    return get_default_graph().get_collection(GraphKeys.MOVING_AVERAGE_VARIABLES, scope)


def global_variables_initializer() -> Operation:
    """Return an operation that gives every variable its initial value."""
    return variables_initializer(global_variables())


def local_variables_initializer() -> Operation:
    """Return an operation that gives every local variable its initial value."""
    return variables_initializer(local_variables())


def variables_initializer(var_list: Sequence[Variable], name: str = "init") -> Operation:
    """Return an operation that gives the listed variables their initial values."""
    graph = get_default_graph()
    with graph.control_dependencies([v.initializer for v in var_list]):
        return graph.add(name, [], lambda run: None, [])
