"""TensorFlow 1's batch normalization and what the article's listing needs, over PyTorch.

``import bnstudy.tf1 as tf`` builds graphs and runs them in sessions, with TensorFlow's names,
semantics and numbers. Images are NHWC.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from bnstudy.tf1 import contrib, errors, nn, train
from bnstudy.tf1.batch_norm import batch_norm
from bnstudy.tf1.constants import constant, convert_to_tensor, placeholder, placeholder_with_default
from bnstudy.tf1.control import cond, gradients, group, no_op
from bnstudy.tf1.dtypes import DType, as_dtype, bfloat16, float16, float32, float64, int32, int64, uint8
from bnstudy.tf1.dtypes import boolean as bool
from bnstudy.tf1.errors import FailedPreconditionError, OperatorNotAllowedInGraphError, TrapWarning
from bnstudy.tf1.graph import Graph, Operation, Tensor, get_default_graph, reset_default_graph
from bnstudy.tf1.initializers import (
    constant_initializer,
    glorot_uniform_initializer,
    ones_initializer,
    random_normal,
    random_normal_initializer,
    random_uniform,
    set_random_seed,
    truncated_normal,
    truncated_normal_initializer,
    zeros_initializer,
)
from bnstudy.tf1.keys import GraphKeys
from bnstudy.tf1.math import (
    abs,
    add,
    add_n,
    argmax,
    cast,
    divide,
    equal,
    exp,
    greater,
    identity,
    less,
    log,
    logical_not,
    matmul,
    maximum,
    minimum,
    multiply,
    negative,
    pow,
    reduce_max,
    reduce_mean,
    reduce_sum,
    reshape,
    shape,
    sqrt,
    square,
    stop_gradient,
    subtract,
    tanh,
    transpose,
)
from bnstudy.tf1.session import InteractiveSession, Session
from bnstudy.tf1.shapes import Dimension, TensorShape
from bnstudy.tf1.template import make_template
from bnstudy.tf1.variables import (
    AUTO_REUSE,
    Variable,
    VariableScope,
    get_variable,
    get_variable_scope,
    global_variables,
    global_variables_initializer,
    model_variables,
    trainable_variables,
    variable_scope,
    variables_initializer,
)
from bnstudy.tf1.versions import emulate


def add_to_collection(name: Any, value: Any) -> None:
    """Append ``value`` to a collection of the default graph."""
    get_default_graph().add_to_collection(name, value)


def get_collection(key: Any, scope: str | None = None) -> list[Any]:
    """Return a collection of the default graph, or its items whose names match the regex ``scope``."""
    return get_default_graph().get_collection(key, scope)


def control_dependencies(control_inputs: Iterable[Any] | None) -> AbstractContextManager[None]:
    """Return a context in which new operations run after ``control_inputs``."""
    return get_default_graph().control_dependencies(control_inputs)


def name_scope(name: str | None) -> AbstractContextManager[str]:
    """Return a context that prefixes the names of operations (not those of ``get_variable``)."""
    return get_default_graph().name_scope(name)


__all__ = [
    "AUTO_REUSE",
    "DType",
    "Dimension",
    "FailedPreconditionError",
    "Graph",
    "GraphKeys",
    "InteractiveSession",
    "Operation",
    "OperatorNotAllowedInGraphError",
    "Session",
    "Tensor",
    "TensorShape",
    "TrapWarning",
    "Variable",
    "VariableScope",
    "abs",
    "add",
    "add_n",
    "add_to_collection",
    "argmax",
    "as_dtype",
    "batch_norm",
    "bfloat16",
    "bool",
    "cast",
    "cond",
    "constant",
    "constant_initializer",
    "contrib",
    "control_dependencies",
    "convert_to_tensor",
    "divide",
    "emulate",
    "equal",
    "errors",
    "exp",
    "float16",
    "float32",
    "float64",
    "get_collection",
    "get_default_graph",
    "get_variable",
    "get_variable_scope",
    "global_variables",
    "global_variables_initializer",
    "glorot_uniform_initializer",
    "gradients",
    "greater",
    "group",
    "identity",
    "int32",
    "int64",
    "less",
    "log",
    "logical_not",
    "make_template",
    "matmul",
    "maximum",
    "minimum",
    "model_variables",
    "multiply",
    "name_scope",
    "negative",
    "nn",
    "no_op",
    "ones_initializer",
    "placeholder",
    "placeholder_with_default",
    "pow",
    "random_normal",
    "random_normal_initializer",
    "random_uniform",
    "reduce_max",
    "reduce_mean",
    "reduce_sum",
    "reset_default_graph",
    "reshape",
    "set_random_seed",
    "shape",
    "sqrt",
    "square",
    "stop_gradient",
    "subtract",
    "tanh",
    "train",
    "trainable_variables",
    "transpose",
    "truncated_normal",
    "truncated_normal_initializer",
    "uint8",
    "variable_scope",
    "variables_initializer",
    "zeros_initializer",
]
