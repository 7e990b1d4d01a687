"""State_dicts in checkpoint files, read without executing anything that a file asks for."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import torch

from bnstudy.doctor.shards import ShardError, Shards, shards_of
from bnstudy.doctor.states import Found, find_states

# NumPy 1 and 2 write them under different names.
_NUMPY = (np._core.multiarray.scalar, np._core.multiarray._reconstruct)  # type: ignore[attr-defined]
# What training frameworks put beside the tensors, and that only holds values when it is made.
HARMLESS: list[Any] = [
    argparse.Namespace,
    PosixPath,
    np.dtype,
    np.ndarray,
    *((made, f"numpy.{core}.multiarray.{made.__name__}") for core in ("core", "_core") for made in _NUMPY),
    *(type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "u1", "?")),
]


class CheckpointError(ValueError):
    """A file can't be read as a checkpoint, or not without executing what it holds."""


def read_checkpoint(path: str | Path) -> Found:
    """Return the state_dicts in a file, or in the set of files that it is a part of, by where they are.

    ``.safetensors`` needs that package; everything else is read by ``torch.load(weights_only=True)``.
    Nested ones are found: ``state_dict`` (Lightning, timm), ``model``, ``model_ema``, …. A shard, an
    ``*.index.json`` or a folder with one stands for all shards; where some are missing, ``part`` is set.

    Raises:
        CheckpointError: the file is missing or damaged, holds no state_dict, or would have to be executed.
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError(f"{path} is no file; allowed: a checkpoint, as torch.save writes it")
    try:
        shards = shards_of(path)
    except ShardError as error:
        raise CheckpointError(str(error)) from None
    found = find_states(_loaded(path)) if shards is None else _together(path, shards)
    if not found.states:
        raise CheckpointError(
            f"{path} holds no state_dict; allowed: a mapping of names to tensors, or one of such"
        )
    return found


def _together(path: Path, shards: Shards) -> Found:
    """Return what the shards of one checkpoint hold together."""
    tensors: dict[str, Any] = {}
    for file in shards.files:
        loaded = _loaded(file)
        if not isinstance(loaded, Mapping):
            raise CheckpointError(
                f"{file} holds a {type(loaded).__name__}; allowed: a mapping of names to tensors"
            )
        tensors.update(loaded)
    found = find_states(tensors)
    total = len(shards.files) + len(shards.missing)
    absent = shards.names - tensors.keys()
    if shards.missing or absent:
        found.part = True
        what = (
            f"{', '.join(shards.missing[:3])} missing" if shards.missing else f"{len(absent)} tensors missing"
        )
        found.remarks.append(
            f"{path.name} is a part: {len(shards.files)} of {total} files are there, {what} missing. "
            "What lies elsewhere wasn't looked at, and whether statistics are missing can't be told."
        )
    elif total > 1:
        found.remarks.append(f"{total} files were read together, as the shards of one checkpoint.")
    return found


def _loaded(path: Path) -> Any:
    return _safetensors(path) if path.suffix == ".safetensors" else _torch(path)


def _torch(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} asks for code to be executed ({_reason(error)}) or is damaged; allowed: a state_dict, "
            "as torch.save(model.state_dict(), path) writes it"
        ) from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{path} can't be read ({_reason(error)}); allowed: a checkpoint, as torch.save writes it"
        ) from None


def _safetensors(path: Path) -> Any:
    try:
        from safetensors import SafetensorError  # type: ignore[import-not-found, unused-ignore]
        from safetensors.torch import load_file  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise CheckpointError(
            f"{path} needs the package safetensors; install it: pip install safetensors"
        ) from None
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} can't be read ({_reason(error)}); allowed: a safetensors file"
        ) from None


def _reason(error: Exception) -> str:
    # PyTorch's advice to switch the safety off is not ours.
    text = str(error)
    for line in text.splitlines():
        _, found, rest = line.partition("Unsupported global: GLOBAL ")
        if found:
            return rest.split(" ")[0]
    return (text.splitlines() or [type(error).__name__])[0].strip()[:120]
