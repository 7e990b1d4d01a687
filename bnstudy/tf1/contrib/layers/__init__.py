"""``tf.contrib.layers``."""

from bnstudy.tf1.contrib.layers.batch_norm import batch_norm
from bnstudy.tf1.contrib.layers.initializers import (
    variance_scaling_initializer,
    xavier_initializer,
    xavier_initializer_conv2d,
)
from bnstudy.tf1.contrib.layers.layers import (
    avg_pool2d,
    conv2d,
    conv2d_transpose,
    dropout,
    flatten,
    fully_connected,
    max_pool2d,
    repeat,
)
from bnstudy.tf1.contrib.layers.regularizers import l1_regularizer, l2_regularizer
from bnstudy.tf1.uncovered import refused

convolution2d = conv2d

__getattr__ = refused(__name__)

__all__ = [
    "avg_pool2d",
    "batch_norm",
    "conv2d",
    "conv2d_transpose",
    "convolution2d",
    "dropout",
    "flatten",
    "fully_connected",
    "l1_regularizer",
    "l2_regularizer",
    "max_pool2d",
    "repeat",
    "variance_scaling_initializer",
    "xavier_initializer",
    "xavier_initializer_conv2d",
]
