"""``tf.train``."""

from bnstudy.tf1.moving_averages import ExponentialMovingAverage
from bnstudy.tf1.optimizers import AdamOptimizer, GradientDescentOptimizer, Optimizer
from bnstudy.tf1.saver import Saver

__all__ = ["AdamOptimizer", "ExponentialMovingAverage", "GradientDescentOptimizer", "Optimizer", "Saver"]
