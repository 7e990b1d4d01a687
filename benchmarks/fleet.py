"""A fleet of R runs as one wide network against R runs one after another, and three ways to build it.

    python benchmarks/fleet.py [--sizes 1 2 4 8] [--batch 128] [--precision bfloat16] [--device cpu] [--json]

Each figure is a ratio of two training steps (forward and backward, without optimizer) timed in turn in one
process: time of R lone steps over time of one fleet step, so that above 1 the fleet pays. Median of the
pairs, with the smallest and the largest in brackets.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from bnstudy.records.provenance import processor
from bnstudy.records.sealed import sealed
from bnstudy.train.evaluate import losses_and_hits
from bnstudy.train.network import WIDTHS, ArticleNet

Step = Callable[[], None]


def images(batch: int, members: int, dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor]:
    x = torch.randn(batch, 3 * members, 32, 32, dtype=dtype, device=device)
    y = torch.randint(0, 10, (batch, members), device=device)
    return x.contiguous(memory_format=torch.channels_last), y


def grouped(batch: int, members: int, dtype: torch.dtype, device: str) -> Step:
    """Return a step of the package's network: grouped convolutions."""
    net = ArticleNet(members=members).to(device).to(memory_format=torch.channels_last)
    for layer in net.norm_layers():
        layer.updates = "never"
    x, y = images(batch, members, dtype, device)

    def step() -> None:
        net.zero_grad(set_to_none=True)
        losses_and_hits(net(x), y)[0].mean(0).sum().backward()

    return step


def weights(members: int, device: str) -> list[Tensor]:
    widths = (3, *WIDTHS, 10)
    shapes = [(members, c_out, c_in, 3, 3) for c_in, c_out in itertools.pairwise(widths)]
    return [(torch.randn(shape, device=device) * 0.1).requires_grad_() for shape in shapes]


def vectorised(batch: int, members: int, dtype: torch.dtype, device: str) -> Step:
    """Return a step of ``torch.func.vmap`` over members of a functional network."""
    stacked = weights(members, device)
    x, y = images(batch, members, dtype, device)
    x = x.unflatten(1, (members, 3)).transpose(0, 1)

    def loss(parameters: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
        for i, weight in enumerate(parameters):
            x = F.conv2d(x, weight.to(x.dtype), padding=1)
            x = F.relu(F.batch_norm(x, None, None, training=True, eps=1e-3))
            if i < len(WIDTHS):
                x = F.max_pool2d(x, 2)
        return F.cross_entropy(x.float().mean((2, 3)), y)

    def step() -> None:
        total = torch.func.vmap(loss)(stacked, x, y.T).sum()
        torch.autograd.grad(total, stacked)

    return step


def multiplied(batch: int, members: int, dtype: torch.dtype, device: str) -> Step:
    """Return a step whose convolutions are one batched product of neighbourhoods and weights each."""
    stacked = weights(members, device)
    x, y = images(batch, members, dtype, device)
    start = x.unflatten(1, (members, 3)).permute(1, 0, 3, 4, 2).contiguous()  # [R, N, H, W, C]

    def convolve(x: Tensor, weight: Tensor) -> Tensor:
        height, width = x.shape[2:4]
        padded = F.pad(x, (0, 0, 1, 1, 1, 1))
        shifts = [padded[:, :, i : i + height, j : j + width] for i in range(3) for j in range(3)]
        near = torch.cat(shifts, -1).flatten(1, 3)
        kernel = weight.permute(0, 3, 4, 2, 1).flatten(1, 3).to(x.dtype)
        return torch.bmm(near, kernel).view(*x.shape[:4], -1)

    def channels_last(x: Tensor) -> Tensor:
        n, height, width = x.shape[1:4]
        return x.permute(1, 2, 3, 0, 4).reshape(n, height, width, -1).permute(0, 3, 1, 2)

    def step() -> None:
        x = start
        for i, weight in enumerate(stacked):
            wide = channels_last(convolve(x, weight))
            wide = F.relu(F.batch_norm(wide, None, None, training=True, eps=1e-3))
            if i < len(WIDTHS):
                wide = F.max_pool2d(wide, 2)
            x = wide.unflatten(1, (members, -1)).permute(1, 0, 3, 4, 2)
        logits = x.float().mean((2, 3)).transpose(0, 1)
        total = losses_and_hits(logits, y)[0].mean(0).sum()
        torch.autograd.grad(total, stacked)

    return step


WAYS = {"grouped convolution": grouped, "torch.func.vmap": vectorised, "batched matrix product": multiplied}


def seconds(step: Step, device: str, times: int = 1) -> float:
    start = time.perf_counter()
    for _ in range(times):
        step()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def ratios(members: int, pairs: int, batch: int, dtype: torch.dtype, device: str) -> dict[str, list[float]]:
    """Return, for each way, the time of ``members`` lone steps over that of one fleet step, of each pair."""
    lone = grouped(batch, 1, dtype, device)
    found = {}
    for name, build in WAYS.items():
        fleet = build(batch, members, dtype, device)
        for step in (lone, fleet, lone, fleet):  # to warm up
            seconds(step, device)
        found[name] = [seconds(lone, device, members) / seconds(fleet, device) for _ in range(pairs)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    device = options.device
    rows = [
        {"fleet_size": size, "way": way, "median": statistics.median(r), "lowest": min(r), "highest": max(r)}
        for size in options.sizes
        for way, r in ratios(
            size, options.pairs, options.batch, getattr(torch, options.precision), device
        ).items()
    ]
    machine = {
        "device": processor() if device == "cpu" else torch.cuda.get_device_name(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "batch": options.batch,
        "precision": options.precision,
    }
    if options.json:
        print(json.dumps(sealed({"machine": machine, "rows": rows})))
        return
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    for row in rows:
        print(
            f"{row['fleet_size']:>3} runs  {row['way']:<24} {row['median']:.2f} "
            f"[{row['lowest']:.2f}, {row['highest']:.2f}]"
        )


if __name__ == "__main__":
    main()
