"""Sharing a compiled loop among as many threads as PyTorch uses."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import torch

# Below this many values a thread takes longer to wake than to work.
WORTH_A_THREAD = 1 << 16

_pool: ThreadPoolExecutor | None = None


def share(loop: Callable[..., None], parts: int, values: int, *arguments: Any) -> None:
    """Call ``loop(first, last, *arguments)`` so that the calls together cover ``parts``.

    ``loop`` releases the interpreter's lock and does the same for a part whoever does it. ``values``
    is the size of the whole work. At most ``torch.get_num_threads()`` threads take part.
    """
    threads = max(1, min(torch.get_num_threads(), parts, values // WORTH_A_THREAD))
    mine, *others = pairwise(parts * i // threads for i in range(threads + 1))
    pending = [_executor().submit(loop, *part, *arguments) for part in others]
    loop(*mine, *arguments)
    for result in pending:
        result.result()


def _executor() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="bnstudy")
    return _pool


def _forget() -> None:
    # Threads don't survive a fork.
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
