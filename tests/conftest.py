"""Options of the test suite, and what holds for every test."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        default=str(Path(__file__).with_name("golden_public.npz")),
        metavar="FILE",
        help="file of TensorFlow's values that tests/test_tensorflow.py replays",
    )


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    # Tensors here are small: a second thread costs more than it brings.
    import torch

    torch.set_num_threads(1)
