"""Devices and session options of TensorFlow 1: accepted, and without effect here."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any


class _Options:
    """Holds whatever is given or set."""

    def __init__(self, **options: Any) -> None:
        self.__dict__.update(options)


class GPUOptions(_Options):
    """``tf.GPUOptions``; has no effect."""


class ConfigProto(_Options):
    """``tf.ConfigProto``; has no effect."""

    def __init__(self, **options: Any) -> None:
        self.gpu_options = GPUOptions()
        super().__init__(**options)


def device(device_name_or_function: Any) -> AbstractContextManager[None]:
    """Return a context without effect: a session computes everything on its own ``device``."""
    del device_name_or_function
    return nullcontext()
