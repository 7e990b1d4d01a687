"""The package's source as this process loaded it: what happens to the files later changes nothing.

Nothing here imports more than the standard library: ``bnstudy`` imports it before everything else.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

PACKAGE = "bnstudy"
ROOT = Path(__file__).parent

_source: dict[str, bytes] = {}
_code: dict[str, CodeType] = {}
_changed: set[str] = set()


# Without the flags, which numba clears under a profiler.
_COMPARED = (
    "co_argcount", "co_cellvars", "co_code", "co_freevars", "co_kwonlyargcount", "co_name", "co_names",
    "co_posonlyargcount", "co_varnames",
)  # fmt: skip


class SourceError(RuntimeError):
    """What this process has loaded isn't what its files say, so that no digest would be right."""


def keep_sources() -> None:
    """Keep the source of each module of the package that is imported from now on."""
    if not any(isinstance(finder, _Keeping) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Keeping())


def source(name: str) -> tuple[bytes, bool] | None:
    """Return the source of a module of the package, and whether it is a package itself.

    It is that which this process has loaded, or that of the file when this process first asked.
    None: there is no such module.
    """
    path = _file(name)
    if name not in _source:
        if path is None:
            return None
        _source[name] = path.read_bytes()
    return _source[name], path is not None and path.name == "__init__.py"


def check_loaded(names: Iterable[str]) -> None:
    """Compare the bytecode of those modules that are loaded with their source.

    Python takes compiled files by their time in seconds and their size, so that an edit within a second
    that keeps the size goes unnoticed.

    Raises:
        SourceError: a module was loaded from other source than ``source`` gives.
    """
    for name in names:
        if name in _changed:
            raise SourceError(f"{name} has changed since this process read it; start the process again")
        loaded = _code.get(name)
        if loaded is None:
            continue
        written = compile(_source[name], loaded.co_filename, "exec", dont_inherit=True)
        if not _same(written, loaded):
            raise SourceError(
                f"{name} was loaded from a compiled file that isn't its source's; remove "
                f"{_file(name) or name}'s __pycache__ and start the process again"
            )


def _same(written: CodeType, loaded: CodeType) -> bool:
    # Not `==`, which also sees how Python has specialised the code that it has run.
    if any(getattr(written, name) != getattr(loaded, name) for name in _COMPARED):
        return False
    pairs = zip(written.co_consts, loaded.co_consts, strict=True)
    return len(written.co_consts) == len(loaded.co_consts) and all(
        _same(a, b)
        if isinstance(a, CodeType) and isinstance(b, CodeType)
        else type(a) is type(b) and (a == b or repr(a) == repr(b))  # the latter for NaN
        for a, b in pairs
    )


class _Keeping(MetaPathFinder):
    """Finds the package's modules as ever, and has their loaders keep what they load."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{PACKAGE}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _KeepingLoader(spec.loader.name, spec.loader.path)
        return spec


class _KeepingLoader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType | None:
        code = super().get_code(fullname)
        content = self.get_data(self.path)
        if _source.setdefault(fullname, content) != content:
            _changed.add(fullname)
        if code is not None:
            _code[fullname] = code
        return code


def _file(name: str) -> Path | None:
    first, *rest = name.split(".")
    if first != PACKAGE or not all(part.isidentifier() and part != "__init__" for part in rest):
        return None
    base = ROOT.joinpath(*rest)
    candidates = (base / "__init__.py", base.with_name(f"{base.name}.py") if rest else base)
    return next((path for path in candidates if path.is_file()), None)
