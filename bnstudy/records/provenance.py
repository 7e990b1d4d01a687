"""Where a record comes from: code, data, libraries and machine."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import bnstudy

# The modules that decide a number, and packages of them. A record made by other source than today's is
# still read, but flagged.
DECIDING = ("norm", "train")

# Without numba, other kernels round otherwise.
LIBRARIES = ("torch", "numpy", "numba")


def deciding_modules() -> list[str]:
    """Return the files of the modules that decide a run's numbers, relative to the package, in order."""
    root = Path(bnstudy.__file__).parent
    files = (
        p
        for name in DECIDING
        for p in ([root / name] if name.endswith(".py") else (root / name).rglob("*.py"))
    )
    return sorted(p.relative_to(root).as_posix() for p in files)


@cache
def source_digest() -> str:
    """Return the SHA-256 over the modules that decide a run's numbers, its first 16 hexadecimal digits."""
    root = Path(bnstudy.__file__).parent
    digest = hashlib.sha256()
    for name in deciding_modules():
        digest.update(name.encode() + b"\0" + (root / name).read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def git_state() -> dict[str, Any]:
    """Return the commit of the checkout that the package runs from, and whether it was changed since."""
    root = Path(bnstudy.__file__).parent.parent
    try:
        commit = _git(root, "rev-parse", "HEAD")
        # Records arrive while a study runs, so they don't count as a change of the code.
        dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no", "--", "bnstudy"))
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": dirty}


def provenance(data_sha256: dict[str, str], device: str, wall_seconds: float) -> dict[str, Any]:
    """Return the provenance of a run that has just ended in this process."""
    import torch

    return {
        "bnstudy": bnstudy.__version__,
        "source": source_digest(),
        "git": git_state(),
        "data_sha256": data_sha256,
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "wall_seconds": round(wall_seconds, 3),
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
