from __future__ import annotations

import os
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.site_book import browser, chromium, html, served, visit, visited  # noqa: F401

# These files take six seconds or more, most of them in processes, browsers and kernels that they start. A
# file is one worker's (see the Makefile), so that a long one that came last would keep one core busy
# alone; the short ones even the cores out.
LONGEST_FIRST = (
    "test_records_again.py",
    "test_site.py",
    "test_site_reading.py",
    "test_site_numbers.py",
    "test_engine_processes.py",
    "chapters/test_notebooks.py",
    "test_train.py",
    "test_fleet.py",
    "test_engine.py",
    "test_beginning.py",
    "test_cli.py",
    "test_honesty.py",
    "chapters/*.py",
    "analysis/*.py",
    "test_tf1_listing.py",
    "test_bench.py",
    "test_probes_ics.py",
    "test_asking.py",
    "test_study.py",
    "test_updates.py",
    "test_probes_trace.py",
    "test_commands.py",
    "test_package.py",
    "test_equivalent.py",
)


# What a check of the built book asks for, of tests/site_book.py.
SITE = {"browser", "chromium", "html", "served", "visit", "visited"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SITE & set(getattr(item, "fixturenames", ())):
            item.add_marker("site")

    def rank(item: pytest.Item) -> int:
        name = item.path.relative_to(Path(__file__).parent).as_posix()
        fits = (number for number, pattern in enumerate(LONGEST_FIRST) if fnmatch(name, pattern))
        return next(fits, len(LONGEST_FIRST))

    items.sort(key=rank)  # stable: all others stay in order


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


@pytest.fixture(scope="session")
def in_a_build(tmp_path_factory):
    """Enter it where recorded results are judged as they are: all workers judge them once, as in a build."""
    from bnstudy.chapters.once import ONCE

    shared = tmp_path_factory.getbasetemp()
    folder = (shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared) / "once"
    folder.mkdir(exist_ok=True)

    @contextmanager
    def entered():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(ONCE, str(folder))
            yield

    return entered


@pytest.fixture(scope="session")
def digits():
    from bnstudy.train.data import load_dataset

    return load_dataset("digits")


@pytest.fixture(scope="session")
def few_digits(digits):
    """Eighty training and forty test images: enough for every path, and quick."""
    from bnstudy.train.data import Dataset

    return Dataset("digits", digits.x_train[:80], digits.y_train[:80], digits.x_test[:40], digits.y_test[:40])


@pytest.fixture(scope="session")
def twenty_digits(digits):
    """Twenty training images, hence batches of 8, 8 and 4, and ten test images: float64 takes its time."""
    from bnstudy.train.data import Dataset

    return Dataset("digits", digits.x_train[:20], digits.y_train[:20], digits.x_test[:10], digits.y_test[:10])
