"""What TensorFlow 1 raises, under its names, and what this package warns of where it stays silent."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

_HERE = str(Path(__file__).parent)


class OperatorNotAllowedInGraphError(TypeError):
    """A tensor of the graph was used as a Python ``bool``."""


class FailedPreconditionError(RuntimeError):
    """A variable was read in a session that has not initialised it."""


class InvalidArgumentError(ValueError):
    """A value at run time does not fit the graph, such as a placeholder without a value."""


class NotFoundError(KeyError):
    """A checkpoint, or a name in it, does not exist."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would quote it


class TrapWarning(UserWarning):
    """TensorFlow accepts the call without a word, and does not do what it says."""


def missing_feed(name: str) -> InvalidArgumentError:
    """Return the error of a placeholder without a value."""
    return InvalidArgumentError(f"You must feed a value for placeholder tensor {name!r}")


def warn_of_trap(message: str) -> None:
    """Issue a ``TrapWarning`` at the line of the program that called into this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, TrapWarning, stacklevel=level)
