"""``tf.train``."""

from bnstudy.tf1.checkpoint import latest_checkpoint
from bnstudy.tf1.moving_averages import ExponentialMovingAverage
from bnstudy.tf1.optimizers import (
    AdamOptimizer,
    GradientDescentOptimizer,
    MomentumOptimizer,
    Optimizer,
    RMSPropOptimizer,
)
from bnstudy.tf1.rates import (
    exponential_decay,
    get_global_step,
    get_or_create_global_step,
    piecewise_constant,
)
from bnstudy.tf1.saver import Saver
from bnstudy.tf1.uncovered import refused

__getattr__ = refused(__name__)

__all__ = [
    "AdamOptimizer",
    "ExponentialMovingAverage",
    "GradientDescentOptimizer",
    "MomentumOptimizer",
    "Optimizer",
    "RMSPropOptimizer",
    "Saver",
    "exponential_decay",
    "get_global_step",
    "get_or_create_global_step",
    "latest_checkpoint",
    "piecewise_constant",
]
