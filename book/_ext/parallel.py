"""Sphinx extension: a page a core, so that notebooks are executed side by side."""

from __future__ import annotations

import gc
import os
from typing import Any

# jupyter-book brings them. One numbers the sections once all pages are read, the other is for LaTeX; neither
# declares anything.
UNDECLARED = ("sphinx_multitoc_numbering", "sphinx_jupyterbook_latex")


def _declare(app: Any, config: Any) -> None:
    for name in UNDECLARED:
        if name in app.extensions:
            app.extensions[name].parallel_read_safe = True


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    # Its own option for this is one of its command line, which jupyter-book doesn't pass on.
    app.parallel = max(app.parallel, len(os.sched_getaffinity(0)))
    # Every node of a page holds its page, which makes the search for garbage long, and there is hardly any.
    gc.set_threshold(200_000, 20, 20)
    # A notebook has a core: threads of its own would wait for those of the notebook beside it.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    app.connect("config-inited", _declare)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
