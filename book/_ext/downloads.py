"""Sphinx extension: tell the notebooks where the pages are written, so that tables can lie beside them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bnstudy.analysis.page import DOWNLOADS


def _tell(app: Any) -> None:
    # Kernels inherit the environment of the build.
    os.environ[DOWNLOADS] = str(Path(app.outdir).resolve() / "book")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", _tell)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
