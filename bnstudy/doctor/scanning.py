"""``doctor.scan``: what a model at rest, a state_dict or a checkpoint file shows, without any data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from bnstudy.doctor.checkpoint import read_checkpoint
from bnstudy.doctor.finding import Finding
from bnstudy.doctor.layers import Layer, of_model, of_state
from bnstudy.doctor.registry import check_ignored, findings
from bnstudy.doctor.report import Report
from bnstudy.doctor.states import Found, find_states
from bnstudy.doctor.untouched import untouched
from bnstudy.probes.moment import underlying


@dataclass(frozen=True)
class Subject:
    """What ``scan`` looks at: batch-norm layers, all tensors by name, and the model if there is one.

    ``part`` is whether more of the network lies in files that weren't read.
    """

    layers: list[Layer]
    tensors: Mapping[str, Tensor]
    model: nn.Module | None = None
    part: bool = False

    @property
    def half(self) -> bool:
        """Return whether any weight is float16."""
        return any(tensor.dtype == torch.float16 for tensor in self.tensors.values())

    @property
    def trained(self) -> bool:
        """Return whether any layer shows training: its statistics, counter, scale or offset moved."""
        return any(
            layer.affine_moved or (layer.count or 0) > 0 or (layer.mean is not None and not layer.initial)
            for layer in self.layers
        )


def scan(model: nn.Module | Mapping[str, Tensor] | str | Path, *, ignore: Iterable[str] = ()) -> Report:
    """Look at a model, a state_dict, or a checkpoint's path; no data, no pass, milliseconds.

    Args:
        model: a module, its state_dict, a mapping that holds state_dicts, or a checkpoint file (read with
            ``weights_only=True``, or safetensors). A shard, an ``*.index.json`` or a folder with one stands
            for the whole set; a remark says what was passed over.
        ignore: suppressions, each a code or ``"code:layer"``, the layer's name or a shell pattern.

    Raises:
        TypeError: ``model`` is none of these.
        ValueError: ``ignore`` has a code that doesn't exist, or nothing in ``model`` is a state_dict.
        CheckpointError: the file can't be read.
    """
    ignored = check_ignored(ignore)
    if isinstance(model, nn.Module):
        inside = underlying(model)
        with untouched(inside):
            subject = subject_of(inside)
            found = findings("scan", subject)
        return Report("scan", type(inside).__name__, found, len(subject.layers), ignored=ignored)
    read = states_of(model)
    states, found, layers = read.states, [], 0
    for where, state in states.items():
        subject = Subject(of_state(state), state, part=read.part)
        layers += len(subject.layers)
        found += findings("scan", subject) if len(states) == 1 else _placed(findings("scan", subject), where)
    file = Path(model).as_posix() if isinstance(model, (str, Path)) else None
    return Report(
        "scan", file or "a state_dict", found, layers, remarks=read.said(), ignored=ignored, file=file
    )


def subject_of(model: nn.Module) -> Subject:
    """Return what ``scan`` looks at in a module."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return Subject(of_model(model), tensors, model)


def states_of(value: Mapping[str, Tensor] | str | Path, argument: str = "model") -> Found:
    """Return the state_dicts in a mapping or a file, by where they are in it."""
    if isinstance(value, (str, Path)):
        return read_checkpoint(value)
    if not isinstance(value, Mapping):
        raise TypeError(
            f"{argument} is a {type(value).__name__}; allowed: a torch.nn.Module, a state_dict or a path"
        )
    found = find_states(value)
    if not found.states:
        raise ValueError(f"{argument} holds no state_dict; allowed: a mapping of names to tensors")
    return found


def _placed(found: list[Finding], where: str) -> list[Finding]:
    """Put where a state_dict is in front of its layers' names, where a file holds several."""
    where = where or "the top level"
    return [replace(f, layer=where if f.layer is None else f"{where}: {f.layer}") for f in found]
