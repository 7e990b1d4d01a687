"""Models with which nothing is wrong, of the kinds that a check could take for a fault."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from bnstudy import recalibrate
from bnstudy.doctor.faults.fault import Healthy
from bnstudy.doctor.faults.healthy_norms import converted_then_never, other_norm, ours
from bnstudy.doctor.faults.lab import Case, Lab, cross_entropy, norms, set_momentum


def _plain(lab: Lab) -> Case:
    return lab.case(lab.healthy(), watched=lab.healthy_report(), pair=(lab.healthy(), lab.healthy(), "copy"))


def _siamese(lab: Lab) -> Case:
    """Two views of each image, one loss of both."""

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        first, second = model(x), model(x + 0.1 * torch.randn_like(x))
        apart: Tensor = (first - second).square().mean()
        return F.cross_entropy(first, y) + apart

    return _trained(lab, loss=loss)


def _shared_twice(lab: Lab) -> Case:
    """Two forwards of different images before one step, as a discriminator's real and fake batch."""

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        half = len(x) // 2
        return (F.cross_entropy(model(x[:half]), y[:half]) + F.cross_entropy(model(x[half:]), y[half:])) / 2

    return _trained(lab, loss=loss, batch=64)


def _gan(lab: Lab) -> Case:
    """A generator and a discriminator, two optimisers; the network is trained as the discriminator's body."""
    model = lab.build()
    channels, side = lab.data.x_train.shape[1:3]
    size = channels * side * side
    generator = nn.Sequential(
        nn.Linear(8, 32, bias=False), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, size), nn.Tanh()
    )
    both = nn.ModuleDict({"generator": generator, "discriminator": model}).train()
    first = torch.optim.Adam(generator.parameters(), 1e-3)
    second = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(second, lab.steps)
    torch.manual_seed(lab.seed + 1)
    stream = lab.stream()
    with lab.watching(both, first, second) as seen:
        for _ in range(lab.steps):
            x, y = next(stream)
            with torch.no_grad():
                made = generator(torch.randn(len(x), 8)).reshape(x.shape)
            second.zero_grad()
            # Real images by their class; made ones without confidence in any.
            loss = F.cross_entropy(model(x), y) + 0.1 * model(made).square().mean()
            loss.backward()
            second.step()
            falling.step()
            for parameter in model.parameters():
                parameter.requires_grad_(False)
            first.zero_grad()
            made = generator(torch.randn(len(x), 8)).reshape(x.shape)
            (-model(made).logsumexp(1).mean()).backward()
            first.step()
            for parameter in model.parameters():
                parameter.requires_grad_(True)
    # What it saw was half made images, so that answers on real ones alone aren't its trade.
    return lab.case(model, watched=seen.report(), diagnosable=False)


def _momentum_encoder(lab: Lab) -> Case:
    """A teacher in training mode, without gradients, whose weights follow (MoCo, BYOL)."""
    model = lab.build()
    both = nn.ModuleDict({"student": model, "teacher": copy.deepcopy(model).requires_grad_(False)}).train()
    student, teacher = both["student"], both["teacher"]

    def loss(_: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            views = [teacher(x + 0.1 * torch.randn_like(x)) for _ in range(2)]
        out = student(x)
        following = torch.stack([(out - view).square().mean() for view in views]).sum()
        return F.cross_entropy(out, y) + 0.1 * following

    def after(_: int, __: nn.Module) -> None:
        with torch.no_grad():
            for mean, now in zip(teacher.parameters(), student.parameters(), strict=True):
                mean.lerp_(now, 0.05)

    _, report = lab.train(both, loss=loss, after=after, parameters=student.parameters())
    return lab.case(model, watched=report)


def _averaged(lab: Lab, recompute: bool) -> Case:
    """Weights averaged over the last steps (SWA), statistics recomputed or the last model's."""
    model = lab.build()
    average = torch.optim.swa_utils.AveragedModel(model)

    def after(step: int, model: nn.Module) -> None:
        if step >= lab.steps - 10:
            average.update_parameters(model)

    model, report = lab.train(model, after=after)
    if recompute:
        torch.optim.swa_utils.update_bn(lab.data.batches(), average)
    else:
        for mean, now in zip(average.module.buffers(), model.buffers(), strict=True):
            mean.copy_(now)
    pair = (model, average.module, "average") if recompute else None
    return lab.case(average.module, model.eval(), watched=report, pair=pair)


def _ema(lab: Lab) -> Case:
    """An average of weights and buffers alike, recomputed at the end."""
    model = lab.build()
    average = copy.deepcopy(model)

    def after(_: int, model: nn.Module) -> None:
        with torch.no_grad():
            for mean, now in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(now, 0.05)

    model, report = lab.train(model, after=after)
    repaired = recalibrate(average, lab.data.batches())
    return lab.case(repaired, model.eval(), watched=report, pair=(average, repaired, "recalibrated"))


def _frozen(lab: Lab) -> Case:
    """Fine-tuned with all batch norms frozen: in eval mode, without gradients."""
    model = lab.healthy()

    def before(_: int, model: nn.Module) -> None:
        model.train()
        for layer in norms(model):
            layer.eval().requires_grad_(False)

    model, report = lab.train(model, steps=40, rate=0.005, before=before)
    return lab.case(model, watched=report)


def _head_only(lab: Lab) -> Case:
    """Fine-tuned in the last layer alone, the rest in eval mode and frozen."""
    model = lab.healthy().requires_grad_(False)
    list(model.children())[-1].requires_grad_(True)

    def before(_: int, model: nn.Module) -> None:
        model.eval()

    head = [p for p in model.parameters() if p.requires_grad]
    model, report = lab.train(model, steps=40, rate=0.01, before=before, parameters=head)
    return lab.case(model, watched=report)


def _fine_tuned(lab: Lab) -> Case:
    """Trained on with a small rate, all of it in training mode."""
    model, report = lab.train(lab.healthy(), steps=60, rate=0.01)
    return lab.case(model, watched=report)


def _inner_loops(lab: Lab) -> Case:
    """An inner step by functional weights before the outer loss (MAML)."""

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        weights: dict[str, Tensor] = dict(model.named_parameters())
        inner = F.cross_entropy(functional_call(model, weights, x[:32]), y[:32])
        gradients = torch.autograd.grad(inner, list(weights.values()), create_graph=True)
        moved = {n: w - 0.01 * g for (n, w), g in zip(weights.items(), gradients, strict=True)}
        return F.cross_entropy(functional_call(model, moved, x[32:]), y[32:]) + inner

    return _trained(lab, loss=loss, batch=64, steps=lab.steps // 2, rate=0.02)


def _small_batches(lab: Lab) -> Case:
    """Small batches that suffice: eight images of many pixels each, or thirty-two vectors."""
    images = all(isinstance(layer, nn.BatchNorm2d) for layer in norms(lab.build()))
    return _trained(lab, batch=8 if images else 32, rate=0.01, steps=2 * lab.steps)


def _cumulative(lab: Lab) -> Case:
    """Momentum None over the last steps: an average of all of them alike."""

    def before(step: int, model: nn.Module) -> None:
        if step == lab.steps - 30:
            for layer in norms(model):
                layer.reset_running_stats()
            set_momentum(model, None)

    model, report = lab.train(lab.build(), before=before)
    return lab.case(model, watched=report)


def _bfloat16(lab: Lab) -> Case:
    """Trained under autocast, statistics in float32."""

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            out = model(x)
        return F.cross_entropy(out.float(), y)

    return _trained(lab, loss=loss)


def _long(lab: Lab) -> Case:
    """Some hundred steps at momentum 0.1, with a small last batch nowhere."""
    return _trained(lab, steps=3 * lab.steps)


def _adapted(lab: Lab) -> Case:
    """Statistics of another domain, meant so (AdaBN), used and judged in that domain."""
    dark = [(0.6 * x - 0.4, y) for x, y in lab.data.batches()]
    model = recalibrate(lab.healthy(), dark)
    case = lab.case(model)
    case.train, case.test = dark, [(0.6 * x - 0.4, y) for x, y in case.test]
    case.twin = None
    return case


def _trained_at_test_time(lab: Lab) -> Case:
    """Adapted by entropy on the test images, in training mode (TENT)."""
    model = lab.healthy()
    affine = [p for layer in norms(model) for p in layer.parameters()]

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        del y
        logs = F.log_softmax(model(x), dim=1)
        return -(logs.exp() * logs).sum(dim=1).mean()

    model, report = lab.train(model, steps=30, rate=1e-3, loss=loss, parameters=affine)
    return lab.case(model, watched=report)


def _validated(lab: Lab) -> Case:
    """Validated in eval mode between steps, and back."""

    def after(step: int, model: nn.Module) -> None:
        if step % 30 == 29:
            model.eval()
            with torch.no_grad():
                for x, _ in lab.data.test_batches():
                    model(x)
            model.train()

    return _trained(lab, after=after)


def _dropout_behind(lab: Lab) -> Case:
    """Dropout behind the last batch norm, where it does no harm."""
    model = lab.build()
    name, head = list(model.named_children())[-1]
    setattr(model, name, nn.Sequential(nn.Dropout(0.5), head))
    model, report = lab.train(model)
    return lab.case(model, watched=report)


def _untrained(lab: Lab) -> Case:
    """Just built."""
    return lab.case(lab.build(), diagnosable=False)


def _resumed(lab: Lab) -> Case:
    """Saved, loaded whole, and trained on."""
    model = lab.build()
    model.load_state_dict(lab.healthy().state_dict())
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model, report = lab.train(model, steps=40, rate=0.005)
    return lab.case(model, watched=report, pair=(before, model, None), state=dict(model.state_dict()))


def _penalised(lab: Lab) -> Case:
    """A penalty on all weights, those of batch norm too."""

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        penalty = sum(p.square().sum() for p in model.parameters())
        return cross_entropy(model, x, y) + 1e-4 * penalty

    return _trained(lab, loss=loss)


def _trained(lab: Lab, **how: Any) -> Case:
    model, report = lab.train(lab.build(), **how)
    return lab.case(model, watched=report)


HEALTHY = [
    Healthy("plain", _plain),
    Healthy("siamese", _siamese),
    Healthy("two forwards a step", _shared_twice),
    Healthy("GAN", _gan),
    Healthy("momentum encoder", _momentum_encoder),
    Healthy("SWA, recomputed", lambda lab: _averaged(lab, True)),
    Healthy("SWA of the last steps, not recomputed", lambda lab: _averaged(lab, False)),
    Healthy("EMA, recalibrated", _ema),
    Healthy("frozen batch norm", _frozen),
    Healthy("head only", _head_only),
    Healthy("fine-tuned", _fine_tuned),
    Healthy("MAML", _inner_loops),
    Healthy("small batches", _small_batches),
    Healthy("group norm", lambda lab: other_norm(lab, lambda width: nn.GroupNorm(1, width))),
    Healthy("no norm at all", lambda lab: other_norm(lab, lambda width: nn.Identity())),
    Healthy("batch renorm", lambda lab: ours(lab, renorm=True)),
    Healthy("bnstudy, in place", lambda lab: ours(lab, "in_place")),
    Healthy("bnstudy, with the step", lambda lab: ours(lab, "with_step")),
    Healthy("bnstudy, after the step", lambda lab: ours(lab, "after_step")),
    Healthy("bnstudy, converted and never updated", converted_then_never),
    Healthy("momentum None", _cumulative),
    Healthy("bfloat16", _bfloat16),
    Healthy("longer", _long),
    Healthy("AdaBN", _adapted),
    Healthy("trained at test time", _trained_at_test_time),
    Healthy("validated in eval mode", _validated),
    Healthy("dropout behind", _dropout_behind),
    Healthy("untrained", _untrained),
    Healthy("resumed", _resumed),
    Healthy("weight decay", _penalised),
]
