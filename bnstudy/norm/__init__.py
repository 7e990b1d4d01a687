"""What batch normalization computes: the layer, its kernel and its statistics."""

from bnstudy.norm.bank import Arm, StatisticsBank
from bnstudy.norm.kernel import BatchMoments, normalize_by_batch, normalize_by_statistics
from bnstudy.norm.layer import BatchNorm
from bnstudy.norm.precise import PreciseStatistics

__all__ = [
    "Arm",
    "BatchMoments",
    "BatchNorm",
    "PreciseStatistics",
    "StatisticsBank",
    "normalize_by_batch",
    "normalize_by_statistics",
]
