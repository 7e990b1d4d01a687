"""Batch normalization, measured: TensorFlow 1's semantics in PyTorch, and the study of one tutorial's claims.

Importing bnstudy, reading records and drawing figures never imports torch; what needs
torch is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bnstudy._moved import find_moved

if TYPE_CHECKING:
    from bnstudy import probes
    from bnstudy.norm import (
        BatchNorm,
        ExponentialMovingAverage,
        L1Regularizer,
        L2Regularizer,
        StatisticsBank,
        apply_updates,
        batch_normalization,
        convert,
        decay_from_momentum,
        from_torch,
        moments,
        momentum_from_decay,
        to_torch,
        update_pass,
        weighted_moments,
    )
    from bnstudy.study import RunSpec, load, run_study
    from bnstudy.train.data import Dataset, load_dataset
    from bnstudy.train.fleet import train_fleet, train_run
    from bnstudy.train.network import ArticleNet

__version__ = "0.1.0"

find_moved()

_HOMES = {
    "ArticleNet": "bnstudy.train.network",
    "BatchNorm": "bnstudy.norm",
    "Dataset": "bnstudy.train.data",
    "ExponentialMovingAverage": "bnstudy.norm",
    "L1Regularizer": "bnstudy.norm",
    "L2Regularizer": "bnstudy.norm",
    "RunSpec": "bnstudy.study",
    "StatisticsBank": "bnstudy.norm",
    "apply_updates": "bnstudy.norm",
    "batch_normalization": "bnstudy.norm",
    "convert": "bnstudy.norm",
    "decay_from_momentum": "bnstudy.norm",
    "from_torch": "bnstudy.norm",
    "load": "bnstudy.study",
    "load_dataset": "bnstudy.train.data",
    "moments": "bnstudy.norm",
    "momentum_from_decay": "bnstudy.norm",
    "probes": "bnstudy.probes",
    "run_study": "bnstudy.study",
    "to_torch": "bnstudy.norm",
    "train_fleet": "bnstudy.train.fleet",
    "train_run": "bnstudy.train.fleet",
    "update_pass": "bnstudy.norm",
    "weighted_moments": "bnstudy.norm",
}

__all__ = [
    "ArticleNet",
    "BatchNorm",
    "Dataset",
    "ExponentialMovingAverage",
    "L1Regularizer",
    "L2Regularizer",
    "RunSpec",
    "StatisticsBank",
    "__version__",
    "apply_updates",
    "batch_normalization",
    "convert",
    "decay_from_momentum",
    "from_torch",
    "load",
    "load_dataset",
    "moments",
    "momentum_from_decay",
    "probes",
    "run_study",
    "to_torch",
    "train_fleet",
    "train_run",
    "update_pass",
    "weighted_moments",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bnstudy' has no attribute {name!r}")
    home = importlib.import_module(_HOMES[name])
    value = home if home.__name__ == f"bnstudy.{name}" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
