"""PyTorch's idle threads: what is set, where, and when."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bnstudy.study.openmp import spin_briefly

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def settings(**mine: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in NAMES} | mine


@pytest.mark.parametrize(
    ("mine", "then"),
    [
        ({}, {"GOMP_SPINCOUNT": "1000"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
    ],
)
def test_a_setting_of_the_user_stays(monkeypatch, mine, then):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in mine.items():
        monkeypatch.setenv(name, value)
    spin_briefly()
    assert {name: os.environ[name] for name in NAMES if name in os.environ} == then


TRAIN = """
settings = {"dataset": "digits", "epochs": 1, "seeds": 2}
bnstudy.run_study("decay", settings, data_dir=sys.argv[1], progress=False)
"""
COMMAND = """
sets = ["--set", "dataset=digits", "--set", "epochs=1"]
bnstudy.cli.main(["run", "decay", *sets, "--data-dir", sys.argv[1]])
"""


@pytest.mark.parametrize("training", [TRAIN, COMMAND], ids=["in a notebook", "on the command line"])
def test_it_is_said_before_pytorch_is_imported(tmp_path, training):
    """PyTorch's OpenMP reads it while it loads; a finder that is asked for torch sees what it will read."""
    program = f"""
import os, sys
class Finder:
    def find_spec(name, path=None, target=None):
        if name == "torch":
            print("SPINS", os.environ.get("GOMP_SPINCOUNT"), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Finder)
import bnstudy, bnstudy.cli
{training}
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env=settings(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "SPINS 1000" in done.stdout, done.stdout + done.stderr
