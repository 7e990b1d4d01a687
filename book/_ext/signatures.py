"""Sphinx extension: a model of parameters is listed field by field, without a signature that repeats them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def _drop(app: Any, what: str, name: str, of: Any, options: Any, signature: str, result: str) -> Any:
    if what == "class" and issubclass(of, BaseModel):
        return "", result
    return None


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("autodoc-process-signature", _drop)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
