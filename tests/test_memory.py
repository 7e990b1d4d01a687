"""A training process keeps the memory that it has freed."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Takes and frees 40 MiB four times, as a step does; prints how many pages the kernel provided meanwhile.
ROUNDS = """
import ctypes, resource, sys
from bnstudy.study.memory import keep_memory
if sys.argv[1] == "keep":
    assert keep_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
size = 40 * 2**20
def step():
    piece = libc.malloc(ctypes.c_size_t(size))
    ctypes.memset(piece, 1, size)
    libc.free(piece)
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", ROUNDS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the GNU C library's way")
def test_freed_memory_serves_the_next_step():
    assert pages("keep") < 100
    # Without it every step is given new pages: the test could fail.
    assert pages("leave") > 1000
