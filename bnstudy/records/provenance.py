"""Where a record comes from: code, data, libraries, machine and day."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import bnstudy

# Without numba, other kernels round otherwise.
LIBRARIES = ("torch", "numpy", "numba")


@cache
def git_state() -> dict[str, Any]:
    """Return the commit of the checkout that the package runs from, and whether it was changed since.

    It is that of this process's first call: what is checked out later, it hasn't loaded.
    """
    root = Path(bnstudy.__file__).parent.parent
    try:
        commit = _git(root, "rev-parse", "HEAD")
        # Records arrive while a study runs, so they don't count as a change of the code.
        dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no", "--", "bnstudy"))
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": dirty}


def provenance(data_sha256: dict[str, str], device: str, wall_seconds: float) -> dict[str, Any]:
    """Return the provenance of a run that has just ended in this process, less the code's."""
    return {
        "bnstudy": bnstudy.__version__,
        "git": git_state(),
        "data_sha256": data_sha256,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **environment(device),
        "python": platform.python_version(),
        "wall_seconds": round(wall_seconds, 3),
    }


def environment(device: str = "cpu") -> dict[str, Any]:
    """Return what a run's rounding depends on besides its code: device, threads and libraries."""
    import torch

    return {
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else processor(),
        "threads": torch.get_num_threads(),
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """Return the processor's name, as the operating system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
