"""Freed memory that stays with the process: what a step frees, the next one needs again."""

from __future__ import annotations

import ctypes
import functools
import sys

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_MIB = 1 << 20


@functools.cache
def keep_freed() -> bool:
    """Have the C library keep what is freed, up to a GiB, instead of giving it back; return whether it does.

    By default large tensors go back to the operating system, and a training step spends much of its time on
    pages that it gets anew; TensorFlow has an allocator of its own for that. This holds for the whole
    process, and only under glibc. The first session does it.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    # Some versions take no threshold above 32 MiB.
    large = any(mallopt(_MMAP_THRESHOLD, size * _MIB) == 1 for size in (1024, 32))
    kept = mallopt(_TRIM_THRESHOLD, 1024 * _MIB) == 1
    return large and kept and mallopt(_TOP_PAD, 64 * _MIB) == 1
