"""What the probes cost on networks of others: ``python benchmarks/networks.py > book/_static/networks.txt``.

Three of torchvision's networks at one batch, in one process: internal covariate shift as a share of the
straightforward way (one full pass more for every layer), and the time of each probe in training steps. What
is compared is timed in turn, round by round, in this thread's own processor time, and the median ratio
counts: the load of the machine then hardly matters.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# As each step costs behind the first, at which the classes for users take a look at the model.
from bnstudy.probes.activation_drift import ActivationDrift
from bnstudy.probes.gaussianity import Gaussianity
from bnstudy.probes.gradient_health import GradientHealth
from bnstudy.probes.internal_covariate_shift import InternalCovariateShift
from tests.straightforward import Straightforward, execution_order

NETWORKS = ("resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5")
PROBES: dict[str, Callable[[Any], Any]] = {
    "ActivationDrift": ActivationDrift,
    "Gaussianity": Gaussianity,
    "GradientHealth": GradientHealth,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--size", type=int, default=64, help="height and width of the images")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is timed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    shape = (options.batch_size, 3, options.size, options.size)
    batch = " x ".join(map(str, shape))
    print(f"PyTorch {torch.__version__}, one thread, {batch}, {options.rounds} rounds\n")
    heads = ("ICS / brute force", "ICS", *PROBES)
    print(f"{'network':20}{'layers':>8}" + "".join(f"{head:>19}" for head in heads))
    for name in NETWORKS:
        print(line(name, shape, options.rounds), flush=True)
    print("\nBut for the first column: steps that a measured step takes more than one without a probe.")


def line(name: str, shape: tuple[int, ...], rounds: int) -> str:
    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(num_classes=10)
    x, y = torch.randn(shape), torch.randint(10, shape[:1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    def around(context: AbstractContextManager[Any]) -> tuple[float, float]:
        """Return the seconds that a probe takes, and those of the step within."""
        took = seconds(context.__enter__)
        within = seconds(step)
        return took + seconds(lambda: context.__exit__(None, None, None)), within

    layers = execution_order(copy.deepcopy(model), x)
    shares: list[float] = []
    steps: dict[str, list[float]] = {"ICS": [], **{probe: [] for probe in PROBES}}
    for _ in range(rounds + 1):
        twin = Straightforward(model)
        took, within = around(InternalCovariateShift(model, F.cross_entropy)(x, y))
        brute = seconds(lambda twin=twin: twin.shift(model, F.cross_entropy, x, y, layers))
        shares.append(took / brute)
        steps["ICS"].append(took / within)
        for probe, make in PROBES.items():
            took, within = around(make(model)(x, y))
            steps[probe].append(took / within)
    # The first round warms up.
    medians = [statistics.median(values[1:]) for values in (shares, *steps.values())]
    return f"{name:20}{len(layers):8}" + "".join(f"{value:19.2f}" for value in medians)


def seconds(run: Callable[[], Any]) -> float:
    start = time.thread_time()
    run()
    return time.thread_time() - start


if __name__ == "__main__":
    main()
