"""Sphinx extension: a part of a page that says ``data-needs="NAME ..."`` brings NAME.js and NAME.css with it.

They are loaded by the pages that have such a part, and by no other.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

STATIC = Path(__file__).parents[1] / "_static"


def _bring(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    needed = re.findall(r'data-needs="([\w ]+)"', context.get("body", ""))
    for name in dict.fromkeys(" ".join(needed).split()):
        files = [STATIC / f"{name}.{kind}" for kind in ("js", "css")]
        if not any(file.exists() for file in files):
            raise FileNotFoundError(f"{page} needs {name!r}; there is neither {files[0]} nor {files[1]}")
        if files[0].exists():
            app.add_js_file(files[0].name, loading_method="defer")
        if files[1].exists():
            app.add_css_file(files[1].name)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", _bring)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
