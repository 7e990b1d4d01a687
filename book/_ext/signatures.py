"""Sphinx extension: what autodoc would say of a class's fields twice, or without telling anything."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def _shorten(app: Any, what: str, name: str, of: Any, options: Any, signature: str, result: str) -> Any:
    if what == "class" and issubclass(of, BaseModel):
        return "", result
    if what == "class" and hasattr(of, "_fields"):
        # A named tuple's annotations are strings, which Sphinx would link to any class of such a name.
        return f"({', '.join(of._fields)})", result
    return None


def _skip(app: Any, what: str, name: str, of: Any, skip: bool, options: Any) -> bool | None:
    alias = (getattr(of, "__doc__", None) or "").startswith("Alias for field number")
    return True if alias else None


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("autodoc-process-signature", _shorten)
    app.connect("autodoc-skip-member", _skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
