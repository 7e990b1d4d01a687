"""State_dicts in checkpoint files, read without executing anything that a file asks for."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bnstudy.doctor.layers import NAMES

State = dict[str, Tensor]

# What training frameworks put beside the tensors, and that only holds values when it is made.
HARMLESS: list[Any] = [
    argparse.Namespace,
    PosixPath,
    np.dtype,
    np.ndarray,
    np._core.multiarray.scalar,  # type: ignore[attr-defined]
    *(type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "u1", "?")),
]
# State of other things than the model.
OTHERS = ("optim", "sched", "scaler", "callbacks", "loops", "rng")


class CheckpointError(ValueError):
    """A file can't be read as a checkpoint, or not without executing what it holds."""


def read_checkpoint(path: str | Path) -> dict[str, State]:
    """Return the state_dicts in a file by where they are in it; ``""`` for a file that is one.

    ``.safetensors`` needs that package; everything else is read by ``torch.load(weights_only=True)``.
    Nested ones are found: ``state_dict`` (Lightning, timm), ``model``, ``model_ema``, ….

    Raises:
        CheckpointError: the file is missing or damaged, holds no state_dict, or would have to be executed.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} is no file; allowed: a checkpoint, as torch.save writes it")
    loaded = _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    found = dict(state_dicts(loaded))
    if not found:
        raise CheckpointError(
            f"{path} holds no state_dict; allowed: a mapping of names to tensors, or one of such"
        )
    return found


def state_dicts(value: Any, where: str = "") -> Iterator[tuple[str, State]]:
    """Yield every state_dict in nested mappings, with where it is; optimisers' states are left out."""
    if not isinstance(value, Mapping):
        return
    tensors = {str(key): item for key, item in value.items() if isinstance(item, Tensor)}
    if any(key.rpartition(".")[2] in _TAILS for key in tensors):
        yield where, tensors
        return
    for key, item in value.items():
        if not str(key).lower().startswith(OTHERS):
            yield from state_dicts(item, f"{where}.{key}".lstrip("."))


_TAILS = {name for names in NAMES.values() for name in names}


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
