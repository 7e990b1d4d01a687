"""One channel at work: ``python benchmarks/moving_picture.py [--json FILE]``.

Trains the tutorial's network for its first epoch on CIFAR-10, the beginning of one of the decay study's runs.
Of one channel of the third block it keeps mean and variance of the batch at every step, and at every second
the histogram of what batch norm was given. What averages of any decay would have held, and what came out of
batch norm, follow from these. The channel is the one whose mean travels farthest in terms of its own spread:
a picture of lag needs something that moves.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import bnstudy
from bnstudy.chapters import plan_of
from bnstudy.records.provenance import environment, git_state
from bnstudy.records.sealed import sealed
from bnstudy.records.spec import RunSpec
from bnstudy.study.deciding import source_of
from bnstudy.train.data import Dataset
from bnstudy.train.fleet import train_run

BLOCK = 2  # the third: 32 channels of 8 by 8 positions
HISTOGRAM_EVERY = 2
BINS = 56
# Of all values, what lies outside the histogram's range is counted in its first and last bin.
OUTSIDE = 0.0005
ENDS = 40  # steps at either end of training that say how far a channel's mean travels

Array = npt.NDArray[Any]


@dataclass
class Kept:
    """What was kept of a training of T steps, of the C channels of one layer.

    ``means`` and ``variances`` [T, C] of each batch; ``values``, a step each: what batch norm was given,
    [values, C].
    """

    means: Array
    variances: Array
    values: list[Tensor]


class Keeper:
    """A watch that keeps what one layer was given at every step."""

    def __init__(self, net: Any, loss: Any, rates: list[float]) -> None:
        self.block = net.blocks[BLOCK]
        self.given: list[Tensor] = []
        self.moments: list[tuple[Tensor, Tensor]] = []

    def due(self, step: int) -> bool:
        return True

    @contextmanager
    def around(self, x: Tensor, y: Tensor) -> Iterator[None]:
        handle = self.block.conv.register_forward_hook(self._keep)
        try:
            yield
        finally:
            handle.remove()
        moments = self.block.norm.batch_moments
        self.moments.append((moments.mean.clone(), moments.variance.clone()))

    def _keep(self, conv: Any, inputs: Any, output: Tensor) -> None:
        self.given.append(output.detach().permute(0, 2, 3, 1).flatten(0, 2).clone())


def spec_of(dataset: str, **changes: Any) -> RunSpec:
    """Return the first epoch of the decay study's first training at a constant rate."""
    plan = plan_of("decay", {"dataset": dataset, "epochs": 1, "schedules": ["constant"], **changes})
    spec = plan.runs()[0].spec
    assert isinstance(spec, RunSpec)
    return spec.model_copy(update={"evaluations": 0})


def train(spec: RunSpec, dataset: Dataset | None = None) -> Kept:
    """Train, and keep what the layer was given."""
    keepers: list[Keeper] = []

    def watch(net: Any, loss: Any, rates: list[float]) -> Keeper:
        keepers.append(Keeper(net, loss, rates))
        return keepers[-1]

    result = train_run(spec, dataset, watch=watch, progress=False)
    if result.outcome != "finished":
        raise RuntimeError(f"the training {result.outcome}")
    (keeper,) = keepers
    means, variances = (torch.stack(part).numpy() for part in zip(*keeper.moments, strict=True))
    return Kept(means, variances, keeper.given)


def farthest(kept: Kept) -> int:
    """Return the channel whose mean travels farthest from the first steps to the last, in its own spread."""
    way = kept.means[-ENDS:].mean(0) - kept.means[:ENDS].mean(0)
    return int(np.argmax(np.abs(way) / np.sqrt(kept.variances.mean(0))))


def picture(kept: Kept, spec: RunSpec) -> dict[str, Any]:
    """Return the recorded result: one channel's batch moments, and its histograms."""
    channel = farthest(kept)
    steps = range(0, len(kept.values), HISTOGRAM_EVERY)
    values = [kept.values[step][:, channel].double().numpy() for step in steps]
    low, high = np.quantile(np.concatenate(values), [OUTSIDE, 1 - OUTSIDE])
    edges = np.linspace(low, high, BINS + 1)
    counts = [np.histogram(np.clip(part, low, high), edges)[0].tolist() for part in values]
    return {
        "bnstudy": bnstudy.__version__,
        "git": git_state(),
        "source": source_of(spec),
        **environment(),
        "spec": json.loads(spec.canonical()),
        "block": BLOCK + 1,
        "channels": kept.means.shape[1],
        "channel": channel + 1,
        "values_per_image": len(kept.values[0]) // spec.batch_size,
        "epsilon": spec.epsilon,
        # Nine digits are a float32, exactly.
        "mean": [float(f"{mean:.9g}") for mean in kept.means[:, channel]],
        "variance": [float(f"{variance:.9g}") for variance in kept.variances[:, channel]],
        "low": float(low),
        "high": float(high),
        "histogram_steps": [step + 1 for step in steps],
        "histograms": counts,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", choices=["cifar10", "digits"], default="cifar10")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    git_state()  # what is changed while it trains wasn't loaded
    spec = spec_of(options.dataset)
    result = picture(train(spec), spec)
    print(f"channel {result['channel']} of {result['channels']}, {len(result['mean'])} steps")
    if options.json:
        options.json.write_text(json.dumps(sealed(result), separators=(",", ":"), allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
