"""One case through all of the doctor's calls, and whether the fault does harm, by a way of its own."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnstudy.doctor.comparing import compare
from bnstudy.doctor.diagnosing import diagnose
from bnstudy.doctor.faults.fault import Fault, Healthy
from bnstudy.doctor.faults.lab import Batch, Case, Lab
from bnstudy.doctor.report import Report
from bnstudy.doctor.scanning import scan

ACCURACY, LOSS = 0.005, 0.02  # from which a difference to the twin is harm
SURE = 2.0  # standard errors


@dataclass(frozen=True)
class Outcome:
    """What came of one case.

    ``said`` has, by call, the worst severity of each code. ``harmful`` is None where there is no twin to
    compare with. ``accuracy_lost`` and ``loss_risen`` are against it, over the test
    images in evaluation mode.
    """

    dataset: str
    model: str
    seed: int
    kind: str  # "fault" or "healthy"
    name: str
    code: str | None
    call: str | None
    severity: float | None
    said: dict[str, dict[str, str]]
    harmful: bool | None
    accuracy_lost: float | None
    loss_risen: float | None
    audit: list[str] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return asdict(self)


def try_fault(lab: Lab, dataset: str, fault: Fault, severity: float) -> tuple[Outcome, Case]:
    """Inject a fault and let every call look at it."""
    case = fault.inject(lab, severity)
    outcome = _outcome(lab, dataset, case, "fault", fault.name, fault.code, fault.call, severity)
    if fault.code == "drift" and outcome.harmful:
        # What turned out to cost something has another name.
        outcome = replace(outcome, code="statistics-harm")
    return outcome, case


def try_healthy(lab: Lab, dataset: str, healthy: Healthy) -> tuple[Outcome, Case]:
    """Make a healthy model and let every call look at it."""
    case = healthy.make(lab)
    return _outcome(lab, dataset, case, "healthy", healthy.name, None, None, None), case


def said_of(case: Case) -> dict[str, dict[str, str]]:
    """Return, by call, the worst severity of each code."""
    reports = {"scan": scan(case.model if case.state is None else case.state)}
    if case.watched is not None:
        reports["watch"] = case.watched
    if case.pair is not None:
        reports["compare"] = compare(*case.pair)
    if case.diagnosable:
        reports["diagnose"] = diagnose(case.model, case.train, case.test, progress=False)
    return {call: _worst(report) for call, report in reports.items()}


def _outcome(
    lab: Lab,
    dataset: str,
    case: Case,
    kind: str,
    name: str,
    code: str | None,
    call: str | None,
    severity: float | None,
) -> Outcome:
    harmful = accuracy = loss = None
    if case.twin is not None and case.diagnosable:
        harmful, accuracy, loss = harm(case.model, case.twin, case.test, lab.data.test_batches())
    said = said_of(case)
    return Outcome(
        dataset, lab.kind, lab.seed, kind, name, code, call, severity, said, harmful, accuracy, loss
    )


def harm(
    model: nn.Module, twin: nn.Module, batches: list[Batch], of_twin: list[Batch]
) -> tuple[bool, float, float]:
    """Return whether ``model`` is worse than ``twin`` on the same images, and by how much accuracy and loss.

    Worse is a paired mean difference above the bounds by two standard errors. Images whose output isn't
    finite count as wrong, and their loss as that of a guess.
    """
    loss, right = _graded(model, batches)
    twin_loss, twin_right = _graded(twin, of_twin)
    worse = False
    means = []
    for difference, bound in ((twin_right - right, ACCURACY), (loss - twin_loss, LOSS)):
        mean = float(difference.mean())
        error = float(difference.std()) / math.sqrt(len(difference))
        worse = worse or mean - SURE * error > bound
        means.append(mean)
    return worse, means[0], means[1]


@torch.no_grad()
def _graded(model: nn.Module, batches: list[Batch]) -> tuple[Tensor, Tensor]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    losses, rights = [], []
    for x, y in batches:
        output = model(x)
        finite = output.isfinite().all(dim=1)
        loss = F.cross_entropy(output, y, reduction="none")
        losses.append(torch.where(finite, loss, math.log(output.shape[1])))
        rights.append((output.argmax(dim=1) == y).float() * finite)
    for module, training in modes:
        module.training = training
    return torch.cat(losses), torch.cat(rights)


def _worst(report: Report) -> dict[str, str]:
    found: dict[str, str] = {}
    for finding in report.findings:  # the worst first
        found.setdefault(finding.code, finding.severity)
    return found
