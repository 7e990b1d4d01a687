"""State_dicts in whatever a checkpoint holds: nested mappings and lists of tensors or arrays."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bnstudy.doctor.layers import NAMES

State = dict[str, Tensor]

# What training frameworks call the state of other things than a model.
OTHERS = frozenset(
    {
        *("optim", "optimizer", "optimizers", "optimiser", "opt", "sched", "scheduler", "schedulers"),
        *("scaler", "callbacks", "loops", "rng"),
    }
)
_TAILS = {name for names in NAMES.values() for name in names}
_STATISTICS = {name for kind in ("mean", "variance", "count") for name in NAMES[kind]}
_COUNTS = set(NAMES["count"])


@dataclass
class Found:
    """State_dicts by where they are, ``""`` for the whole; what was passed over; and what else to say.

    ``part`` is whether more of the network lies in files that weren't read.
    """

    states: dict[str, State] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    part: bool = False

    def said(self) -> list[str]:
        """Return what a report has to say of the search."""
        some = self.skipped[:5]
        if len(self.skipped) > len(some):
            some.append(f"{len(self.skipped) - len(some)} more")
        return [*self.remarks, *([f"Not looked at: {', '.join(some)}."] if some else [])]


def find_states(value: Any) -> Found:
    """Return every state_dict in nested mappings, lists and tuples of tensors or NumPy arrays."""
    found = Found()
    for where, tensors, other in _search(value, "", frozenset(), False):
        if other:
            found.skipped.append(f"{where} ({other})")
        else:
            found.states[where] = tensors
    return found


def _search(
    value: Any, where: str, above: frozenset[int], aside: bool
) -> Iterator[tuple[str, State, str | None]]:
    """Yield where tensors are, the tensors, and what they are if no state_dict.

    ``aside`` is whether a name above says that it is the state of something else: without statistics it is.
    """
    if id(value) in above:
        return
    above |= {id(value)}
    if isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            if isinstance(item, (Mapping, list, tuple)):
                yield from _search(item, _inside(where, number), above, aside)
        return
    if not isinstance(value, Mapping):
        return
    if isinstance(value.get("param_groups"), (list, tuple)):
        yield where or "all of it", {}, "an optimiser's state"
        return
    tensors = {
        str(key): tensor for key, item in value.items() if (tensor := _tensor(str(key), item)) is not None
    }
    within: list[tuple[str, State, str | None]] = []
    for key, item in value.items():
        if isinstance(item, (Mapping, list, tuple)):
            within += _search(item, _inside(where, key), above, aside or _is_other(str(key)))
    tails = {key.rpartition(".")[2] for key in tensors}
    # Beside state_dicts a lone "weight" is that of classes, say, and no layer's.
    named = bool(tails & _STATISTICS) or any("." in key for key in tensors)
    if tails & _TAILS:
        if aside and not tails & _STATISTICS:
            yield where, {}, "by its name no model's state, and without statistics"
        elif named or all(other for *_, other in within):
            yield where, tensors, None
        else:
            names = ", ".join(repr(key) for key in list(tensors)[:3])
            yield _inside(where, names), {}, "tensors beside state_dicts"
    yield from within


def _tensor(key: str, item: Any) -> Tensor | None:
    if isinstance(item, Tensor):
        return item
    if isinstance(item, (np.ndarray, np.generic)) and item.dtype.kind in "fiub":
        native = np.array(item, dtype=item.dtype.newbyteorder("="))
        return torch.from_numpy(native)
    if isinstance(item, int) and key.rpartition(".")[2] in _COUNTS:
        return torch.tensor(item)
    return None


def _is_other(key: str) -> bool:
    return bool(OTHERS & set(re.split(r"[^a-z]+", key.lower())))


def _inside(where: str, key: Any) -> str:
    return f"{where}.{key}".lstrip(".")
