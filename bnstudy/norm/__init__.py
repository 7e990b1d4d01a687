"""What batch normalization computes: the layer, its kernel and its statistics."""

from bnstudy.norm.bank import Arm
from bnstudy.norm.convert import Conversion, convert, from_torch, to_torch
from bnstudy.norm.ema import ExponentialMovingAverage
from bnstudy.norm.guarded_bank import StatisticsBank
from bnstudy.norm.kernel import BatchMoments, batch_normalization, normalize_by_batch, normalize_by_statistics
from bnstudy.norm.layer import BatchNorm
from bnstudy.norm.moments import moments, weighted_moments
from bnstudy.norm.momentum import decay_from_momentum, momentum_from_decay
from bnstudy.norm.parameters import L1Regularizer, L2Regularizer
from bnstudy.norm.precise import PreciseStatistics
from bnstudy.norm.recalibrate import recalibrate
from bnstudy.norm.schedule import apply_updates, update_pass

__all__ = [
    "Arm",
    "BatchMoments",
    "BatchNorm",
    "Conversion",
    "ExponentialMovingAverage",
    "L1Regularizer",
    "L2Regularizer",
    "PreciseStatistics",
    "StatisticsBank",
    "apply_updates",
    "batch_normalization",
    "convert",
    "decay_from_momentum",
    "from_torch",
    "moments",
    "momentum_from_decay",
    "normalize_by_batch",
    "normalize_by_statistics",
    "recalibrate",
    "to_torch",
    "update_pass",
    "weighted_moments",
]
