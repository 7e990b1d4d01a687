"""The digest of code outside the package: a user's own network, named by where it is."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec

from bnstudy.records.source.reach import Code, Definition


def outside_digest(name: str) -> str:
    """Return the digest over what ``"package.module:function"`` reaches in its own package.

    Raises:
        ValueError: there is no such module, or its source can't be read.
    """
    module, _, attribute = name.partition(":")
    code = Code(module.partition(".")[0], _read)
    if code.module(module) is None:
        raise ValueError(f"{name!r} has no module {module!r} whose source can be read")
    return code.digest([Definition(module, attribute)])


def _read(name: str) -> tuple[bytes, bool] | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    source = _source(spec, name) if spec is not None else None
    if spec is None or source is None:
        return None
    return source.encode("utf-8", "surrogatepass"), spec.submodule_search_locations is not None


def _source(spec: ModuleSpec, name: str) -> str | None:
    get_source = getattr(spec.loader, "get_source", None)
    found: str | None = get_source(name) if get_source is not None else None
    return found
