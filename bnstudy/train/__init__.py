"""One run or many side by side, from a specification and a data set to tables of what was measured.

Importing this package imports no torch; what needs it is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnstudy.train import networks
    from bnstudy.train.device import check_device
    from bnstudy.train.fleet import RunResult, check_fleet, train_fleet, train_run

__all__ = ["RunResult", "check_device", "check_fleet", "networks", "train_fleet", "train_run"]


def __getattr__(name: str) -> Any:
    if name == "networks":
        return importlib.import_module("bnstudy.train.networks")
    if name not in __all__:
        raise AttributeError(f"module 'bnstudy.train' has no attribute {name!r}")
    home = "device" if name == "check_device" else "fleet"
    return getattr(importlib.import_module(f"bnstudy.train.{home}"), name)
