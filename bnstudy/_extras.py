"""What this package needs beside PyTorch, NumPy and pandas: an error names the extra that brings it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# A package that is imported: the extra of pyproject.toml that installs it.
EXTRAS: dict[str, str] = {
    "distributed": "cluster",
    "filelock": "records",
    "matplotlib": "figures",
    "myst_nb": "book",
    "platformdirs": "data",
    "pydantic": "records",
    "scipy": "figures",
    "seaborn": "figures",
    "sklearn": "data",
    "torchvision": "data",
    "tqdm": "study",
}


class _Missing(MetaPathFinder):
    """Is asked last, when nobody has found a module, and answers this package's own imports alone."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        extra = EXTRAS.get(fullname)
        importer = _importer() if extra is not None else ""
        if importer.partition(".")[0] != "bnstudy":
            return None
        raise ModuleNotFoundError(
            f"{importer} needs {fullname}, which isn't installed; pip install 'bnstudy[{extra}]' brings it",
            name=fullname,
        )


def _importer() -> str:
    frame = sys._getframe(2)
    while frame.f_back is not None and "importlib" in frame.f_code.co_filename:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", ""))


def name_missing() -> None:
    """Let an import that fails in this package say which extra it needs."""
    if not any(isinstance(finder, _Missing) for finder in sys.meta_path):
        sys.meta_path.append(_Missing())
