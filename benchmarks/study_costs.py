"""What the second round costs, and the ordinary way: ``python benchmarks/study_costs.py [--json FILE]``.

The core block's training steps, each of its looks, and the steps and evaluations of ordinary loops are timed
in turn, round by round, in one process of one thread, by the processor time that the process got: the load of
the machine takes all alike. A look is timed on a tenth of its images and counts tenfold. Each round gives its
own ratios; the median counts.

The ordinary way is one loop of ``ordinary_loop.py`` for each run and each arm: a decay of its own needs a
training of its own, evaluated as often as ours is. What needs no other weights (the test batch's own
statistics, precise ones) costs it an evaluation alone. Only decays that a judged quantity or a figure reads
count as arms, and of moving averages only those that start at 0 and 1.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import ordinary_loop
from bnstudy.analysis.judged.contrasts import AtEpochs
from bnstudy.bench.steps import Training
from bnstudy.chapters.found import EXPERIMENTS
from bnstudy.chapters.judged import family
from bnstudy.records.nodes import NODES
from bnstudy.records.sealed import sealed
from bnstudy.records.snapshots import Snapshot
from bnstudy.records.spec import Look, RunSpec, validate
from bnstudy.study.plan import IMAGES
from bnstudy.train.data import Dataset, load_dataset
from bnstudy.train.device import deterministic
from bnstudy.train.look_again import LookAgain
from bnstudy.train.network import WIDTHS, ArticleNet

TENTH = 10
STEPS = 4
TEST, TRAIN_SEEN = 10_000, 10_000  # images of the splits that looks see
ARTICLE_BLOCKS = ("core", "gamma_and_epsilon", "learning_rates", "small_data", "small_data_strengths")

Costs = dict[str, float]  # processor seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is timed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tasks = all_tasks(load_dataset("cifar10"))
    rounds: list[Costs] = []
    for i in range(options.rounds + 1):
        rounds.append({name: seconds(task) for name, task in tasks.items()})
        print(f"round {i} of {options.rounds}: {sum(rounds[-1].values()):.1f} s", file=sys.stderr, flush=True)
    result = {"torch": torch.__version__, "rounds": options.rounds, "threads": 1, "steps": STEPS}
    result |= figures(rounds[1:])  # the first round warms up
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(sealed(result), indent=1) + "\n")


def core_runs() -> dict[str, RunSpec]:
    """Return the spec of one run of each of the core block's arms."""
    found = {}
    for run in EXPERIMENTS["core"]().runs():
        assert isinstance(run.spec, RunSpec)
        found.setdefault(run.arms["arm"], run.spec)
    return found


def all_tasks(dataset: Dataset) -> dict[str, Callable[[], object]]:
    """Return all that is timed: steps and looks of the core block, steps and passes of ordinary loops."""
    n = TEST // TENTH
    small = Dataset(
        dataset.name, dataset.x_train[:n], dataset.y_train[:n], dataset.x_test[:n], dataset.y_test[:n]
    )
    tasks: dict[str, Callable[[], object]] = {}
    for arm, spec in core_runs().items():
        training = Training(spec, small_enough(dataset))
        tasks[f"{arm} steps"] = lambda training=training: training.steps(STEPS)
        for i, look in enumerate(spec.looks):
            tasks[f"{arm} look {i}"] = looking(spec, look, small)
        loop = ordinary_steps(dataset, spec.batch_size, norm=arm == "batch")
        tasks[f"{arm} ordinary steps"] = lambda loop=loop: [next(loop) for _ in range(STEPS)]
        tasks[f"{arm} ordinary pass"] = ordinary_pass(small, spec.batch_size, norm=arm == "batch")
    tasks["snapshot, one decay"] = asking(core_runs()["batch"], small, statistics=("moving",), decays=(0.97,))
    tasks["snapshot, precise"] = asking(
        core_runs()["batch"], small, statistics=("precise",), precise_images=TRAIN_SEEN // TENTH
    )
    tasks["snapshot, test batches of 8"] = asking(core_runs()["batch"], small, test_batches=8)
    return tasks


def asking(spec: RunSpec, small: Dataset, test_batches: int = 0, **look: Any) -> Callable[[], object]:
    """Return a question to one snapshot, on a tenth of the images: a look, or a size of test batches."""
    again = LookAgain(small, spec.precision)
    weights = sum(p.numel() for p in ArticleNet().parameters())
    averages = np.broadcast_to(np.array([[0.0], [1.0]], np.float32), (NODES, 2, sum(WIDTHS) + 10))
    total = -(-len(small.y_train) // spec.batch_size) * spec.epochs
    # What it computes doesn't depend on the values.
    values = np.random.default_rng(0).normal(0, 0.05, weights).astype(np.float32)
    snapshot = Snapshot(spec, total, values, averages)
    if test_batches:
        return lambda: again.by_test_batch([snapshot], [test_batches])
    return lambda: again([snapshot], Look(epochs=(spec.epochs,), **look))


def small_enough(dataset: Dataset) -> Dataset:
    """Return images enough for a few steps: standardising all of them takes longer than these."""
    n = 20 * 128
    return Dataset(
        dataset.name, dataset.x_train[:n], dataset.y_train[:n], dataset.x_test[:n], dataset.y_test[:n]
    )


def tenth(spec: RunSpec, look: Look) -> RunSpec:
    """Return a run that takes one look, at its end, on a tenth of the images."""
    changes: dict[str, Any] = {"ratio": None, "epochs": (spec.epochs,)}
    for name in ("images", "precise_images"):
        value = getattr(look, name)
        if value is not None:
            changes[name] = value // TENTH
    return validate(RunSpec, {**spec.model_dump(), "looks": [{**look.model_dump(), **changes}]})


def looking(spec: RunSpec, look: Look, small: Dataset) -> Callable[[], object]:
    """Return one look of a run, on a tenth of its images."""
    run = Training(tenth(spec, look), small).run
    run.step(spec.batch_size)  # the bank has something to average then

    def once() -> None:
        with deterministic():
            run.looks.look(run.total, {0})

    return once


def ordinary_net(norm: bool) -> nn.Module:
    net = ordinary_loop.Net()
    if not norm:
        net.layers = nn.Sequential(*(m for m in net.layers if not isinstance(m, nn.BatchNorm2d)))
    return net


def ordinary_loader(data: np.ndarray, targets: np.ndarray, batch_size: int, shuffle: bool) -> DataLoader[Any]:
    """Return a loader in this process: on two cores, two trainings leave none for its workers."""
    transform = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize(ordinary_loop.MEAN, ordinary_loop.STD)]
    )
    return DataLoader(ordinary_loop.Images(data, targets, transform), batch_size, shuffle=shuffle)


def ordinary_steps(dataset: Dataset, batch_size: int, norm: bool) -> Iterator[float]:
    """Train for ever, as ``ordinary_loop.steps`` does, also without batch norm; yield each step's loss."""
    loader = ordinary_loader(dataset.x_train, dataset.y_train, batch_size, shuffle=True)
    net, criterion = ordinary_net(norm).train(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
    while True:
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            yield loss.item()


def ordinary_pass(small: Dataset, batch_size: int, norm: bool) -> Callable[[], object]:
    """Return an ordinary evaluation on a tenth of the test images."""
    loader = ordinary_loader(small.x_test, small.y_test, batch_size, shuffle=False)
    net = ordinary_net(norm).eval()

    def once() -> float:
        with torch.no_grad():
            return sum(float((net(x).argmax(1) == y).sum()) for x, y in loader)

    return once


def seconds(task: Callable[[], object]) -> float:
    start = time.process_time()
    task()
    return time.process_time() - start


def figures(rounds: list[Costs]) -> dict[str, Any]:
    """Return shares and ratios of the core block and of the round, each the median of the rounds' own."""
    runs = core_runs()
    judged, shown = judged_decays(), shown_decays(runs["batch"])
    core = len(EXPERIMENTS["core"]().seed_range())
    result: dict[str, Any] = {
        "seconds": {name: statistics.median(r[name] for r in rounds) for name in rounds[0]},
        "looks": {
            arm: [
                {"times": times(spec, look), "statistics": look.statistics, "splits": look.splits}
                for look in spec.looks
            ]
            for arm, spec in runs.items()
        },
        "evaluation's share": {
            **{arm: spread(lambda r, arm=arm: share(r, {arm: runs[arm]}), rounds) for arm in runs},
            "core block": spread(lambda r: share(r, runs), rounds),
        },
        "step, ordinary over ours": {
            arm: spread(lambda r, arm=arm: r[f"{arm} ordinary steps"] / r[f"{arm} steps"], rounds)
            for arm in runs
        },
    }
    for name, decays in (("judged", judged), ("judged or shown", shown)):
        result[f"core block, arms {name}"] = {
            "decays": decays,
            "ordinary trainings": core * (1 + len(decays)),
            "ordinary over ours": spread(
                lambda r, decays=decays: ordinary_core(r, decays) / own(r, runs), rounds
            ),
        }
    seeds_and_snapshots = core * len(snapshots(runs["batch"]))
    result["one question to every snapshot"] = {
        "snapshots": seeds_and_snapshots,
        "seconds": {
            name.removeprefix("snapshot, "): TENTH * seeds_and_snapshots * cost
            for name, cost in result["seconds"].items()
            if name.startswith("snapshot, ")
        },
        "one decay, ordinary over ours": spread(lambda r: another_decay(r, runs["batch"]), rounds),
    }
    result["trainings of the article's network, all blocks without probes"] = {
        "blocks": ARTICLE_BLOCKS,
        "ordinary over ours, arms judged or shown": spread(lambda r: whole(r, shown), rounds),
    }
    return result


def spread(ratio: Callable[[Costs], float], rounds: list[Costs]) -> dict[str, float]:
    found = [ratio(costs) for costs in rounds]
    return {"median": statistics.median(found), "lowest": min(found), "highest": max(found)}


def steps(spec: RunSpec) -> int:
    size = spec.train_size or IMAGES[spec.dataset] - spec.held_out
    return -(-size // spec.batch_size) * spec.epochs


def times(spec: RunSpec, look: Look) -> int:
    return len(look.steps(steps(spec), spec.epochs))


def training(costs: Costs, arm: str, spec: RunSpec, whose: str = "") -> float:
    return steps(spec) * costs[f"{arm} {whose}steps"] / STEPS


def evaluation(costs: Costs, arm: str, spec: RunSpec) -> float:
    return sum(TENTH * times(spec, look) * costs[f"{arm} look {i}"] for i, look in enumerate(spec.looks))


def own(costs: Costs, runs: dict[str, RunSpec]) -> float:
    return sum(training(costs, arm, spec) + evaluation(costs, arm, spec) for arm, spec in runs.items())


def share(costs: Costs, runs: dict[str, RunSpec]) -> float:
    return sum(evaluation(costs, arm, spec) for arm, spec in runs.items()) / own(costs, runs)


def judged_decays() -> list[float]:
    """Return the decays of the core block's moving averages that a judged quantity reads."""
    found = set()
    for quantity in family().values():
        rule = quantity.estimate
        if isinstance(rule, AtEpochs) and rule.block == "core":
            terms = (*rule.terms, *rule.telling)
            found |= {t.evaluation.decay for t in terms if t.evaluation.statistics == "moving"}
    return sorted(decay for decay in found if decay is not None)


def shown_decays(spec: RunSpec) -> list[float]:
    """Return those and the ones that the decay chapter's figure of the snapshots' networks shows."""
    return sorted({*judged_decays(), *(d for look in spec.looks if look.snapshot for d in look.decays)})


def passes(spec: RunSpec, decay: float | None) -> float:
    """Return how many test sets an ordinary training of one arm is evaluated on.

    Statistics that need no training of their own are evaluated once, with the trainings of decay 0.9.
    """
    found = 0.0
    for look in spec.looks:
        size = sum(
            look.images or {"test": TEST, "train": TRAIN_SEEN}.get(s, spec.held_out) for s in look.splits
        )
        choices = float("moving" in look.statistics and (decay is None or decay in look.decays))
        if decay is not None and decay == 0.9:
            choices += "batch" in look.statistics
            choices += ("precise" in look.statistics) * (1 + (look.precise_images or 50_000) / size)
            choices += len(look.test_batches) * 2 * 2  # two orders; batch and leaked
        found += times(spec, look) * choices * size / TEST
    return found


def ordinary(costs: Costs, arm: str, spec: RunSpec, decay: float | None) -> float:
    """Return what one ordinary training of an arm takes, evaluated as often as ours."""
    once = TENTH * costs[f"{arm} ordinary pass"]
    return training(costs, arm, spec, "ordinary ") + passes(spec, decay) * once


def ordinary_core(costs: Costs, decays: list[float]) -> float:
    runs = core_runs()
    return ordinary(costs, "none", runs["none"], None) + sum(
        ordinary(costs, "batch", runs["batch"], decay) for decay in decays
    )


def snapshots(spec: RunSpec) -> list[float]:
    """Return after how many epochs a run keeps its networks."""
    return sorted({epoch for look in spec.looks if look.snapshot for epoch in look.epochs})


def another_decay(costs: Costs, spec: RunSpec) -> float:
    """Return an ordinary training for one decay more, evaluated at each snapshot, over asking these."""
    count = len(snapshots(spec))
    theirs = training(costs, "batch", spec, "ordinary ") + count * TENTH * costs["batch ordinary pass"]
    return theirs / (count * TENTH * costs["snapshot, one decay"])


def whole(costs: Costs, decays: list[float]) -> float:
    """Return the ordinary way over ours for all blocks that train the article's network without probes.

    But for the core block every run is one arm, and an evaluation costs what the looks at 2,000 images do.
    """
    ours = theirs = 0.0
    for name in ARTICLE_BLOCKS:
        study = EXPERIMENTS[name]()
        if name == "core":
            ours += len(study.seed_range()) * own(costs, core_runs())
            theirs += len(study.seed_range()) * ordinary_core(costs, decays)
            continue
        for run in study.runs():
            spec = run.spec
            assert isinstance(spec, RunSpec)
            once = TENTH * costs[f"{spec.norm} look 0"] * TEST / 2000
            seen = passes(spec, 0.9 if spec.norm == "batch" else None)
            ours += training(costs, spec.norm, spec) + seen * once
            theirs += ordinary(costs, spec.norm, spec, 0.9 if spec.norm == "batch" else None)
    return theirs / ours


if __name__ == "__main__":
    main()
