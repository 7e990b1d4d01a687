"""The kernels that a build of the book forks, beside those that papermill starts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

import kernel_server
import warm_kernels
from jupyter_client.provisioning import KernelProvisionerFactory


class App:
    """What the extension asks of Sphinx: to be called at the end."""

    def connect(self, event: str, call) -> None:
        assert event == "build-finished"
        self.end = call


@pytest.fixture(scope="module")
def forked() -> Iterator[None]:
    app = App()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(warm_kernels.ADDRESS, "")
        patch.setenv(KernelProvisionerFactory.default_provisioner_name_env, "")
        patch.setattr(KernelProvisionerFactory, "_instance", None)
        warm_kernels._start(app)
        yield
        app.end(app, None)
        assert not Path(os.environ[warm_kernels.ADDRESS]).exists()


def outputs(folder: Path, *cells: str) -> list[str]:
    """Execute cells as a notebook in a folder; return what each of them printed."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}}).execute()
    return [
        "".join(out.text for out in cell.outputs if out.output_type == "stream") for cell in notebook.cells
    ]


def test_a_forked_kernel_is_like_any_other(forked, tmp_path, monkeypatch):
    monkeypatch.setenv("ASKED_LATER", "yes")
    here = (
        "import os, sys, matplotlib; print(os.getcwd(), os.environ['ASKED_LATER'], sys.argv[1::2], sys.path, "
        "'torch' in sys.modules, matplotlib.get_backend())"
    )
    parent = "import os; print(os.environ['JPY_PARENT_PID'] == str(os.getppid()))"
    forked_says = outputs(tmp_path, parent, here)
    assert forked_says[0] == "True\n"
    monkeypatch.setattr(KernelProvisionerFactory, "_instance", None)
    monkeypatch.delenv(KernelProvisionerFactory.default_provisioner_name_env)
    started_says = outputs(tmp_path, "", here)
    assert forked_says[1] == started_says[1]


def test_kernels_share_nothing_after_the_fork(forked, tmp_path):
    """What one notebook does to a module that both have isn't there in the next."""
    cell = "import bnstudy, os; print(hasattr(bnstudy, 'left')); bnstudy.left = 1"
    assert outputs(tmp_path, cell) == outputs(tmp_path, cell) == ["False\n"]


def test_a_cell_that_fails_and_a_kernel_that_dies_end_the_notebook(forked, tmp_path):
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        outputs(tmp_path, "1 / 0")
    with pytest.raises(DeadKernelError):
        outputs(tmp_path, "import os; os._exit(3)")


def test_the_server_ends_with_the_process_that_started_it(tmp_path):
    """A build that is killed leaves nothing behind."""
    starts = (
        "import os, subprocess, sys; asked = [*sys.argv[1:], str(os.getpid())]; "
        "print(subprocess.Popen(asked, stdout=2, pass_fds=[int(sys.argv[3])]).pid)"
    )
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        server = [sys.executable, kernel_server.__file__, str(listening.fileno())]
        asked = [sys.executable, "-c", starts, *server]
        done = subprocess.run(asked, stdout=subprocess.PIPE, check=True, pass_fds=[listening.fileno()])
    pid = int(done.stdout)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
