"""What TensorFlow 1 raises, under its names, and what this package warns of where it stays silent."""

from __future__ import annotations


class OperatorNotAllowedInGraphError(TypeError):
    """A tensor of the graph was used as a Python ``bool``."""


class FailedPreconditionError(RuntimeError):
    """A variable was read in a session that has not initialised it."""


class InvalidArgumentError(ValueError):
    """A value at run time does not fit the graph, such as a placeholder without a value."""


class TrapWarning(UserWarning):
    """TensorFlow accepts the call without a word, and does not do what it says."""
