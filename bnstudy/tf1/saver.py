"""Saving and restoring variables under TensorFlow's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from bnstudy.tf1.session import Session
from bnstudy.tf1.variables import Variable, global_variables


class Saver:
    """Saves variables of a session to a file of PyTorch's, not TensorFlow's, format.

    ``var_list`` is a list of variables or a mapping from the names in the file; default: all.
    """

    def __init__(self, var_list: Sequence[Variable] | Mapping[str, Variable] | None = None) -> None:
        if isinstance(var_list, Mapping):
            self.variables: dict[str, Variable] = dict(var_list)
        else:
            self.variables = {v.op.name: v for v in (global_variables() if var_list is None else var_list)}

    def save(self, sess: Session, save_path: str | Path, global_step: Any = None) -> str:
        """Write the values; return the path, with ``-step`` at its end if a step is given.

        Raises ``FailedPreconditionError`` if a variable is not initialised.
        """
        step = sess.run(global_step) if isinstance(global_step, Variable) else global_step
        path = str(save_path) if step is None else f"{save_path}-{int(step)}"
        values = {name: torch.as_tensor(sess.run(variable)) for name, variable in self.variables.items()}
        torch.save(values, path)
        return path

    def restore(self, sess: Session, save_path: str | Path) -> None:
        """Read the values; raises ``KeyError`` for a variable that the file does not have."""
        values = torch.load(save_path, weights_only=True)
        for name, variable in self.variables.items():
            if name not in values:
                raise KeyError(f"Key {name} not found in checkpoint")
            variable.load(values[name], sess)
