"""What the machine is, and the floors that no training step on it can go below."""

from __future__ import annotations

import os
import platform
import statistics
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from bnstudy.bench.pairs import seconds
from bnstudy.train.network import WIDTHS

SIDE, CHANNELS, CLASSES = 32, 3, 10
REPEATS = 7


def describe() -> dict[str, Any]:
    """Return processor, cores, threads, versions, and how many processes want a core just now."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def operations() -> float:
    """Return the floating-point operations of the convolutions of one training step, for one image.

    A multiplication and an addition count as two. Forward, gradient of the weights, and gradient of the
    input, which the first layer does not need.
    """
    total, side = 0.0, SIDE
    widths = (CHANNELS, *WIDTHS, CLASSES)
    for layer, (before, after) in enumerate(pairwise(widths)):
        forward = 2.0 * 9 * before * after * side * side
        total += forward * (2 if layer == 0 else 3)
        side = side // 2 if layer < len(WIDTHS) else side
    return total


def traffic(bytes_per_value: int) -> float:
    """Return the bytes that one training step with batch norm has to move, for one image.

    Each layer's convolution output is written once and read three times (moments, pooling, gradient); its
    gradient is written once and read twice (for the convolution's weights and for its input). What is
    pooled is a quarter; it and its gradient are written once and read twice.
    """
    total, side = 0.0, SIDE
    for width in WIDTHS:
        values = width * side * side
        total += values * (4 + 3) + values / 4 * (3 + 3)
        side //= 2
    return total * bytes_per_value


def rates(dtype: torch.dtype, size: int = 2048, megabytes: int = 256) -> dict[str, float]:
    """Return the measured rates of matrix products (FLOP/s) and copies (bytes read and written a second)."""
    a = torch.randn(size, size).to(dtype)
    source = torch.ones(megabytes << 18)
    target = torch.empty_like(source)
    products = [seconds(lambda: a @ a) for _ in range(REPEATS)]
    copies = [seconds(lambda: target.copy_(source)) for _ in range(REPEATS)]
    return {
        "matrix": 2.0 * size**3 / statistics.median(products[1:]),
        "copy": 2.0 * source.numel() * 4 / statistics.median(copies[1:]),
    }


def floors(dtype: torch.dtype, **sizes: int) -> dict[str, float]:
    """Return the images a second that arithmetic alone, traffic alone, and both one after the other allow."""
    measured = rates(dtype, **sizes)
    arithmetic = operations() / measured["matrix"]
    memory = traffic(dtype.itemsize) / measured["copy"]
    return {
        "matrix_rate": measured["matrix"],
        "copy_rate": measured["copy"],
        "operations": operations(),
        "bytes": traffic(dtype.itemsize),
        "arithmetic": 1 / arithmetic,
        "traffic": 1 / memory,
        "both": 1 / (arithmetic + memory),
    }
