"""What the probes cost: ``python benchmarks/probes.py [--json FILE]``.

On the article's network and random images: the time of ``InternalCovariateShift`` over that of the
straightforward way, and of a training step with each probe over that of one without, at every step and at
every 16th. What is compared is timed in turn, round by round, and the median ratio counts: the load of the
machine changes from minute to minute, and takes both sides alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bnstudy.probes import (
    ActivationDrift,
    Gaussianity,
    GradientHealth,
    GradientPredictiveness,
    NoisyBatchNorm,
    StatisticsGap,
    every,
)

# As each step costs behind the first, at which the class for users takes a look at the model.
from bnstudy.probes.internal_covariate_shift import InternalCovariateShift
from bnstudy.records.sealed import sealed
from bnstudy.train.network import ArticleNet, Block
from tests.straightforward import Straightforward, execution_order

RATE = 0.1
EVERY = 16


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is timed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    settings = {name: getattr(options, name) for name in ("batch_size", "rounds", "threads")}
    results: dict[str, Any] = {"torch": torch.__version__, **settings}
    results["ics"] = {norm: ics(norm, options) for norm in ("batch", "none")}
    report_ics(results["ics"])
    results["probes"] = costs(options)
    report_costs(results["probes"])
    if options.json:
        options.json.write_text(json.dumps(sealed(results), indent=2) + "\n")


class Training:
    """The article's network, one batch, and steps of gradient descent on it."""

    def __init__(self, norm: str, batch_size: int) -> None:
        torch.manual_seed(0)
        self.model = ArticleNet(norm=norm, initialisation="default")  # type: ignore[arg-type]
        self.x, self.y = torch.randn(batch_size, 3, 32, 32), torch.randint(0, 10, (batch_size,))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=RATE)

    def step(self) -> None:
        self.optimizer.zero_grad()
        F.cross_entropy(self.model(self.x), self.y).backward()
        self.optimizer.step()


def ics(norm: str, options: argparse.Namespace) -> dict[str, float]:
    """Compare the probe with the straightforward way, in time and in values."""
    training = Training(norm, options.batch_size)
    model, x, y = training.model, training.x, training.y
    layers = execution_order(model, x)
    ratios, steps, difference = [], [], 0.0
    for _ in range(options.rounds + 1):
        probe, twin = InternalCovariateShift(model, F.cross_entropy), Straightforward(model)
        around = probe(x, y)
        took = seconds(around.__enter__)
        step = seconds(training.step)
        took += seconds(lambda around=around: around.__exit__(None, None, None))
        table: dict[str, dict[str, float]] = {}
        straightforward = seconds(
            lambda twin=twin, table=table: table.update(twin.shift(model, F.cross_entropy, x, y, layers))
        )
        ratios.append(took / straightforward)
        steps.append(took / step)
        for row in probe.frame().itertuples():
            expected = table[row.layer][row.quantity]
            difference = max(difference, abs(row.value - expected) / max(abs(expected), 1e-12))
    # The first round warms up.
    return {
        "layers": len(table),
        "of_straightforward": statistics.median(ratios[1:]),
        "of_a_step": statistics.median(steps[1:]),
        "largest_relative_difference": difference,
    }


def costs(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return the time of a step with each probe over that of a step without, at both schedules."""
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy
    batches = torch.randn(8, options.batch_size, 3, 32, 32).unbind()
    kinds: dict[str, Callable[..., Any]] = {
        "InternalCovariateShift": lambda model, **how: InternalCovariateShift(model, loss, **how),
        "GradientPredictiveness": lambda model, **how: GradientPredictiveness(model, loss, RATE, **how),
        "ActivationDrift": ActivationDrift,
        "Gaussianity": Gaussianity,
        "GradientHealth": GradientHealth,
        f"StatisticsGap ({len(batches)} batches)": lambda model, **how: StatisticsGap(model, batches, **how),
    }
    training = Training("batch", options.batch_size)
    noisy = Training("batch", options.batch_size)
    for block in noisy.model.blocks:
        assert isinstance(block, Block)
        block.norm = NoisyBatchNorm(block.norm)
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(options.rounds + 1):
        for kind, make in kinds.items():
            plain = seconds(lambda: steps(training, None, EVERY)) / EVERY
            always, sometimes = make(training.model), make(training.model, schedule=every(EVERY))
            ratios = found.setdefault(kind, {"every_step": [], f"every_{EVERY}th": []})
            ratios["every_step"].append(seconds(lambda p=always: steps(training, p, 2)) / 2 / plain)
            ratios[f"every_{EVERY}th"].append(
                seconds(lambda p=sometimes: steps(training, p, EVERY)) / EVERY / plain
            )
        ratios = found.setdefault("NoisyBatchNorm", {"every_step": []})
        plain = seconds(lambda: steps(training, None, 2))
        ratios["every_step"].append(seconds(lambda: steps(noisy, None, 2)) / plain)
    return {
        kind: {schedule: statistics.median(values[1:]) for schedule, values in ratios.items()}
        for kind, ratios in found.items()
    }


def steps(training: Training, probe: Any, count: int) -> None:
    for _ in range(count):
        if probe is None:
            training.step()
        else:
            with probe(training.x, training.y):
                training.step()


def seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def report_ics(results: dict[str, dict[str, float]]) -> None:
    print("InternalCovariateShift on the article's network")
    print(f"{'norm':8}{'layers':>8}{'of the straightforward way':>30}{'steps':>8}{'largest difference':>22}")
    for norm, row in results.items():
        print(
            f"{norm:8}{row['layers']:8}{row['of_straightforward']:30.2f}{row['of_a_step']:8.2f}"
            f"{row['largest_relative_difference']:22.1e}",
            flush=True,
        )


def report_costs(results: dict[str, dict[str, float]]) -> None:
    print("\nA training step with a probe, as a multiple of one without")
    print(f"{'probe':30}{'every step':>12}{f'every {EVERY}th':>12}")
    for kind, row in results.items():
        print(f"{kind:30}" + "".join(f"{value:12.2f}" for value in row.values()))


if __name__ == "__main__":
    main()
