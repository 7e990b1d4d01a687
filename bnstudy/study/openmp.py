"""How PyTorch's idle threads wait for work."""

from __future__ import annotations

import os
from typing import Final

# Some microseconds: the gap between two operations of a training step.
SPINS: Final = "1000"


def spin_briefly() -> None:
    """Let the threads of GNU OpenMP sleep soon after their work, in this process and those that it starts.

    They spin for milliseconds by default, and take the cores from the threads of the compiled passes
    (``bnstudy.norm.fast.threads``). It has to be said before PyTorch is imported, and has no effect later.
    What is set already, ``GOMP_SPINCOUNT`` or ``OMP_WAIT_POLICY``, stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
