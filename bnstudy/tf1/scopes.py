"""``get_variable``, and the scopes that name and share variables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.dtypes import DType, as_dtype, float32
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.initializers import default_initializer
from bnstudy.tf1.keys import GraphKeys
from bnstudy.tf1.shapes import TensorShape
from bnstudy.tf1.variables import Variable


class _AutoReuse:
    """The type of ``AUTO_REUSE``."""

    def __repr__(self) -> str:
        return "tf.AUTO_REUSE"


AUTO_REUSE = _AutoReuse()


class VariableScope:
    """Where ``get_variable`` looks: a name, a reuse policy and defaults."""

    def __init__(
        self,
        name: str,
        reuse: Any,
        initializer: Any = None,
        regularizer: Any = None,
        dtype: Any = float32,
        custom_getter: Callable[..., Any] | None = None,
    ) -> None:
        self.name = name
        self.reuse = reuse
        self.initializer = initializer
        self.regularizer = regularizer
        self.dtype = dtype
        self.custom_getter = custom_getter
        self.original_name_scope = f"{name}/" if name else ""

    def reuse_variables(self) -> None:
        """From now on, ``get_variable`` here finds and never creates."""
        self.reuse = True

    def set_initializer(self, initializer: Any) -> None:
        """Set what initialises variables that say nothing of it."""
        self.initializer = initializer

    def set_regularizer(self, regularizer: Any) -> None:
        """Set what penalises variables that say nothing of it."""
        self.regularizer = regularizer

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
    caching_device: Any = None,
    partitioner: Any = None,
    custom_getter: Callable[..., Any] | None = None,
    reuse: Any = None,
    dtype: Any = None,
    use_resource: bool | None = None,
    constraint: Any = None,
    auxiliary_name_scope: bool = True,
) -> Iterator[VariableScope]:
    """Return a context in which variables are named and shared under ``name_or_scope``.

    Without a name, ``default_name`` is made unique (``BatchNorm``, ``BatchNorm_1``, ...). A
    ``custom_getter`` is called by ``get_variable`` as ``custom_getter(getter, name, ...)``; that of an
    outer scope comes after it. ``auxiliary_name_scope=False`` opens no name scope. ``caching_device`` and
    ``use_resource`` are ignored.

    Raises ``ValueError`` as TensorFlow does for ``reuse=True`` without a name, and for no name at all;
    ``NotImplementedError`` for a partitioner or a constraint.

    Source: ``tf.variable_scope``.
    """
    del values, caching_device, use_resource
    if partitioner is not None or constraint is not None:
        raise NotImplementedError("variable_scope: partitioner and constraint are not covered")
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
        _chained(custom_getter, inherited.custom_getter),
    )
    counts[full] = counts.get(full, 0) + 1
    graph.variable_scope_stack.append(scope)
    # A scope entered by its object takes the last part of its name; one entered by a name takes all of it.
    label = own if not isinstance(name_or_scope, VariableScope) else full.rsplit("/", 1)[-1]
    try:
        with ExitStack() as stack:
            if auxiliary_name_scope:
                names = stack.enter_context(graph.name_scope(label or None))
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
    shape: Any = None,
    dtype: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool | None = True,
    collections: Sequence[str] | None = None,
    caching_device: Any = None,
    partitioner: Any = None,
    validate_shape: bool = True,
    use_resource: bool | None = None,
    custom_getter: Callable[..., Any] | None = None,
) -> Variable:
    """Return the variable ``name`` of the current scope, creating it if the scope's reuse allows.

    ``shape`` is a list, or one size of a vector. ``initializer`` is a function of shape and type, its
    class, or a value, which then says the shape. ``caching_device``, ``validate_shape`` and
    ``use_resource`` are ignored.

    Raises ``ValueError`` where TensorFlow does: it exists and is not to be reused, does not exist
    and is to be, or has another shape or type.

    Source: ``tf.get_variable``.
    """
    del caching_device, validate_shape, use_resource
    if partitioner is not None:
        raise NotImplementedError("get_variable: partitioner is not covered")
    scope = get_variable_scope()
    full = f"{scope.name}/{name}" if scope.name else name
    getter = _chained(custom_getter, scope.custom_getter)
    options = {
        "shape": shape,
        "dtype": dtype or scope.dtype,
        "initializer": initializer if initializer is not None else scope.initializer,
        "regularizer": regularizer or scope.regularizer,
        "trainable": trainable,
        "collections": collections,
    }
    if getter is None:
        return _stored(full, **options, checked=dtype is not None)
    found: Variable = getter(_stored, full, **options, reuse=scope.reuse)
    return found


def _stored(
    name: str,
    shape: Any = None,
    dtype: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    reuse: Any = None,
    trainable: bool | None = True,
    collections: Sequence[str] | None = None,
    checked: bool = False,
    **ignored: Any,
) -> Variable:
    """Return the variable of this full name, found or made: what a custom getter calls."""
    del ignored
    graph = get_default_graph()
    reuse = get_variable_scope().reuse if reuse is None else reuse
    found: Variable | None = graph.variables.get(name)
    if found is not None:
        _check_reuse(name, found, reuse, shape, dtype if checked else None)
        return found
    if reuse and not isinstance(reuse, _AutoReuse):
        raise ValueError(
            f"Variable {name} does not exist, or was not created with tf.get_variable(). Did you mean to set "
            "reuse=tf.AUTO_REUSE in VarScope?"
        )
    kind = as_dtype(dtype or float32)
    chosen = initializer if initializer is not None else default_initializer(kind)
    initial = _initial(name, chosen, shape, kind)
    with graph.name_scope(None):
        variable = Variable(
            initial, trainable, collections, name=name, dtype=None if isinstance(initial, Tensor) else kind
        )
    graph.variables[name] = variable
    if regularizer is not None:
        with graph.control_dependencies(None), graph.name_scope(f"{variable.op.name}/Regularizer/"):
            loss = regularizer(variable)
        if loss is not None:
            graph.add_to_collection(GraphKeys.REGULARIZATION_LOSSES, loss)
    return variable


def _check_reuse(name: str, found: Variable, reuse: Any, shape: Any, dtype: Any) -> None:
    if not reuse:
        raise ValueError(
            f"Variable {name} already exists, disallowed. Did you mean to set reuse=True or "
            "reuse=tf.AUTO_REUSE in VarScope?"
        )
    if shape is not None and not found.shape.is_compatible_with(TensorShape(shape)):
        raise ValueError(
            f"Trying to share variable {name}, but specified shape {TensorShape(shape)} and found shape "
            f"{found.shape}."
        )
    if dtype is not None and as_dtype(dtype) is not found.dtype:
        raise ValueError(
            f"Trying to share variable {name}, but specified dtype {as_dtype(dtype).name} and "
            f"found dtype {found.dtype.name}."
        )


def _initial(name: str, initializer: Any, shape: Any, dtype: DType) -> Any:
    if not callable(initializer):
        if shape is not None:
            raise ValueError("If initializer is a constant, do not specify shape.")
        # A plain value says its own type, and a tensor too.
        return convert_to_tensor(initializer) if isinstance(initializer, (Tensor, Variable)) else initializer
    if shape is None or not TensorShape(shape).is_fully_defined():
        raise ValueError(f"Shape of a new variable ({name}) must be fully defined, but instead was {shape}.")
    sizes = TensorShape(shape).as_list()

    def initial() -> Tensor:
        made = initializer() if isinstance(initializer, type) else initializer
        return convert_to_tensor(made(sizes, dtype=dtype), dtype)

    return initial


def _chained(inner: Callable[..., Any] | None, outer: Callable[..., Any] | None) -> Callable[..., Any] | None:
    if inner is None or outer is None:
        return inner or outer

    def getter(get: Callable[..., Any], name: str, *args: Any, **options: Any) -> Any:
        return inner(lambda n, *a, **o: outer(get, n, *a, **o), name, *args, **options)

    return getter


def _unique_scope(outer: str, name: str, counts: dict[str, int]) -> str:
    prefix = f"{outer}/" if outer else ""
    if not counts.get(prefix + name):
        return name
    index = 1
    while counts.get(f"{prefix}{name}_{index}"):
        index += 1
    return f"{name}_{index}"
