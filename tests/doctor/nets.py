"""Small networks and loops for the doctor's tests, and what carries a finding's advice out."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

import bnstudy


def net(momentum: float | None = 0.1) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 16, bias=False),
        nn.BatchNorm1d(16, momentum=momentum),
        nn.ReLU(),
        nn.Linear(16, 16, bias=False),
        nn.BatchNorm1d(16, momentum=momentum),
        nn.ReLU(),
        nn.Linear(16, 4),
    )


def batches(count: int = 4, size: int = 64, shift: float = 1.0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Images of four classes that a small network learns in a few steps."""
    generator = torch.Generator().manual_seed(1)
    centres = 3 * torch.randn(4, 8, generator=torch.Generator().manual_seed(2))
    made = []
    for _ in range(count):
        y = torch.randint(4, (size,), generator=generator)
        made.append((centres[y] + torch.randn(size, 8, generator=generator) + shift, y))
    return made


def steps(model: nn.Module, data, optimizer=None, call=None) -> torch.optim.Optimizer:
    optimizer = optimizer or torch.optim.SGD(model.parameters(), 0.1)
    for x, y in data:
        optimizer.zero_grad()
        F.cross_entropy((call or model)(x), y).backward()
        optimizer.step()
    return optimizer


def trained(momentum: float | None = 0.1, count: int = 30) -> nn.Sequential:
    model = net(momentum)
    optimizer = steps(model, batches(count))
    # At a small rate the averages catch up with the weights.
    optimizer.param_groups[0]["lr"] = 0.002
    steps(model, batches(count), optimizer)
    return model.eval()


def carry_out(finding, model: nn.Module, **names) -> dict:
    """Run a finding's fix as the reader would, on names of the reader's own."""
    space = {"model": model, "train_batches": batches(), "bnstudy": bnstudy, **names}
    exec(compile(finding.fix, finding.code, "exec"), space)
    return space
