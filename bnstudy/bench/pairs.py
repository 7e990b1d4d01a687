"""Timing two things in turn, so that whatever else the machine does slows both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

Line = dict[str, Any]
Task = Callable[[], object]


def seconds(task: Task) -> float:
    """Return how long one call of ``task`` takes."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def compare(
    name: str,
    *,
    over: tuple[str, Task],
    under: tuple[str, Task],
    pairs: int,
    target: str | None = None,
    work: float = 1.0,
    unit: str = "calls/s",
) -> Line:
    """Return the ratio of the time of ``over`` to the time of ``under``, each called ``pairs`` times in turn.

    Both are called once before. ``work`` is how many ``unit`` one call does, so that the line also
    says how fast each is. The spread is that of the pairs' own ratios: lowest and highest.
    """
    if pairs < 1:
        raise ValueError(f"pairs is {pairs}; allowed: at least 1")
    over[1]()
    under[1]()
    times = []
    for i in range(pairs):
        # A B, B A, A B, …: neither always comes second.
        if i % 2 == 0:
            first = seconds(over[1])
            times.append((first, seconds(under[1])))
        else:
            second = seconds(under[1])
            times.append((seconds(over[1]), second))
    ratios = [a / b for a, b in times]
    return {
        "name": name,
        "over": {"name": over[0], "rate": work / statistics.median(a for a, _ in times)},
        "under": {"name": under[0], "rate": work / statistics.median(b for _, b in times)},
        "unit": unit,
        "ratio": statistics.median(ratios),
        "low": min(ratios),
        "high": max(ratios),
        "pairs": pairs,
        "target": target,
    }


def single(name: str, value: float, unit: str, target: str | None = None) -> Line:
    """Return a line for something that is no ratio."""
    return {"name": name, "value": value, "unit": unit, "target": target}


def not_measured(name: str, reason: str, target: str | None = None) -> Line:
    """Return a line for something that can't be measured here."""
    return {"name": name, "not_measured": reason, "target": target}


def text(line: Line) -> str:
    """Return a line as people read it."""
    target = f"  (target: {line['target']})" if line["target"] else ""
    if "not_measured" in line:
        return f"{line['name']}: not measured, {line['not_measured']}{target}"
    if "value" in line:
        return f"{line['name']}: {line['value']:.3g} {line['unit']}{target}"
    over, under = line["over"], line["under"]
    return (
        f"{line['name']}: {line['ratio']:.2f} "
        f"({line['low']:.2f} to {line['high']:.2f}, {line['pairs']} pairs); "
        f"{over['name']} {over['rate']:,.4g} {line['unit']}, "
        f"{under['name']} {under['rate']:,.4g} {line['unit']}{target}"
    )
