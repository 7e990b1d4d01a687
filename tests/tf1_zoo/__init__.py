"""Small programs in TensorFlow 1, most in the shape of a public repository's batch normalization.

Written for these tests, none copied. A program takes ``tf`` (real or ours) and TensorFlow's module
``moving_averages``, builds its graph, and says what to run, step by step.
"""

from tests.tf1_zoo import by_hand, layers, training, wrappers
from tests.tf1_zoo.harness import PROGRAMS, observe

__all__ = ["PROGRAMS", "by_hand", "layers", "observe", "training", "wrappers"]
