"""torch-audit beside the doctor, on the same models and in the same training loops, if it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from torch import nn
from torch.optim import Optimizer

from bnstudy.doctor import faults

try:
    VERSION: str | None = version("torch-audit")
except PackageNotFoundError:
    VERSION = None

EVERY = 10  # steps
LOUD = ("WARN", "ERROR", "FATAL")
_seen: list[str] = []


@contextmanager
def observe(model: nn.Module, optimizer: Optimizer) -> Iterator[None]:
    """Let torch-audit look at a training: its static rules, then each tenth step."""
    from torch_audit import Auditor

    auditor = Auditor(model, optimizer=optimizer, every_n_steps=EVERY, suppress_internal_errors=True)
    auditor.autopatch()
    try:
        yield
    finally:
        auditor.unpatch()
        # It puts the method back as an attribute, which copies of the model would share.
        vars(model).pop("forward", None)
        _seen.extend(_loud(auditor.finish()))


def rules(case: faults.Case) -> list[str] | None:
    """Return the rules, warnings or worse, that torch-audit raised in a case's training and on its model."""
    found = set(_seen)
    _seen.clear()
    if VERSION is None:
        return None
    from torch_audit import audit

    batch = case.test[0][0].to(next(case.model.parameters()).dtype)
    found.update(_loud(audit(case.model, batch=batch, suppress_internal_errors=True)))
    return sorted(found)


def _loud(result: Any) -> list[str]:
    return [finding.rule_id for finding in result.findings if finding.severity.value in LOUD]
