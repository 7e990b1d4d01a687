"""Faults in a training loop: what ``watch`` should see."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from bnstudy.doctor.faults.fault import Fault
from bnstudy.doctor.faults.lab import Case, Lab, norms, set_momentum


def _eval_from_the_start(lab: Lab, rate: float) -> Case:
    model, report = lab.train(lab.build(), rate=rate, before=lambda _, model: _norms_in_eval(model))
    return lab.case(model, watched=report)


def _left_in_eval(lab: Lab, share: float) -> Case:
    change = max(1, int(lab.steps * share))

    def before(step: int, model: nn.Module) -> None:
        if step == change:
            model.eval()

    model, report = lab.train(lab.build(), before=before)
    return lab.case(model, watched=report)


def _validated_in_training_mode(lab: Lab, batches: float) -> Case:
    test = lab.data.test_batches(32)[: int(batches)]

    def after(step: int, model: nn.Module) -> None:
        # The last validation is in the middle of training, as where the best checkpoint isn't the last.
        if step % 30 == 29 and step + 1 < lab.steps:
            with torch.no_grad():
                for x, _ in test:
                    model(x)

    model, report = lab.train(lab.build(), after=after)
    return lab.case(model, watched=report)


def _checkpointed(lab: Lab, reentrant: float) -> Case:
    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        part = x.detach().requires_grad_()
        out: Tensor = checkpoint(model, part, use_reentrant=bool(reentrant))
        return F.cross_entropy(out, y)

    model, report = lab.train(lab.build(), loss=loss)
    return lab.case(model, watched=report)


def _accumulated(lab: Lab, parts: float) -> Case:
    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        n = int(parts)
        for i in range(n - 1):
            (F.cross_entropy(model(x[i::n]), y[i::n]) / n).backward()  # type: ignore[no-untyped-call]
        return F.cross_entropy(model(x[n - 1 :: n]), y[n - 1 :: n]) / n

    model, report = lab.train(lab.build(), batch=64, loss=loss, steps=lab.steps // 2)
    return lab.case(model, watched=report)


def _tiny(lab: Lab, images: float) -> Case:
    model, report = lab.train(lab.build(), batch=int(images), rate=0.01)
    return lab.case(model, watched=report)


def _last_batch(lab: Lab, images: float) -> Case:
    def batches() -> Any:
        stream = lab.stream()
        while True:
            for _ in range(29):
                yield next(stream)
            x, y = next(stream)
            yield x[: int(images)], y[: int(images)]

    model, report = lab.train(lab.build(), batches=batches())
    return lab.case(model, watched=report)


def _inverted(lab: Lab, momentum: float) -> Case:
    model, report = lab.train(set_momentum(lab.build(), momentum), batch=8)
    return lab.case(model, watched=report)


def _frozen(lab: Lab, share: float) -> Case:
    """Fine-tune on other images with the first layers frozen, in training mode."""
    model = lab.healthy()
    layers = norms(model)
    frozen = {id(layer) for layer in layers[: max(1, round(share * len(layers)))]}
    for module in model.modules():
        module.requires_grad_(True) if not list(module.children()) else None
    stop = False
    for module in model.modules():
        if list(module.children()) or stop:
            continue
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)
        frozen.discard(id(module))
        stop = not frozen
    dark = [(0.5 * x - 0.5, y) for x, y in _forever(lab)]
    model, report = lab.train(model, steps=40, rate=0.01, batches=dark)
    return lab.case(model, watched=report)


def _broken_step(lab: Lab, share: float) -> Case:
    """Train with a loss scaler, which skips the step of the batch that holds a NaN."""
    model = lab.build().train()
    torch.manual_seed(lab.seed + 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)  # type: ignore[attr-defined]
    stream = lab.stream()
    with lab.watching(model, optimizer) as seen:
        for step in range(lab.steps):
            x, y = next(stream)
            if step == int(share * lab.steps):
                x = x.clone()
                x[0] = torch.nan
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x), y)).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimizer)
            scaler.update()
    return lab.case(model, watched=seen.report())


def _norms_in_eval(model: nn.Module) -> None:
    for layer in norms(model):
        layer.eval()


def _forever(lab: Lab) -> Any:
    stream = lab.stream(more=1)
    return [next(stream) for _ in range(40)]


IN_TRAINING = [
    Fault("in eval from the first step", "left-in-eval", "watch", (0.01, 0.02, 0.05), _eval_from_the_start),
    Fault("left in eval", "left-in-eval", "watch", (0.75, 0.5, 0.01), _left_in_eval),
    Fault(
        "validated in training mode",
        "updated-in-validation",
        "watch",
        (2, 4, 8),
        _validated_in_training_mode,
    ),
    Fault("checkpointing", "double-update", "watch", (0, 1), _checkpointed),
    Fault("accumulation", "double-update", "watch", (2, 4, 8), _accumulated),
    Fault("tiny batches", "tiny-batch", "watch", (3, 2), _tiny),
    Fault("a small last batch", "last-batch", "watch", (8, 4, 2), _last_batch),
    Fault("another framework's decay", "momentum-inverted", "watch", (0.9, 0.99, 0.999), _inverted),
    Fault("frozen, in training mode", "frozen-yet-updating", "watch", (0.0, 0.5, 0.75), _frozen),
    Fault("NaN in a skipped step", "non-finite-step", "watch", (0.1, 0.5, 0.9), _broken_step),
]
