"""Freed memory that stays with the process: what a step frees, the next one needs again."""

from __future__ import annotations

import ctypes
import sys

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_GIBIBYTE = 1 << 30


def keep_freed() -> bool:
    """Have the C library keep what is freed, up to a GiB, instead of giving it back; return whether it does.

    By default large tensors go back to the operating system, and a training step spends a third of its time
    on pages that it gets anew; TensorFlow has an allocator of its own for that. This holds for the whole
    process, and only under glibc. ``python -m bnstudy.tf1`` does it.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_MMAP_THRESHOLD, _GIBIBYTE), (_TRIM_THRESHOLD, _GIBIBYTE), (_TOP_PAD, _GIBIBYTE >> 4))
    return all(mallopt(name, value) == 1 for name, value in settings)
