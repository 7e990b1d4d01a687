"""TensorFlow 1's batch normalization and what programs around it need, over PyTorch.

``import bnstudy.tf1 as tf`` builds graphs and runs them in sessions, with TensorFlow's names,
semantics and numbers. Images are NHWC. ``python -m bnstudy.tf1 SCRIPT.py`` runs an old file unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from bnstudy.tf1 import contrib, errors, layers, nn, summary, train
from bnstudy.tf1.checkpoint import arrays_of, load_arrays, read_checkpoint
from bnstudy.tf1.config import ConfigProto, GPUOptions, device
from bnstudy.tf1.constants import constant, convert_to_tensor, placeholder, placeholder_with_default
from bnstudy.tf1.contrib.layers.batch_norm import batch_norm
from bnstudy.tf1.control import cond, group, no_op
from bnstudy.tf1.control import tuple_ as tuple
from bnstudy.tf1.crossing import from_network, to_network
from bnstudy.tf1.dtypes import DType, as_dtype, bfloat16, float16, float32, float64, int32, int64, uint8
from bnstudy.tf1.dtypes import boolean as bool
from bnstudy.tf1.errors import FailedPreconditionError, OperatorNotAllowedInGraphError, TrapWarning
from bnstudy.tf1.filling import fill, one_hot, ones, ones_like, where, zeros, zeros_like
from bnstudy.tf1.gradients import gradients
from bnstudy.tf1.graph import Graph, Operation, Tensor, get_default_graph, reset_default_graph
from bnstudy.tf1.initializers import (
    constant_initializer,
    glorot_uniform_initializer,
    ones_initializer,
    random_normal_initializer,
    random_uniform_initializer,
    truncated_normal_initializer,
    zeros_initializer,
)
from bnstudy.tf1.joining import concat, pad, split, stack, tile, unstack
from bnstudy.tf1.keys import GraphKeys
from bnstudy.tf1.math import (
    abs,
    add,
    add_n,
    cast,
    clip_by_value,
    div,
    divide,
    equal,
    exp,
    floordiv,
    greater,
    greater_equal,
    identity,
    less,
    less_equal,
    log,
    logical_and,
    logical_not,
    logical_or,
    matmul,
    maximum,
    minimum,
    mod,
    multiply,
    negative,
    not_equal,
    pow,
    rsqrt,
    sigmoid,
    sign,
    sqrt,
    square,
    squared_difference,
    stop_gradient,
    subtract,
    tanh,
    to_float,
    to_int32,
    truediv,
)
from bnstudy.tf1.random import random_normal, random_uniform, set_random_seed, truncated_normal
from bnstudy.tf1.reductions import (
    argmax,
    argmin,
    reduce_all,
    reduce_any,
    reduce_max,
    reduce_mean,
    reduce_min,
    reduce_prod,
    reduce_sum,
)
from bnstudy.tf1.scopes import AUTO_REUSE, VariableScope, get_variable, get_variable_scope, variable_scope
from bnstudy.tf1.session import InteractiveSession, Session, get_default_session
from bnstudy.tf1.shapes import Dimension, TensorShape
from bnstudy.tf1.shaping import expand_dims, reshape, shape, size, squeeze, transpose
from bnstudy.tf1.template import make_template
from bnstudy.tf1.uncovered import refused
from bnstudy.tf1.variables import (
    Variable,
    assign,
    assign_add,
    assign_sub,
    global_variables,
    global_variables_initializer,
    local_variables,
    local_variables_initializer,
    model_variables,
    moving_average_variables,
    trainable_variables,
    variables_initializer,
)
from bnstudy.tf1.versions import emulate

# The version whose names these are; `emulate` chooses what batch_norm does.
__version__ = "1.15.5"

# Names of TensorFlow before 1.0.
initialize_all_variables = global_variables_initializer
all_variables = global_variables
mul, sub, neg = multiply, subtract, negative
pack, unpack = stack, unstack
scalar_summary, histogram_summary = summary.scalar, summary.histogram
merge_all_summaries = summary.merge_all

__getattr__ = refused(__name__)


def add_to_collection(name: Any, value: Any) -> None:
    """Append ``value`` to a collection of the default graph."""
    get_default_graph().add_to_collection(name, value)


def get_collection(key: Any, scope: str | None = None) -> list[Any]:
    """Return a collection of the default graph, or its items whose names match the regex ``scope``."""
    return get_default_graph().get_collection(key, scope)


def get_collection_ref(key: Any) -> list[Any]:
    """Return a collection of the default graph itself: what is appended to it is in it."""
    return get_default_graph().get_collection_ref(key)


def control_dependencies(control_inputs: Iterable[Any] | None) -> AbstractContextManager[None]:
    """Return a context in which new operations run after ``control_inputs``."""
    return get_default_graph().control_dependencies(control_inputs)


def disable_v2_behavior() -> None:
    """Do nothing: this is TensorFlow 1's behaviour."""


def name_scope(
    name: str | None, default_name: str | None = None, values: Sequence[Any] | None = None
) -> AbstractContextManager[str]:
    """Return a context that prefixes the names of operations (not those of ``get_variable``)."""
    del values
    return get_default_graph().name_scope(default_name if name is None else name)


__all__ = [
    "AUTO_REUSE",
    "ConfigProto",
    "DType",
    "Dimension",
    "FailedPreconditionError",
    "GPUOptions",
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
    "all_variables",
    "argmax",
    "argmin",
    "arrays_of",
    "as_dtype",
    "assign",
    "assign_add",
    "assign_sub",
    "batch_norm",
    "bfloat16",
    "bool",
    "cast",
    "clip_by_value",
    "concat",
    "cond",
    "constant",
    "constant_initializer",
    "contrib",
    "control_dependencies",
    "convert_to_tensor",
    "device",
    "disable_v2_behavior",
    "div",
    "divide",
    "emulate",
    "equal",
    "errors",
    "exp",
    "expand_dims",
    "fill",
    "float16",
    "float32",
    "float64",
    "floordiv",
    "from_network",
    "get_collection",
    "get_collection_ref",
    "get_default_graph",
    "get_default_session",
    "get_variable",
    "get_variable_scope",
    "global_variables",
    "global_variables_initializer",
    "glorot_uniform_initializer",
    "gradients",
    "greater",
    "greater_equal",
    "group",
    "histogram_summary",
    "identity",
    "initialize_all_variables",
    "int32",
    "int64",
    "layers",
    "less",
    "less_equal",
    "load_arrays",
    "local_variables",
    "local_variables_initializer",
    "log",
    "logical_and",
    "logical_not",
    "logical_or",
    "make_template",
    "matmul",
    "maximum",
    "merge_all_summaries",
    "minimum",
    "mod",
    "model_variables",
    "moving_average_variables",
    "mul",
    "multiply",
    "name_scope",
    "neg",
    "negative",
    "nn",
    "no_op",
    "not_equal",
    "one_hot",
    "ones",
    "ones_initializer",
    "ones_like",
    "pack",
    "pad",
    "placeholder",
    "placeholder_with_default",
    "pow",
    "random_normal",
    "random_normal_initializer",
    "random_uniform",
    "random_uniform_initializer",
    "read_checkpoint",
    "reduce_all",
    "reduce_any",
    "reduce_max",
    "reduce_mean",
    "reduce_min",
    "reduce_prod",
    "reduce_sum",
    "reset_default_graph",
    "reshape",
    "rsqrt",
    "scalar_summary",
    "set_random_seed",
    "shape",
    "sigmoid",
    "sign",
    "size",
    "split",
    "sqrt",
    "square",
    "squared_difference",
    "squeeze",
    "stack",
    "stop_gradient",
    "sub",
    "subtract",
    "summary",
    "tanh",
    "tile",
    "to_float",
    "to_int32",
    "to_network",
    "train",
    "trainable_variables",
    "transpose",
    "truediv",
    "truncated_normal",
    "truncated_normal_initializer",
    "tuple",
    "uint8",
    "unpack",
    "unstack",
    "variable_scope",
    "variables_initializer",
    "where",
    "zeros",
    "zeros_initializer",
    "zeros_like",
]
