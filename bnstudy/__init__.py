"""Batch normalization, measured: TensorFlow 1's semantics in PyTorch, and the study of one tutorial's claims.

Importing bnstudy, reading records and drawing figures never imports torch; what needs
torch is imported when it is first used.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

from bnstudy._extras import name_missing
from bnstudy._loaded import keep_sources
from bnstudy._moved import find_moved

__version__ = "0.1.0"

keep_sources()
find_moved()
name_missing()


def _public() -> dict[str, str]:
    """Return the module of every public name, as the stub beside this file has it."""
    stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = (statement for statement in stub.body if isinstance(statement, ast.ImportFrom))
    return {alias.name: str(found.module) for found in imports for alias in found.names}


_HOMES = _public()

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    submodule = f"{home}.{name}" if home == __name__ else None
    value = importlib.import_module(submodule) if submodule else getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
