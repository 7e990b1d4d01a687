"""Public threads: what happened there, as the smallest case of our own, and what the doctor says."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import bnstudy
from bnstudy import BatchNorm, doctor
from tests.doctor.nets import batches, net, steps, trained


def watched(model, run):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    with doctor.watch(model.train(), optimizer) as seen:
        run(model, optimizer)
    return seen.report()


def recomputed_with_momentum_zero():
    model = trained().train()
    for layer in (model[1], model[4]):
        layer.reset_running_stats()
        layer.momentum = 0.0
    with torch.no_grad():
        for x, _ in batches():
            model(x)
    return doctor.scan(model.eval())


def tensorflow_s_decay_copied():
    return watched(net(0.99), lambda m, o: steps(m, batches(8, 32), o))


def subtracted_checkpoints():
    model, base = trained(), net()
    for target, other in zip(model.buffers(), base.buffers(), strict=True):
        target.sub_(other)
    model[1].running_var.sub_(model[1].running_var.max())
    return doctor.scan(model)


def nan_in_a_skipped_step():
    def run(model, optimizer):
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
        x, y = batches(1)[0]
        x[0] = torch.nan
        scaler.scale(F.cross_entropy(model(x), y)).backward()
        scaler.step(optimizer)
        scaler.update()

    return watched(net(), run)


def update_operations_forgotten():
    model = nn.Sequential(nn.Linear(8, 16), BatchNorm(16, updates="with_step"), nn.ReLU(), nn.Linear(16, 4))
    steps(model.train(), batches())  # and no apply_updates(model)
    return doctor.scan(model)


def trainables_saved():
    return doctor.compare(trained(), dict(trained().named_parameters()))


def eval_left_on_after_validation():
    def run(model, optimizer):
        steps(model, batches(), optimizer)
        model.eval()
        model(batches(1)[0][0])
        steps(model, batches(), optimizer)

    return watched(net(), run)


def freeze_undone_by_train():
    model = net()
    for layer in model[:2]:
        layer.eval().requires_grad_(False)
    return watched(model, lambda m, o: steps(m.train(), batches(), o))


def frozen_features_change():
    features = net()[:6].requires_grad_(False)
    model = nn.Sequential(features, nn.Linear(16, 4))

    def run(model, optimizer):
        for x, y in batches():
            with torch.no_grad():
                seen = model[0](x)
            optimizer.zero_grad()
            F.cross_entropy(model[1](seen), y).backward()
            optimizer.step()

    return watched(model, run)


def tracking_switched_off():
    model = trained()
    for layer in (model[1], model[4]):
        layer.track_running_stats = False
    return doctor.scan(model)


def checkpointing_updates_twice():
    def run(model, optimizer):
        steps(model, batches(), optimizer, lambda x: checkpoint(model, x, use_reentrant=False))

    return watched(net(), run)


def patched_copies_learn():
    """The inner loop's copy has the statistics, and the model that is evaluated has those of the start."""
    model = net()
    inner = copy.deepcopy(model)
    steps(inner, batches())
    with torch.no_grad():
        for target, source in zip(model.parameters(), inner.parameters(), strict=True):
            target.copy_(source)
    return doctor.scan(model.eval())


def averaged_without_update_bn():
    model = net()
    average = torch.optim.swa_utils.AveragedModel(model)
    optimizer = None
    for batch in batches(6):
        optimizer = steps(model, [batch], optimizer)
        average.update_parameters(model)
    return doctor.compare(model, average.module, "average")


def clients_averaged_without_buffers():
    server = trained()
    clients = [copy.deepcopy(server).train() for _ in range(2)]
    for shift, client in enumerate(clients):
        steps(client, batches(4, shift=shift))
    new = copy.deepcopy(server)
    with torch.no_grad():
        for target, *sources in zip(new.parameters(), *(c.parameters() for c in clients), strict=True):
            target.copy_(torch.stack(sources).mean(0))
    return doctor.compare(server, new)


def gradients_accumulated():
    def run(model, optimizer):
        for x, y in batches():
            optimizer.zero_grad()
            for part, labels in zip(x.chunk(2), y.chunk(2), strict=True):
                F.cross_entropy(model(part), labels).backward()
            optimizer.step()

    return watched(net(), run)


def average_skips_buffers():
    model = net()
    average = copy.deepcopy(model)
    steps(model, batches(20))
    with torch.no_grad():
        for mean, now in zip(average.parameters(), model.parameters(), strict=True):
            mean.lerp_(now, 0.5)
    return doctor.compare(model, average, "average")


def batches_of_one():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 4))

    def run(model, optimizer):
        steps(model, [(torch.randn(1, 1, 8, 8), torch.randint(4, (1,))) for _ in range(4)], optimizer)

    return watched(model, run)


def ranks_differ():
    first, second = trained().train(), trained().train()
    with torch.no_grad():
        for (x, _), (z, _) in zip(batches(10), batches(10, shift=3.0), strict=True):
            first(x), second(z)
    return doctor.compare(first, second)


def export_trains():
    return doctor.compare(trained(), trained().train(), "export")


def evaluated_iterate_was_never_trained():
    """Schedule-free: gradients are taken at other weights than those that are evaluated."""
    model = trained()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.25 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    return doctor.diagnose(model, batches(8), batches(12)[8:], progress=False)


def statistics_of_each_test_batch():
    model = trained()
    model[1].train = lambda mode=True: model[1]
    model[1].training = True
    return doctor.diagnose(model, batches(8), batches(12)[8:], progress=False)


THREADS = {
    "Lightning-AI/pytorch-lightning#14866": (recomputed_with_momentum_zero, "momentum-zero"),
    "r9y9/tacotron_pytorch#19": (tensorflow_s_decay_copied, "momentum-inverted"),
    "pytorch/pytorch#106605": (subtracted_checkpoints, "negative-variance"),
    "pytorch/pytorch#88474": (nan_in_a_skipped_step, "non-finite-step"),
    "tensorflow/tensorflow#11965": (update_operations_forgotten, "never-updated"),
    "tinghuiz/SfMLearner#17": (trainables_saved, "missing-buffers"),
    "hiwonjoon/tf-frrn#2": (trainables_saved, "missing-buffers"),
    "wkentaro/pytorch-fcn#57": (eval_left_on_after_validation, "left-in-eval"),
    "pgniewko/gt-pyg#112": (freeze_undone_by_train, "frozen-yet-updating"),
    "Lightning-AI/pytorch-lightning#18930": (freeze_undone_by_train, "frozen-yet-updating"),
    "pytorch/pytorch#86590": (frozen_features_change, "frozen-yet-updating"),
    "lightly-ai/lightly#1438": (frozen_features_change, "frozen-yet-updating"),
    "Lightning-AI/pytorch-lightning#15062": (tracking_switched_off, "tracking-off"),
    "pytorch/pytorch#96136": (checkpointing_updates_twice, "double-update"),
    "facebookresearch/higher#55": (patched_copies_learn, "never-updated"),
    "mosaicml/composer#624": (averaged_without_update_bn, "old-statistics"),
    "SymbioticLab/FedScale#57": (clients_averaged_without_buffers, "old-statistics"),
    "open-mmlab/mmcv#1869": (gradients_accumulated, "double-update"),
    "odegeasslbc/FastGAN-pytorch#4": (average_skips_buffers, "old-statistics"),
    "pytorch/pytorch#4534": (batches_of_one, "tiny-batch"),
    "facebookresearch/fvcore#152": (ranks_differ, "rank-mismatch"),
    "pytorch/pytorch#115715": (export_trains, "mixed-modes"),
    "facebookresearch/schedule_free#60": (evaluated_iterate_was_never_trained, "statistics-harm"),
    "openai/coinrun#17": (statistics_of_each_test_batch, "batch-leak"),
}


@pytest.mark.parametrize("thread", THREADS)
def test_the_doctor_names_what_the_thread_was_about(thread):
    run, code = THREADS[thread]
    report = run()
    assert code in report.codes, str(report)
    (first, *_) = [f for f in report.findings if f.code == code]
    assert first.fix


def test_folded_batch_norm_without_its_shift_is_seen_in_the_answers():
    """xilinx/brevitas#388: a fold that is wrong can't be compared layer by layer; the report says so."""
    model = trained()
    folded = nn.Sequential(*[nn.Identity() if isinstance(m, nn.BatchNorm1d) else m for m in trained()])
    report = doctor.compare(model, folded, "export")
    assert any("Compare the outputs" in remark for remark in report.remarks)


def test_padding_in_the_statistics_can_t_be_seen_and_recalibration_on_masked_batches_is_the_way():
    """pytorch/pytorch#70529: padded positions are values like any others, in precise statistics too."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(4, 6, 1), nn.BatchNorm1d(6), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 4)
    )
    data = []
    for _ in range(6):
        x = torch.randn(32, 4, 10) + 2
        x[:, :, 6:] = 0.0
        data.append((x, torch.randint(4, (32,))))
    steps(model, data * 3)
    report = doctor.diagnose(model, data, data, progress=False)
    assert all(f.severity == "note" for f in report.findings if f.code == "statistics-harm")
    assert bnstudy.recalibrate(model, data) is not model
