"""What training shows: each loop that goes wrong, and the loops that look alike and are meant so."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import bnstudy
from bnstudy import doctor
from tests.doctor.nets import batches, carry_out, net, steps


def watched(run, model=None, rate=0.1, given=True):
    """Watch ``run(model, optimizer)``, and return the report and the history."""
    model = (net() if model is None else model).train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], rate)
    with doctor.watch(model, *([optimizer] if given else [])) as seen:
        run(model, optimizer)
    return seen.report(), seen.history


def plain(model, optimizer):
    steps(model, batches(), optimizer)


def left_in_eval(model, optimizer):
    plain(model, optimizer)
    model.eval()
    plain(model, optimizer)


def eval_from_the_start(model, optimizer):
    model.eval()
    plain(model, optimizer)


def validated_in_training_mode(model, optimizer):
    plain(model, optimizer)
    with torch.no_grad():
        for x, _ in batches(2):
            model(x)
    plain(model, optimizer)


def recomputing(reentrant):
    def run(model, optimizer):
        def call(x):
            return checkpoint(model, x.clone().requires_grad_(), use_reentrant=reentrant)

        steps(model, batches(), optimizer, call)

    return run


def tiny(model, optimizer):
    steps(model, batches(6, size=3), optimizer)


def few_values(model, optimizer):
    steps(model, batches(6, size=16), optimizer)


def with_a_scaler(model, optimizer):
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    for number, (x, y) in enumerate(batches(5)):
        x = x.clone()
        x[0, 0] = torch.nan if number == 2 else 0.0
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(model(x), y)).backward()
        scaler.step(optimizer)
        scaler.update()


def broken_without_a_scaler(model, optimizer):
    plain(model, optimizer)
    x, y = batches(1)[0]
    x[0] = torch.inf
    steps(model, [(x, y)], optimizer)


def mixed(model, optimizer):
    model[4].eval()
    plain(model, optimizer)


LOOPS = {
    "left in eval": (left_in_eval, "left-in-eval", "warning"),
    "in eval from the start": (eval_from_the_start, "left-in-eval", "warning"),
    "validated in training mode": (validated_in_training_mode, "updated-in-validation", "warning"),
    "checkpointing": (recomputing(False), "double-update", "warning"),
    "reentrant checkpointing": (recomputing(True), "double-update", "warning"),
    "three images": (tiny, "tiny-batch", "warning"),
    "sixteen vectors": (few_values, "tiny-batch", "warning"),
    "a skipped step": (with_a_scaler, "non-finite-step", "warning"),
    "a NaN": (broken_without_a_scaler, "non-finite-step", "warning"),
    "two modes": (mixed, "mixed-modes", "warning"),
}


@pytest.mark.parametrize("given", [True, False], ids=["optimiser given", "not given"])
@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_that_goes_wrong_is_named(name, given):
    run, code, severity = LOOPS[name]
    report, _ = watched(run, given=given)
    assert (code, severity) in {(f.code, f.severity) for f in report.findings}, str(report)
    assert watched(plain, given=given)[0].findings == []


def test_the_step_that_broke_is_counted_also_if_it_was_skipped():
    _, history = watched(with_a_scaler)
    assert (history.broken.step, history.broken.skipped, history.skipped, history.steps) == (3, True, 1, 4)
    _, history = watched(broken_without_a_scaler)
    assert (history.broken.step, history.broken.skipped) == (5, False)
    assert history.broken.layers == ("1", "4")


def test_a_small_momentum_s_twin_is_an_inverted_one_where_batches_are_small():
    inverted = watched(lambda m, o: steps(m, batches(4, 32), o), net(0.99))[0]
    assert {(f.code, f.severity) for f in inverted.findings} == {("momentum-inverted", "warning")}
    large = watched(plain, net(0.99))[0]
    assert {(f.code, f.severity) for f in large.findings} == {("momentum-inverted", "note")}
    model = net(0.99)
    for finding in inverted.findings:
        carry_out(finding, model)
    assert [model[1].momentum, model[4].momentum] == pytest.approx([0.01, 0.01])


def freeze(model):
    for layer in model[:2]:
        layer.requires_grad_(False)
    return model


def test_a_frozen_layer_that_updates_is_named_and_the_fix_stops_it():
    model = freeze(net())
    report, _ = watched(plain, model)
    assert [(f.code, f.layer, f.severity) for f in report.findings] == [
        ("frozen-yet-updating", "1", "warning")
    ]

    def fixed(model, optimizer):
        carry_out(report.findings[0], model)
        plain(model, optimizer)

    again, _ = watched(fixed, freeze(net()))
    assert [(f.code, f.severity) for f in again.findings] == [("mixed-modes", "note")]


def siamese(model, optimizer):
    for (x, y), (z, _) in zip(batches(), batches(4, shift=0.5), strict=True):
        optimizer.zero_grad()
        (F.cross_entropy(model(x), y) + model(z).square().mean()).backward()
        optimizer.step()


def accumulated(model, optimizer):
    data = batches(6)
    for first, second in zip(data[::2], data[1::2], strict=True):
        optimizer.zero_grad()
        for x, y in (first, second):
            (F.cross_entropy(model(x), y) / 2).backward()
        optimizer.step()


def inner_loop(model, optimizer):
    for x, y in batches():
        weights = dict(model.named_parameters())
        inner = F.cross_entropy(functional_call(model, weights, x), y)
        gradients = torch.autograd.grad(inner, list(weights.values()), create_graph=True)
        moved = {n: w - 0.01 * g for (n, w), g in zip(weights.items(), gradients, strict=True)}
        optimizer.zero_grad()
        F.cross_entropy(functional_call(model, moved, x), y).backward()
        optimizer.step()


def validated(model, optimizer):
    for _ in range(2):
        plain(model, optimizer)
        model.eval()
        with torch.no_grad():
            for x, _ in batches(2):
                model(x)
        model.train()


def recalibrated_with_torch(model, optimizer):
    plain(model, optimizer)
    torch.optim.swa_utils.update_bn([x for x, _ in batches()], model)
    plain(model, optimizer)


def recalibrated_with_ours(model, optimizer):
    plain(model, optimizer)
    bnstudy.recalibrate(model, batches(), inplace=True)
    model.train()
    plain(model, optimizer)


def deliberately_frozen(model, optimizer):
    for layer in (model[1], model[4]):
        layer.eval().requires_grad_(False)
    plain(model, optimizer)


def frozen_late(model, optimizer):
    plain(model, optimizer)
    deliberately_frozen(model, optimizer)


def adversarial(model, optimizer):
    """Look at gradients in eval mode before each step in training mode."""
    for x, y in batches():
        model.eval()
        x = x.clone().requires_grad_()
        F.cross_entropy(model(x), y).backward()
        model.train()
        steps(model, [(x.detach() + 0.1 * x.grad.sign(), y)], optimizer)


def once_without_gradient(model, optimizer):
    """Pseudo-labels: one forward without gradient before each step."""
    for x, y in batches():
        with torch.no_grad():
            model(x)
        steps(model, [(x, y)], optimizer)


def two_views_without_gradient(model, optimizer):
    for x, y in batches():
        with torch.no_grad():
            model(x), model(x + 0.1)
        steps(model, [(x, y)], optimizer)


MEANT = {
    f.__name__: f
    for f in (
        siamese,
        accumulated,
        inner_loop,
        validated,
        recalibrated_with_torch,
        recalibrated_with_ours,
        deliberately_frozen,
        frozen_late,
        adversarial,
        once_without_gradient,
        two_views_without_gradient,
    )
}


@pytest.mark.parametrize("name", MEANT)
def test_what_is_meant_so_has_no_warning(name):
    report, history = watched(MEANT[name])
    assert report.ok, str(report)
    assert history.steps >= 3


def test_kinds_of_several_updates_are_told_apart():
    def kinds(report):
        return {f.evidence["kind"] for f in report.findings if f.code == "double-update"}

    shared = nn.Sequential(
        *(layer := [nn.Linear(8, 8, bias=False), nn.BatchNorm1d(8)]), *layer, nn.Linear(8, 4)
    )
    assert kinds(watched(siamese)[0]) == {"several"}
    assert kinds(watched(accumulated)[0]) == {"accumulated"}
    assert kinds(watched(plain, shared)[0]) == {"shared"}
    assert kinds(watched(recomputing(False))[0]) == {"checkpointing"}


def test_the_fix_for_checkpointing_gives_the_average_of_one_update_a_step():
    twin, model = net(), net()
    report, _ = watched(recomputing(False), copy.deepcopy(model))
    for finding in report.findings:
        carry_out(finding, model)
    # The weights stand still, so that both averages see the same values.
    watched(plain, twin, rate=0.0)
    watched(recomputing(False), model, rate=0.0)
    assert torch.allclose(model[4].running_mean, twin[4].running_mean, atol=1e-5)


def test_a_teacher_that_follows_is_healthy_and_one_that_stands_still_is_not():
    def run(rate):
        student = net()
        both = nn.ModuleDict({"student": student, "teacher": copy.deepcopy(student).requires_grad_(False)})

        def loop(both, optimizer):
            for x, y in batches():
                with torch.no_grad():
                    for view in (x, x + 0.1):
                        both["teacher"](view)
                steps(both["student"], [(x, y)], optimizer)
                with torch.no_grad():
                    for mean, now in zip(both["teacher"].parameters(), student.parameters(), strict=True):
                        mean.lerp_(now, rate)

        return watched(loop, both)[0]

    assert run(0.1).ok
    assert run(0.0).codes == {"frozen-yet-updating"}


def test_two_optimisers_of_a_gan_are_counted_each_for_its_own():
    generator = nn.Sequential(nn.Linear(4, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8))
    critic = net()
    both = nn.ModuleList([generator, critic]).train()
    first, second = (torch.optim.SGD(m.parameters(), 0.01) for m in (generator, critic))
    with doctor.watch(both, first, second) as seen:
        for number, (x, _) in enumerate(batches(6)):
            with torch.no_grad():
                made = generator(torch.randn(len(x), 4))
            second.zero_grad()
            (critic(made).mean() - critic(x).mean()).backward()
            second.step()
            if number % 3 == 2:
                critic.requires_grad_(False)
                first.zero_grad()
                (-critic(generator(torch.randn(len(x), 4))).mean()).backward()
                first.step()
                critic.requires_grad_(True)
    report = seen.report()
    assert report.ok, str(report)
    records = {record.name: record for record in seen.history.layers}
    assert (records["0.1"].steps, records["1.1"].steps, seen.history.steps) == (2, 6, 8)


def test_a_last_batch_that_is_small_is_a_note():
    def run(model, optimizer):
        steps(model, [*batches(5, 64), *batches(1, 8)], optimizer)

    report, _ = watched(run)
    assert [(f.code, f.severity, f.evidence["smallest"]) for f in report.findings] == [
        ("last-batch", "note", 8)
    ]


def test_a_bias_is_seen_in_the_graph_also_out_of_order():
    class Crossed(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(4)
            self.second, self.first = nn.Linear(4, 4), nn.Linear(8, 4)

        def forward(self, x):
            return self.second(self.norm(self.first(x)))

    report, _ = watched(plain, Crossed())
    assert [f.layer for f in report.findings if f.code == "redundant-bias"] == ["first"]


def test_compiled_modules_are_seen_by_their_counters_and_the_report_says_so():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    compiled = torch.compile(model, backend="eager")
    steps(compiled, batches(), optimizer)
    with doctor.watch(compiled, optimizer) as seen:
        steps(compiled, batches(), optimizer)
        compiled.eval()
        steps(compiled, batches(), optimizer)
    report = seen.report()
    assert "left-in-eval" in report.codes
    assert "compiled" in " ".join(report.remarks)
    assert [(r.windows, r.trained) for r in seen.history.layers] == [(8, 4), (8, 4)]


def test_nothing_stays_behind_and_training_is_the_same_bit_for_bit():
    first, second = net(), net()
    optimizers = [torch.optim.SGD(m.parameters(), 0.1) for m in (first, second)]
    step = torch.amp.GradScaler.step
    with doctor.watch(first, optimizers[0]):
        steps(first, batches(), optimizers[0])
    steps(second, batches(), optimizers[1])
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    for module in first.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert not optimizers[0]._optimizer_step_post_hooks
    assert torch.amp.GradScaler.step is step


def test_a_model_under_ddp_is_seen_as_it_is(tmp_path):
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        model = net().train()
        spread = nn.parallel.DistributedDataParallel(model)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        with doctor.watch(spread, optimizer) as seen:
            steps(spread, batches(), optimizer)
            assert seen.report().findings == []
            spread.eval()
            steps(spread, batches(), optimizer)
        report = seen.report()
    finally:
        torch.distributed.destroy_process_group()
    assert {(f.code, f.layer) for f in report.findings} == {("left-in-eval", "1"), ("left-in-eval", "4")}


def test_an_error_in_the_loop_passes_through_and_hooks_go():
    model = net()
    with pytest.raises(RuntimeError), doctor.watch(model):
        model(torch.randn(4, 3))
    assert not any(m._forward_hooks for m in model.modules())


def test_optimisers_are_checked_and_wrapped_ones_unwrapped():
    class Wrapper:
        def __init__(self, optimizer):
            self.optimizer = optimizer

    with pytest.raises(TypeError, match="optimizers has a int"):
        doctor.watch(net(), 3)
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with doctor.watch(model, Wrapper(optimizer)) as seen:
        steps(model, batches(), optimizer)
    assert seen.history.steps == 4


def test_without_a_step_the_report_says_what_is_missing():
    report, _ = watched(lambda model, _: model(batches(1)[0][0]))
    assert any("No optimiser step was seen" in remark for remark in report.remarks)
