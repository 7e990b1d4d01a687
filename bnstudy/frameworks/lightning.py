"""Probes in Lightning's Trainer."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from bnstudy.frameworks.hooks import Hooks, LogFunction
from bnstudy.probes.probe import Probe


def lightning_callback(probes: Probe | Iterable[Probe], *, log: bool | LogFunction = True) -> Any:
    """Return a Lightning ``Callback`` that puts ``probes`` around the trainer's optimiser steps.

    The probes are made with the ``LightningModule``, or with a module in it. A probe without ``forward``
    takes a batch of two as (x, y) and calls the module as ``module(x)``; with ``forward``, it gets the
    loader's batch as it is. Passes run in the trainer's own precision. With ``accumulate_grad_batches`` a
    step is measured over all its batches, and with manual optimisation over all its optimisers.

    Args:
        probes: one or several of ``bnstudy.probes``.
        log: whether measured steps go to the trainer's loggers; or a function of (values by name, step).

    Raises ``ImportError`` where neither ``lightning`` nor ``pytorch_lightning`` is installed.
    """
    hooks = Hooks(probes)

    class Probes(_callback_class()):  # type: ignore[misc]
        """Puts probes around the trainer's optimiser steps."""

        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            hooks.begin(batch)

        def on_train_batch_end(
            self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            with trainer.strategy.precision_plugin.forward_context():
                hooks.end()
            if callable(log):
                hooks.log(log, trainer.global_step)
            elif log:
                hooks.log(_to_loggers(trainer), trainer.global_step)

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            hooks.drop(exception)

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            hooks.drop()

    return Probes()


def _to_loggers(trainer: Any) -> LogFunction:
    def log(scalars: Mapping[str, float], step: int) -> None:
        for logger in trainer.loggers:
            logger.log_metrics(scalars, step=step)

    return log


def _callback_class() -> Any:
    # Both packages are Lightning, and each takes its own callbacks alone: the one in use counts.
    homes = sorted(("lightning.pytorch", "pytorch_lightning"), key=lambda home: home not in sys.modules)
    for home in homes:
        try:
            return importlib.import_module(home).Callback
        except ModuleNotFoundError:
            continue
    raise ImportError("Lightning isn't installed; pip install lightning, or bnstudy[frameworks]")
