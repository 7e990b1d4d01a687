"""Weights by TensorFlow's names: arrays into a session and out of it, and checkpoint files."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bnstudy.tf1.errors import NotFoundError
from bnstudy.tf1.graph import default_session
from bnstudy.tf1.keys import GraphKeys
from bnstudy.tf1.variables import Variable

Arrays = Mapping[str, np.ndarray]


def load_arrays(
    arrays: Arrays,
    session: Any = None,
    variables: Mapping[str, Variable] | None = None,
    *,
    missing: str = "raise",
) -> list[str]:
    """Set variables of ``session`` from ``arrays``, by name; return the names in ``arrays`` that nothing
    took.

    Args:
        arrays: values by TensorFlow's names, ``scope/variable``; ``:0`` at the end is ignored.
        session: default: the one whose ``with`` block this is.
        variables: variables by the names in ``arrays``; default: all global ones by their own.
        missing: ``"raise"``, or ``"keep"`` for variables that are not in ``arrays`` to keep their values.

    Raises:
        NotFoundError: ``arrays`` lacks a variable.
        ValueError: an array has another shape than its variable, or ``missing`` is something else.

    Nothing is set if anything is wrong.
    """
    if missing not in ("raise", "keep"):
        raise ValueError(f"missing is {missing!r}; allowed: 'raise', 'keep'")
    held = default_session(session)
    if variables is None:
        variables = {v.op.name: v for v in held.graph.get_collection(GraphKeys.GLOBAL_VARIABLES)}
    given = {name.removesuffix(":0"): value for name, value in arrays.items()}
    found: dict[str, np.ndarray] = {}
    for name, variable in variables.items():
        if name not in given:
            if missing == "raise":
                raise NotFoundError(f"Key {name} not found in checkpoint")
            continue
        shape = tuple(np.shape(given[name]))
        if not variable.shape.is_compatible_with(list(shape)):
            raise ValueError(f"{name} has shape {shape} in the arrays and {variable.shape} in the graph")
        found[name] = given[name]
    for name, value in found.items():
        variables[name].load(value, held)
    return sorted(set(given) - set(found))


def arrays_of(session: Any = None) -> dict[str, np.ndarray]:
    """Return the values of all global variables of ``session`` by name, as ``load_arrays`` takes them."""
    held = default_session(session)
    values: dict[str, np.ndarray] = held.run(
        {v.op.name: v for v in held.graph.get_collection(GraphKeys.GLOBAL_VARIABLES)}
    )
    return values


def read_checkpoint(path: str | Path) -> dict[str, np.ndarray]:
    """Return all arrays by name, of a file of ``Saver``'s or of a checkpoint of TensorFlow's.

    The latter has ``path.index`` and more; TensorFlow itself reads it, which has to be installed. Raises
    ``NotFoundError`` where neither is, and ``ImportError`` without TensorFlow.
    """
    if Path(path).is_file():
        values = torch.load(path, weights_only=True)
        return {name: value.numpy() for name, value in values.items()}
    if not Path(f"{path}.index").is_file():
        raise NotFoundError(f"no checkpoint at {path}: neither that file nor {path}.index is there")
    try:
        read = importlib.import_module("tensorflow.python.training.py_checkpoint_reader")
    except ImportError:
        raise ImportError(
            f"{path} is a checkpoint of TensorFlow's, which only TensorFlow reads, and that is not "
            "installed here; "
            "where it is, save its arrays: reader = tf.train.load_checkpoint(path); numpy.savez(file, "
            "**{name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()})"
        ) from None
    reader = read.NewCheckpointReader(str(path))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def note_latest(path: str, filename: str | None = None) -> None:
    """Write which checkpoint of its folder is the latest."""
    file = Path(path).parent / (filename or "checkpoint")
    file.write_text(f'model_checkpoint_path: "{Path(path).name}"\n')


def latest_checkpoint(checkpoint_dir: str | Path, latest_filename: str | None = None) -> str | None:
    """Return the path of the checkpoint that a saver wrote last into a folder, or None."""
    file = Path(checkpoint_dir) / (latest_filename or "checkpoint")
    if not file.is_file():
        return None
    name = file.read_text().split('"')[1]
    path = Path(checkpoint_dir) / name
    return str(path) if path.is_file() or Path(f"{path}.index").is_file() else None
