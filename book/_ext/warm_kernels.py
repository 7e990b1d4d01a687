"""Sphinx extension: a build's kernels are forked from one process, which imports once what they all would.

A kernel is like any other else, with its own environment, in its own folder: a notebook that is run alone
gives the same.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

SERVER = Path(__file__).with_name("kernel_server.py")
# Where it listens: for the processes that read pages, which inherit it.
ADDRESS = "BNSTUDY_KERNELS"
LAUNCHER = "ipykernel_launcher"
# What every notebook of the book imports before it reads a record.
IMPORTED = ("ipykernel.kernelapp", "bnstudy.chapters", "bnstudy.analysis.page", "myst_nb")


class Forked:
    """A forked kernel, as ``subprocess.Popen`` would show it, less how it ended."""

    stdin = stdout = stderr = None

    def __init__(self, arguments: list[str], cwd: str, env: dict[str, str]) -> None:
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(os.environ[ADDRESS])
        asked = {"arguments": arguments, "cwd": cwd, "env": env}
        self.connection.sendall(json.dumps(asked).encode() + b"\n")
        self.pid = int(self.connection.recv(32))

    def poll(self) -> int | None:
        # It says no more; what is there to read is that its end is closed.
        return 0 if select.select([self.connection], [], [], 0)[0] else None

    def wait(self) -> int:
        select.select([self.connection], [], [])
        self.connection.close()
        return 0

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


class ForkedKernels(LocalProvisioner):
    """Kernels on this machine, forked where they are IPython's and started as ever where not."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        if LAUNCHER not in cmd:
            return await super().launch_kernel(cmd, **kwargs)
        self.cwd = kwargs.get("cwd") or os.getcwd()
        self.process = Forked(cmd[cmd.index(LAUNCHER) + 1 :], str(self.cwd), kwargs["env"])
        self.pid = self.pgid = self.process.pid
        return self.connection_info


def _start(app: Any) -> None:
    folder = tempfile.TemporaryDirectory()
    os.environ[ADDRESS] = str(Path(folder.name) / "socket")
    # It listens before its server is there, so that calls wait for it and none is early.
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.environ[ADDRESS])
        listening.listen(64)
        asked = [str(SERVER), str(listening.fileno()), str(os.getpid()), *IMPORTED]
        server = subprocess.Popen([sys.executable, *asked], pass_fds=[listening.fileno()])

    def stop(app: Any, error: Exception | None) -> None:
        server.terminate()
        server.wait()
        folder.cleanup()

    app.connect("build-finished", stop)
    name = "bnstudy-forked"
    KernelProvisionerFactory.provisioners[name] = EntryPoint(
        name, f"{__name__}:{ForkedKernels.__name__}", KernelProvisionerFactory.GROUP_NAME
    )
    os.environ[KernelProvisionerFactory.default_provisioner_name_env] = name


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", _start)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
