"""How a training process deals with memory that it has freed."""

from __future__ import annotations

import ctypes
import platform
from typing import Final

# Parameters of mallopt(3), and the value that turns trimming off.
_TRIM_THRESHOLD: Final = -1
_MMAP_MAX: Final = -4
_NEVER: Final = -1


def keep_memory() -> bool:
    """Let this process keep the memory that it frees, for its next step; return whether it does.

    A step asks for the same large tensors as the one before. The GNU C library takes each piece of more than
    32 MiB from the kernel anew and hands it back at once, so that the kernel clears its pages at every step:
    that can take two fifths of a training's time on a CPU (``benchmarks/keep_memory.py``). Results don't
    depend on it. It is for processes that do nothing but train: what a process has needed once it keeps until
    it ends.

    Source: mallopt(3), ``M_MMAP_MAX`` and ``M_TRIM_THRESHOLD``. Elsewhere than with the GNU C library nothing
    is changed.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, _NEVER))
