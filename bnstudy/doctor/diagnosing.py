"""``doctor.diagnose``: what a model's statistics cost, measured on data, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import torch
from torch import nn

from bnstudy.doctor.answers import Grading, LossFunction
from bnstudy.doctor.batches import Batches, check_again, split
from bnstudy.doctor.examination import BATCH, DOMAIN, MOVING, PRECISE, QUIET, Examination, gap, named
from bnstudy.doctor.layers import of_module
from bnstudy.doctor.leaks import find_leak
from bnstudy.doctor.passes import Passes, Precise, Statistics
from bnstudy.doctor.progress import Progress
from bnstudy.doctor.registry import check_ignored, findings
from bnstudy.doctor.report import Report
from bnstudy.doctor.scanning import subject_of
from bnstudy.doctor.untouched import untouched
from bnstudy.norm.checks import check_keys
from bnstudy.probes.forward import Forward
from bnstudy.probes.moment import underlying, undisturbed

SMALLEST = {"accuracy": 0.005, "loss": 0.02}
EXCHANGED = 16  # layers whose statistics are exchanged alone, those that are furthest off


def diagnose(
    model: nn.Module,
    train_batches: Iterable[Any],
    eval_batches: Iterable[Any] | None = None,
    *,
    forward: Forward | None = None,
    loss_fn: LossFunction | None = None,
    smallest_effect: Mapping[str, float] | float | None = None,
    max_batches: int | None = None,
    device: torch.device | str | None = None,
    progress: bool = True,
    ignore: Iterable[str] = (),
) -> Report:
    """Measure what the moving statistics cost against precise ones, image by image, and say why.

    Drift (statistics are off) and harm (it costs something) are told apart: harm is where the 95 %
    interval of the paired difference lies above the smallest effect. What ``scan`` sees is in the report too.

    Args:
        model: any module, in any mode; it is evaluated.
        train_batches: what it was trained on, read several times: (x, y), or what ``forward`` takes. A
            thousand images are enough.
        eval_batches: what it is evaluated on, read once and kept. Without them every fourth training batch is
            held back, and the report says so.
        forward: ``forward(model, batch)``, which returns (output, target), for models that aren't called as
            ``model(x)``.
        loss_fn: ``loss_fn(output, target)``, one number or one an image; by default cross-entropy, of
            outputs [N, C] and class numbers [N]. Where in some batch the mean over images isn't the batch's
            loss (class weights, contrastive losses), losses are of batches, and ``measured`` counts those.
            Targets that are its ``ignore_index`` (-100 by default) count neither in loss nor in accuracy.
        smallest_effect: below which a difference is no harm: {"accuracy": 0.005, "loss": 0.02}, any of these,
            or a number for the accuracy. In shares and in units of the loss.
        max_batches: how many batches of each to read; all by default.
        device: where batches go; by default where the model's parameters are.
        progress: show a bar.
        ignore: suppressions, as of ``scan``.

    The accuracy is that of the largest of class scores [N, C, ...], an image's share of right answers where
    it has several. It is None, and a remark says why, where outputs may be something else: a single score,
    targets that no score belongs to, or a loss that isn't lower where the target's class has the largest.

    Cost, in forward passes of a batch without gradients: up to three for each training batch and six for
    each evaluation batch; with harm found, one more of each evaluation batch for up to 16 layers. Memory:
    the evaluation batches, and a copy of the weights.

    Raises:
        TypeError: ``train_batches`` can be read only once, or an argument is of another kind.
        ValueError: an argument is out of range, there is nothing to evaluate, or targets aren't classes and
            there is no ``loss_fn``.
    """
    ignored = check_ignored(ignore)
    smallest = _smallest(smallest_effect)
    if max_batches is not None and (isinstance(max_batches, bool) or max_batches < 1):
        raise ValueError(f"max_batches is {max_batches!r}; allowed: an integer of at least 1, or None")
    check_again(train_batches, "train_batches")
    inside = underlying(model)
    train: Iterable[Any]
    with untouched(inside), undisturbed(inside):
        if eval_batches is None:
            train, held = split(train_batches, max_batches)
        else:
            train = Batches(train_batches, max_batches)
            held = list(islice(iter(eval_batches), max_batches))
        if not held:
            raise ValueError("eval_batches is empty; allowed: at least one batch")
        with Progress(_passes(train, held, eval_batches is not None), progress) as shown:
            passes = Passes(inside, forward, _device(inside, device), shown)
            if not passes.layers:
                return _without(inside, ignored)
            found, remarks = _examine(passes, train, held, eval_batches is None, loss_fn, smallest)
            remarks.append(f"It took {shown.passes} forward passes of a batch.")
    subject = subject_of(inside)
    seen = [*findings("scan", subject), *findings("diagnose", found)]
    return Report(
        "diagnose",
        type(inside).__name__,
        seen,
        len(subject.layers),
        remarks=remarks,
        ignored=ignored,
        layers=found.table(),
        measured=found.arms(),
    )


def _examine(
    passes: Passes,
    train: Iterable[Any],
    held: list[Any],
    held_back: bool,
    loss_fn: LossFunction | None,
    smallest: Mapping[str, float],
) -> tuple[Examination, list[str]]:
    remarks: list[str] = []
    # First what can be refused: the targets' kind shows at the first evaluation batch.
    grading = Grading(loss_fn)
    graders = {MOVING: passes.grade(held, None, grading.grader())}
    layers = {name: of_module(name, module) for name, module in passes.layers.items()}
    untrained = not subject_of(passes.model).trained
    found = Examination(layers, smallest, {}, held_back, untrained=untrained)
    quiet = _precise(passes, train, training=False)
    if quiet.left_out:
        remarks.append(f"{quiet.left_out} of train_batches are in no precise statistics: {quiet.why}.")
    draws = passes.draws(train)
    noisy = _precise(passes, train, training=True).statistics if draws else quiet.statistics
    found.precise = named(noisy, passes.layers)
    found.gaps = {name: gap(layers[name], moments) for name, moments in found.precise.items()}
    graders[PRECISE] = passes.grade(held, noisy, grading.grader())
    if draws:
        graders[QUIET] = passes.grade(held, quiet.statistics, grading.grader())
    by_batch = grading.grader()
    if passes.grade_by_batch(held, by_batch):
        graders[BATCH] = by_batch
    trained = None
    if held_back:
        remarks.append(
            f"There were no eval_batches: harm was measured on {len(held)} training batches that the precise "
            "statistics didn't see, and overfitting can't be told."
        )
    else:
        domain = passes.precise(held, training=False).statistics
        if domain:
            graders[DOMAIN] = passes.grade(held, domain, grading.grader())
        some = list(islice(iter(train), len(held)))
        trained = passes.grade(some, noisy, grading.grader())
    # Only now is it known whether all losses can be taken apart into images.
    found.answers.update((name, grader.answers()) for name, grader in graders.items())
    found.trained = None if trained is None else trained.answers()
    if grading.unmeasured is not None:
        remarks.append(f"Accuracy wasn't measured: {grading.unmeasured}.")
    leak = find_leak(passes, held)
    if isinstance(leak, str):
        remarks.append(leak)
    else:
        found.leak = leak
    cost = found.cost(MOVING, PRECISE)
    if cost is not None and cost.verdict == "harm":
        _attribute(passes, found, held, noisy, grading)
    return found, remarks


def _attribute(
    passes: Passes, found: Examination, held: list[Any], precise: Statistics, grading: Grading
) -> None:
    """Measure what exchanging the statistics of one layer alone wins back."""
    moving = found.answers[MOVING]
    furthest = sorted(found.gaps, key=lambda name: max(found.gaps[name]), reverse=True)[:EXCHANGED]
    passes.expect(len(furthest) * len(held))
    for name in furthest:
        module = passes.layers[name]
        alone = passes.grade(held, {module: precise[module]}, grading.grader()).answers()
        whole = (moving.broken == 0) & (alone.broken == 0)
        loss = float((moving.loss - alone.loss)[whole].mean()) if whole.any() else float("nan")
        accuracy = None
        if alone.accuracy is not None and moving.accuracy is not None:
            accuracy = float(alone.accuracy.mean() - moving.accuracy.mean())
        found.recovered[name] = (loss, accuracy)


def _precise(passes: Passes, batches: Iterable[Any], training: bool) -> Precise:
    found = passes.precise(batches, training)
    if not found.statistics and found.left_out:
        raise ValueError(
            f"train_batches give no statistics: in each of {found.left_out} batches {found.why}; allowed: "
            "batches of at least two images, or of one with several positions"
        )
    if not found.statistics:
        raise ValueError(
            "train_batches reach no batch-norm layer; allowed: batches whose forward calls those of model"
        )
    return found


def _passes(train: Iterable[Any], held: list[Any], evaluated: bool) -> int:
    try:
        batches = len(train)  # type: ignore[arg-type]
    except TypeError:
        batches = len(held)
    return batches * 2 + len(held) * (6 if evaluated else 4) + 4


def _device(model: nn.Module, device: torch.device | str | None) -> torch.device | None:
    if device is not None:
        return torch.device(device)
    return next((parameter.device for parameter in model.parameters()), None)


def _smallest(given: Mapping[str, float] | float | None) -> dict[str, float]:
    if given is None:
        return dict(SMALLEST)
    wanted = given if isinstance(given, Mapping) else {"accuracy": given}
    check_keys("smallest_effect", wanted.keys(), tuple(SMALLEST))
    for name, value in wanted.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
            raise ValueError(f"smallest_effect[{name!r}] is {value!r}; allowed: a number of at least 0")
    return {**SMALLEST, **wanted}


def _without(model: nn.Module, ignored: tuple[str, ...]) -> Report:
    subject = subject_of(model)
    found = findings("scan", subject)
    return Report("diagnose", type(model).__name__, found, len(subject.layers), ignored=ignored)
