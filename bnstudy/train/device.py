"""Where a run trains, and PyTorch's switches while it does."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch.utils import deterministic as _memory_settings

_memory: Any = _memory_settings  # a module that sets itself up as an object with properties


def check_device(device: str) -> None:
    """Raise a ``ValueError`` that names the devices there are, unless ``device`` is one."""
    there = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.cuda.is_available():
        there.insert(1, "cuda")
    if device not in there:
        raise ValueError(f"device is {device!r}; allowed here: {', '.join(there)}")


class deterministic:
    """A context in which PyTorch uses deterministic algorithms alone, and float32 is float32 on a GPU too."""

    def __enter__(self) -> None:
        self._kept = torch.are_deterministic_algorithms_enabled()
        self._tf32 = torch.backends.cudnn.allow_tf32
        torch.backends.cudnn.allow_tf32 = False
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        # No kernel here reads memory it has not written, and filling it costs a pass over every output.
        self._fill = _memory.fill_uninitialized_memory
        _memory.fill_uninitialized_memory = False

    def __exit__(self, *_: object) -> None:
        torch.use_deterministic_algorithms(self._kept)
        torch.backends.cudnn.allow_tf32 = self._tf32
        _memory.fill_uninitialized_memory = self._fill
