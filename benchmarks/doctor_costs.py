"""What the doctor's calls cost, in steps of resnet18 at batch 32; watched and unwatched steps in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F
from torchvision.models import resnet18

from bnstudy.doctor import diagnose, scan, watch

PAIRS = 15
SIDE, BATCH = 32, 32


def costs() -> dict[str, Any]:
    """Return the overhead of ``watch`` as a share of a step, and what ``scan`` and ``diagnose`` take."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = resnet18(num_classes=10)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    x, y = torch.randn(BATCH, 3, SIDE, SIDE), torch.randint(10, (BATCH,))

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    step()
    plain, ratios = [], []
    for pair in range(PAIRS):
        # A B, B A, A B, …: neither always comes second.
        first_watched = pair % 2 == 0
        if first_watched:
            watched = _watched(model, optimizer, step)
        plain.append(_seconds(step))
        if not first_watched:
            watched = _watched(model, optimizer, step)
        ratios.append(watched / plain[-1])
    one = statistics.median(plain)
    batches = [(x, y)] * 2
    report = diagnose(model, batches, batches, progress=False)
    return {
        "watch_ratio": statistics.median(ratios),
        "watch_lowest": min(ratios),
        "watch_highest": max(ratios),
        "pairs": PAIRS,
        "step_seconds": one,
        "scan_steps": statistics.median(_seconds(lambda: scan(model)) for _ in range(5)) / one,
        "scan_seconds": statistics.median(_seconds(lambda: scan(model)) for _ in range(5)),
        "diagnose_steps": _seconds(lambda: diagnose(model, batches, batches, progress=False)) / one,
        "diagnose_remark": report.remarks[-1],
        "batch": BATCH,
        "side": SIDE,
    }


def show(found: dict[str, Any]) -> None:
    """Print the costs."""
    for name, value in found.items():
        print(f"{name:20} {value}")


def _watched(model: Any, optimizer: Any, step: Callable[[], None]) -> float:
    with watch(model, optimizer):
        step()  # the first traces what is in front of each layer
        return _seconds(step)


def _seconds(run: Callable[[], Any]) -> float:
    # Of this process and its one thread: what else the machine does isn't in it.
    start = time.process_time()
    run()
    return time.process_time() - start
