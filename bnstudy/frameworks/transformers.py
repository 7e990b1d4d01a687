"""Probes in the Trainer of transformers."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import torch

from bnstudy.frameworks.hooks import Hooks, LogFunction
from bnstudy.probes.probe import Probe


def transformers_callback(probes: Probe | Iterable[Probe], *, log: LogFunction | None = None) -> Any:
    """Return a ``TrainerCallback`` that puts ``probes`` around the trainer's optimiser steps.

    Batches are what the trainer calls its model with, so that a probe's ``forward`` gets a dictionary::

        forward = lambda model, batch: (model(**batch).loss, None)
        probe = InternalCovariateShift(model, None, forward=forward)
        Trainer(model, ..., callbacks=[transformers_callback(probe)])

    With ``gradient_accumulation_steps`` a step is measured over all its batches.

    Args:
        probes: one or several of ``bnstudy.probes``, of the trainer's model or a module in it.
        log: a function of (values by name, step) that takes what was measured, such as ``wandb.log``.

    Raises ``ImportError`` where ``transformers`` isn't installed.
    """
    try:
        base: Any = importlib.import_module("transformers").TrainerCallback
    except ModuleNotFoundError as error:
        raise ImportError("transformers isn't installed; pip install bnstudy[frameworks]") from error
    hooks = Hooks(probes)

    class Probes(base):  # type: ignore[misc]
        """Puts probes around the trainer's optimiser steps."""

        _handle: Any = None

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self._stop()
            hooks.begin()
            # The trainer tells callbacks everything but the batches.
            self._handle = kwargs["model"].register_forward_pre_hook(self._note, with_kwargs=True)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self._stop()
            hooks.end()
            if log is not None:
                hooks.log(log, state.global_step)

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self._stop()
            hooks.drop()

        def _note(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if module.training and torch.is_grad_enabled():
                hooks.add(args if args else dict(kwargs))

        def _stop(self) -> None:
            if self._handle is not None:
                self._handle.remove()
                self._handle = None

    return Probes()
