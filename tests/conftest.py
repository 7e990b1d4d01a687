"""Options of the test suite."""

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
