"""Batch norm with ReLU and pooling in compiled loops, on a CPU."""

from bnstudy.norm.fast.layer import normalize_and_pool, normalize_and_rectify

__all__ = ["normalize_and_pool", "normalize_and_rectify"]
