"""Variables that accompany a variable or a tensor: averages, and what optimizers remember."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.initializers import Initializer, zeros_initializer
from bnstudy.tf1.scopes import get_variable, variable_scope
from bnstudy.tf1.variables import Variable


def slot(primary: Any, initial: Callable[[], Tensor] | Initializer | None, name: str) -> Variable:
    """Return a new variable ``<primary>/<name>`` within the current variable scope, made unique there.

    ``initial`` is an initializer, a function that returns the initial value, or None for zeros. Raises
    ``ValueError`` for zeros of a shape that is not fully known.

    Source: ``tensorflow.python.training.slot_creator``.
    """
    graph = get_default_graph()
    with graph.control_dependencies(None), variable_scope(None, f"{primary.op.name}/{name}"):
        if initial is not None and not isinstance(initial, Initializer):
            return get_variable("", initializer=initial(), trainable=False)
        if not primary.shape.is_fully_defined():
            raise ValueError(f"{name} of {primary.name} needs a fully known shape, not {primary.shape}")
        kind = primary.dtype
        return get_variable("", primary.shape, kind, initial or zeros_initializer(kind), trainable=False)
