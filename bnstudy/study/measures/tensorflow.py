"""The article's network in a real TensorFlow, trained by a script in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bnstudy._loaded import source
from bnstudy.records.kinds import TensorFlowSpec
from bnstudy.records.spec import RunSpec
from bnstudy.records.tables import Table
from bnstudy.train.data import Dataset
from bnstudy.train.fleet import Fleet

VARIABLE = "BNSTUDY_TENSORFLOW"
INSTALL_COMMAND = "python benchmarks/tensorflow_live.py --install-only"
SCRIPT = "tensorflow_article.py"
DECAY = 0.9  # the script's

# The words in which the study names the ways to keep the averages.
ARMS = {"in_place": "in place", "with_step": "with the step", "never": "never"}

FIRST_STEPS = 5  # in which TensorFlow also sets its graph up
MOST_THREADS = 2
LINES = 12  # of standard error that an error shows

Arrays = dict[str, NDArray[Any]]


class TensorFlowError(Exception):
    """TensorFlow's environment is missing, or the script that runs in it failed."""


def measure(spec: TensorFlowSpec, dataset: Dataset) -> tuple[dict[str, Table], dict[str, str]]:
    """Return the tables ``training``, ``evaluation`` and ``cost``, and TensorFlow's versions.

    The initial weights, the images and their order are those of a ``RunSpec`` with the same seed, in
    float32. ``cost`` has the duration of each whole batch's step as a round of its own, those of the
    first ``FIRST_STEPS`` left out.

    Raises:
        TensorFlowError: there is no TensorFlow, or it failed.
        ValueError: there are fewer training images than ``train_size``.
    """
    python = tensorflow_python()
    there = len(dataset.y_train)
    if (spec.train_size or 0) > there:
        raise ValueError(f"train_size is {spec.train_size}; allowed: at most {there}, the training images")
    with tempfile.TemporaryDirectory(prefix="bnstudy-tensorflow-") as folder:
        given, result = Path(folder, "given.npz"), Path(folder, "result.npz")
        # The script that counts in the record's source, whatever has become of its file since.
        script = Path(folder, SCRIPT)
        script.write_bytes(_script())
        np.savez(given, **_given(spec, dataset))  # type: ignore[arg-type]
        _run(python, spec, script, given, result)
        with np.load(result) as archive:
            got = dict(archive)
    tables = {
        "training": _training(spec, got),
        "evaluation": _evaluation(got),
        "cost": _cost(spec, got, spec.train_size or there),
    }
    return tables, {"tensorflow": str(got["tensorflow"]), "tf-slim": str(got["tf_slim"])}


def tensorflow_python() -> Path:
    """Return the interpreter of TensorFlow's environment.

    It is the one that the environment variable ``BNSTUDY_TENSORFLOW`` names, else the checkout's
    ``_build/tensorflow/bin/python``.

    Raises:
        TensorFlowError: there is none.
    """
    named = os.environ.get(VARIABLE)
    python = (
        Path(named).expanduser()
        if named
        else Path(__file__).parents[3] / "_build" / "tensorflow" / "bin" / "python"
    )
    if not python.is_file():
        state = f"is {named!r}" if named else f"is not set and there is no {python}"
        raise TensorFlowError(
            f"{VARIABLE} {state}; allowed: the interpreter of an environment with TensorFlow and tf-slim, "
            f"which this makes in the project's folder: {INSTALL_COMMAND}"
        )
    return python


def _script() -> bytes:
    found = source(f"{__package__}.{SCRIPT.removesuffix('.py')}")
    assert found is not None
    return found[0]


def _given(spec: TensorFlowSpec, dataset: Dataset) -> Arrays:
    """Return what the script reads, taken from the training run that it is to repeat."""
    run = RunSpec(
        dataset=spec.dataset,
        train_size=spec.train_size,
        learning_rate=spec.learning_rate,
        batch_size=spec.batch_size,
        epochs=spec.epochs,
        seed=spec.seed,
        precision="float32",
        statistics=("moving",),
    )
    fleet = Fleet([run], dataset, torch.device("cpu"))
    images = fleet.images[:, 0]
    train, test = fleet.data.train, fleet.data.test
    orders = [torch.randperm(len(images), generator=fleet.orders[0]) for _ in range(spec.epochs)]
    given = {
        "train_images": train.images[images],
        "train_labels": train.labels[images],
        "test_images": test.images,
        "test_labels": test.labels,
        "orders": torch.stack(orders),
    }
    for i in range(1, len(fleet.net.turns()) + 1):
        convolution = f"blocks.conv{i}.conv"
        given[f"weights_{i}"] = fleet.net.get_parameter(f"{convolution}.weight").permute(2, 3, 1, 0)
        given[f"biases_{i}"] = fleet.net.get_parameter(f"{convolution}.bias")
    return {name: value.detach().numpy() for name, value in given.items()}


def _run(python: Path, spec: TensorFlowSpec, script: Path, given: Path, result: Path) -> None:
    options = {
        "--updates": spec.updates,
        "--learning-rate": repr(spec.learning_rate),
        "--batch-size": str(spec.batch_size),
        "--threads": str(min(MOST_THREADS, torch.get_num_threads())),
    }
    # Isolated: else Python looks for `tensorflow` beside the script first, and finds this module.
    command = [str(python), "-I", str(script), str(given), str(result)]
    for option in options.items():
        command += option
    environment = {**os.environ, "PYTHONPATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    # A session of its own: Ctrl-C means the study, which lets a run in flight end.
    done = subprocess.run(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    if done.returncode != 0:
        # In one line, which is what a failed run shows first.
        tail = " | ".join(done.stderr.decode(errors="replace").strip().splitlines()[-LINES:])
        raise TensorFlowError(f"{python} {SCRIPT} ended with status {done.returncode}: {tail}")


def _training(spec: TensorFlowSpec, got: Arrays) -> Table:
    steps = len(got["losses"])
    return {
        "step": list(range(1, steps + 1)),
        "loss": got["losses"].tolist(),
        "accuracy": got["accuracies"].tolist(),
        "learning_rate": [spec.learning_rate] * steps,
    }


def _evaluation(got: Arrays) -> Table:
    scores = [got["batch"].tolist(), got["moving"].tolist()]
    return {
        "step": [len(got["losses"])] * 2,
        "split": ["test"] * 2,
        "statistics": ["batch", "moving"],
        "decay": [None, DECAY],
        "zero_debias": [None, "none"],
        "loss": [loss for loss, _ in scores],
        "accuracy": [accuracy for _, accuracy in scores],
    }


def _cost(spec: TensorFlowSpec, got: Arrays, images: int) -> Table:
    whole, rest = divmod(images, spec.batch_size)
    # An epoch's smaller last batch is a cheaper step.
    timed = [
        (step, seconds)
        for step, seconds in enumerate(got["seconds"].tolist(), start=1)
        if step > FIRST_STEPS and not (rest and step % (whole + 1) == 0)
    ]
    return {
        "arm": [ARMS[spec.updates]] * len(timed),
        "round": [step for step, _ in timed],
        "seconds_per_step": [seconds for _, seconds in timed],
    }
