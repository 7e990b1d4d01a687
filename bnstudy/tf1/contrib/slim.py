"""``tf.contrib.slim``, which is ``contrib.layers`` and ``arg_scope`` under one name."""

from bnstudy.tf1.contrib.framework import add_arg_scope, arg_scope, get_model_variables, get_variables
from bnstudy.tf1.contrib.layers import (
    avg_pool2d,
    batch_norm,
    conv2d,
    conv2d_transpose,
    convolution2d,
    dropout,
    flatten,
    fully_connected,
    l1_regularizer,
    l2_regularizer,
    max_pool2d,
    repeat,
    variance_scaling_initializer,
    xavier_initializer,
)
from bnstudy.tf1.uncovered import refused

__getattr__ = refused(__name__)

__all__ = [
    "add_arg_scope",
    "arg_scope",
    "avg_pool2d",
    "batch_norm",
    "conv2d",
    "conv2d_transpose",
    "convolution2d",
    "dropout",
    "flatten",
    "fully_connected",
    "get_model_variables",
    "get_variables",
    "l1_regularizer",
    "l2_regularizer",
    "max_pool2d",
    "repeat",
    "variance_scaling_initializer",
    "xavier_initializer",
]
