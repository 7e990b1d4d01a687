"""A process that imports modules, and then forks an IPython kernel that has them for each call.

Run as a script, with the descriptor of the socket that listens, the process that started it, with which it
ends, and the modules' names.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from importlib import import_module
from socketserver import ForkingMixIn, StreamRequestHandler, UnixStreamServer


class Server(ForkingMixIn, UnixStreamServer):
    """Forks a kernel for each call, for as long as ``parent`` is this process's parent."""

    def __init__(self, listening: int, parent: int) -> None:
        super().__init__("", Kernel, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=listening)
        self.parent = parent

    def service_actions(self) -> None:
        super().service_actions()
        if os.getppid() != self.parent:
            sys.exit()


class Kernel(StreamRequestHandler):
    """A kernel: it says which process it is, and holds the connection for as long as it lives."""

    def handle(self) -> None:
        asked = json.loads(self.rfile.readline())
        os.setsid()  # signals for it and for what it starts go to the group
        self.wfile.write(f"{os.getpid()}\n".encode())
        os.chdir(asked["cwd"])
        os.environ.clear()
        # A kernel ends with its parent, which is this process here and not the one that asked.
        os.environ.update(asked["env"], JPY_PARENT_PID=str(os.getppid()))
        sys.argv[1:] = asked["arguments"]
        import_module("ipykernel.kernelapp").launch_new_instance()


if __name__ == "__main__":
    del sys.path[0]  # the folder of this file
    server = Server(int(sys.argv[1]), int(sys.argv[2]))
    # A kernel says so before its notebook imports matplotlib, which asks only then.
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    for name in sys.argv[3:]:
        import_module(name)
    server.serve_forever()
