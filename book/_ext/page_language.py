"""Sphinx extension: a page that says ``language:`` in its front matter is marked as being in it."""

from __future__ import annotations

from typing import Any


def _mark(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    language = app.env.metadata.get(page, {}).get("language")
    if language:
        context["language"] = language


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", _mark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
