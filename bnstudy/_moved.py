"""Where modules were in earlier versions: their old import paths work for one version, and say so."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# Old path: new path. What was folded into another module is found under that one's name.
MOVED: dict[str, str] = {
    "bnstudy.tf1.batch_norm": "bnstudy.tf1.contrib.layers.batch_norm",
    "bnstudy.tf1.batch_norm_call": "bnstudy.tf1.contrib.layers.call",
    "bnstudy.tf1.core_layer": "bnstudy.tf1.contrib.layers.core_layer",
    "bnstudy.tf1.slim_fused": "bnstudy.tf1.contrib.layers.slim_fused",
    "bnstudy.tf1.slim_plain": "bnstudy.tf1.contrib.layers.slim_plain",
    "bnstudy.tf1.regularizers": "bnstudy.tf1.contrib.layers.regularizers",
    "bnstudy.tf1.traps": "bnstudy.tf1.contrib.layers.traps",
}


class _Moved(MetaPathFinder, Loader):
    """Finds the modules of ``MOVED`` where they are now."""

    def __init__(self) -> None:
        self._own: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = MOVED[spec.name]
        warnings.warn(
            f"{spec.name} is {new} now; the old path goes with the next version",
            DeprecationWarning,
            stacklevel=_outside(),
        )
        module = importlib.import_module(new)
        self._own[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system gives a module the spec that it was asked for; this one has its own already.
        assert module.__spec__ is not None
        module.__spec__ = self._own.pop(module.__spec__.name)


def _outside() -> int:
    """Return the stack level of the code that imports, above the import system's own frames."""
    level, frame = 2, sys._getframe(2)
    while frame.f_back is not None and "importlib" in frame.f_code.co_filename:
        level, frame = level + 1, frame.f_back
    return level


def find_moved() -> None:
    """Let old import paths find their modules."""
    if not any(isinstance(finder, _Moved) for finder in sys.meta_path):
        sys.meta_path.append(_Moved())
