"""Batch normalization, measured: TensorFlow 1's semantics in PyTorch, and the study of one tutorial's claims.

Importing bnstudy, reading records and drawing figures never imports torch; what needs
torch is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnstudy.data import Dataset, load_dataset
    from bnstudy.network import ArticleNet
    from bnstudy.norm import BatchNorm, StatisticsBank
    from bnstudy.study import RunSpec, load, run_study
    from bnstudy.train import train_run

__version__ = "0.1.0"

_HOMES = {
    "ArticleNet": "bnstudy.network",
    "BatchNorm": "bnstudy.norm",
    "Dataset": "bnstudy.data",
    "RunSpec": "bnstudy.study",
    "StatisticsBank": "bnstudy.norm",
    "load": "bnstudy.study",
    "load_dataset": "bnstudy.data",
    "run_study": "bnstudy.study",
    "train_run": "bnstudy.train",
}

__all__ = [
    "ArticleNet",
    "BatchNorm",
    "Dataset",
    "RunSpec",
    "StatisticsBank",
    "__version__",
    "load",
    "load_dataset",
    "run_study",
    "train_run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bnstudy' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
