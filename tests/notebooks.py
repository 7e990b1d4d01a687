"""A chapter executed by papermill, with its kernel in a process that finds its libraries loaded."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import nbformat
import papermill
import yaml
from jupyter_client import AsyncKernelManager

from tests import warm

BOOK = Path(__file__).parents[1] / "book"


def execute(chapter: str, folder: Path, parameters: str) -> list[dict[str, Any]]:
    """Execute ``chapter`` with ``parameters``, in YAML, and records in ``folder``; return what it shows.

    Raises:
        PapermillExecutionError: a cell failed.
    """
    out = folder / f"{chapter}.ipynb"
    papermill.execute_notebook(
        BOOK / out.name,
        out,
        {**yaml.safe_load(parameters), "data_dir": str(folder)},
        kernel_manager_class=WarmKernel,
        execution_timeout=280,
        progress_bar=False,
    )
    return shown_by(out)


def shown_by(notebook: Path) -> list[dict[str, Any]]:
    """What the cells of an executed notebook show: each output's data by MIME type."""
    outputs = [o for cell in nbformat.read(notebook, 4).cells for o in cell.get("outputs", [])]
    return [o["data"] for o in outputs if "data" in o]


class WarmKernel(AsyncKernelManager):
    """Starts a kernel by `tests.warm`; everything else a client gets from it as from any kernel."""

    async def start_kernel(self, **_: Any) -> None:
        self.write_connection_file()
        self.process = warm.fork(_serve, self.connection_file)

    async def _async_is_alive(self) -> bool:
        return self.process.is_alive()

    is_alive = _async_is_alive

    async def shutdown_kernel(self, **_: Any) -> None:
        self.process.terminate()
        self.process.join(10)
        self.process.kill()


def _serve(connection_file: str) -> None:
    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.instance()
    app.initialize(["-f", connection_file, "--quiet"])
    # Else a kernel's figures go into the notebook by what it tells a matplotlib that it has yet to load.
    app.shell.enable_matplotlib("inline")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    app.start()
