"""Saving and restoring variables under TensorFlow's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from bnstudy.tf1.checkpoint import load_arrays, note_latest, read_checkpoint
from bnstudy.tf1.session import Session
from bnstudy.tf1.variables import Variable, global_variables


class Saver:
    """Saves variables of a session to a file of PyTorch's, not TensorFlow's, format.

    ``var_list`` is a list of variables or a mapping from the names in the file; default: all. Of the files
    that a saver wrote, the last ``max_to_keep`` stay (0 or None: all). Raises ``ValueError`` without
    variables, and for two variables of one name or one variable under two.
    """

    def __init__(
        self,
        var_list: Sequence[Variable] | Mapping[str, Variable] | None = None,
        reshape: bool = False,
        sharded: bool = False,
        max_to_keep: int | None = 5,
        keep_checkpoint_every_n_hours: float = 10000.0,
        name: str | None = None,
    ) -> None:
        del sharded, keep_checkpoint_every_n_hours, name
        if reshape:
            raise NotImplementedError("Saver: reshape is not covered")
        given = global_variables() if var_list is None else var_list
        pairs = list(given.items()) if isinstance(given, Mapping) else [(v.op.name, v) for v in given]
        if not pairs:
            raise ValueError("No variables to save")
        self.variables: dict[str, Variable] = {}
        for key, variable in pairs:
            if key in self.variables:
                raise ValueError(f"At least two variables have the same name: {key}")
            if any(variable is v for v in self.variables.values()):
                raise ValueError(f"The same saveable will be restored with two names: {key}")
            self.variables[key] = variable
        self._max_to_keep = max_to_keep or 0
        self.last_checkpoints: list[str] = []

    def save(
        self,
        sess: Session,
        save_path: str | Path,
        global_step: Any = None,
        latest_filename: str | None = None,
        meta_graph_suffix: str = "meta",
        write_meta_graph: bool = True,
        write_state: bool = True,
    ) -> str:
        """Write the values; return the path, with ``-step`` at its end if a step is given.

        Raises ``FailedPreconditionError`` if a variable is not initialised.
        """
        del meta_graph_suffix, write_meta_graph
        step = sess.run(global_step) if hasattr(global_step, "op") else global_step
        path = str(save_path) if step is None else f"{save_path}-{int(step)}"
        values = {name: torch.as_tensor(sess.run(variable)) for name, variable in self.variables.items()}
        torch.save(values, path)
        self.last_checkpoints = [p for p in self.last_checkpoints if p != path] + [path]
        while self._max_to_keep and len(self.last_checkpoints) > self._max_to_keep:
            Path(self.last_checkpoints.pop(0)).unlink(missing_ok=True)
        if write_state:
            note_latest(path, latest_filename)
        return path

    def restore(self, sess: Session, save_path: str | Path) -> None:
        """Read the values, of a file that a saver wrote or, where TensorFlow is installed, of TensorFlow's
        checkpoint.

        Raises ``NotFoundError`` without the file, and for a variable that it does not have; nothing is set
        then.
        """
        load_arrays(read_checkpoint(save_path), sess, self.variables)
