"""Probes in the loops of Lightning, transformers and accelerate, and on models of timm and transformers.

They need ``pip install bnstudy[frameworks]``, which ``make test`` doesn't install and ``.ci/run`` does.
"""

from __future__ import annotations

import copy
import os
import warnings
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.optimizer import _global_optimizer_pre_hooks
from torch.utils.data import DataLoader

from bnstudy.frameworks import lightning_callback, transformers_callback
from bnstudy.frameworks.hooks import Hooks
from bnstudy.probes import (
    ActivationDrift,
    Gaussianity,
    GradientHealth,
    InternalCovariateShift,
    MicroBatches,
    StatisticsGap,
    every,
)
from tests.straightforward import Straightforward

pytestmark = pytest.mark.frameworks

os.environ["HF_HUB_OFFLINE"] = "1"


def framework(name):
    if os.environ.get("BNSTUDY_REQUIRE_FRAMEWORKS"):
        return __import__(name, fromlist=["*"])
    return pytest.importorskip(name, reason="pip install 'bnstudy[frameworks]'")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def pairs(count=4, n=6):
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(n, 4, generator=generator), torch.randint(3, (n,), generator=generator))
        for _ in range(count)
    ]


def by_hand(model, batches, per_step, *probes):
    """The same training in a plain loop, with the probes around whole steps."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    hooks = Hooks(probes)
    for i in range(0, len(batches), per_step):
        step = batches[i : i + per_step]
        hooks.begin(*step)
        optimizer.zero_grad()
        for x, y in step:
            (F.cross_entropy(model(x), y) / per_step).backward()
        optimizer.step()
        hooks.end()
    return probes


def lightning_module(lightning, model, manual=False):
    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = model
            self.automatic_optimization = not manual

        def forward(self, x):
            return self.model(x)

        def training_step(self, batch, index):
            x, y = batch
            loss = F.cross_entropy(self(x), y)
            self.log("loss", loss)
            if manual:
                optimizer = self.optimizers()
                optimizer.zero_grad()
                self.manual_backward(loss)
                optimizer.step()
                return None
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    return Module()


def fit(lightning, module, callbacks, tmp_path, **how):
    from lightning.pytorch.loggers import CSVLogger

    how = {"max_epochs": 1, "logger": False, **how}
    if how["logger"] is True:
        how["logger"] = CSVLogger(tmp_path, flush_logs_every_n_steps=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            accelerator="cpu",
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
            **how,
        )
        trainer.fit(module, DataLoader(pairs(), batch_size=None))
    return trainer


@pytest.mark.parametrize("per_step", [1, 2])
def test_lightning_measures_what_a_plain_loop_measures_and_trains_as_without(tmp_path, per_step):
    lightning = framework("lightning.pytorch")
    module, plain = (lightning_module(lightning, network()) for _ in range(2))
    probes = [
        InternalCovariateShift(module.model, F.cross_entropy),
        ActivationDrift(module),
        GradientHealth(module.model),
    ]
    fit(lightning, module, [lightning_callback(probes)], tmp_path, accumulate_grad_batches=per_step)
    fit(lightning, plain, [], tmp_path, accumulate_grad_batches=per_step)
    assert all(map(torch.equal, module.state_dict().values(), plain.state_dict().values()))

    twin = network()
    shift, drift, health = by_hand(
        twin,
        pairs(),
        per_step,
        InternalCovariateShift(twin, F.cross_entropy),
        ActivationDrift(twin),
        GradientHealth(twin),
    )
    assert [probe.step for probe in probes] == [4 // per_step] * 3
    for probe, other in zip(probes, (shift, drift, health), strict=True):
        frame, expected = probe.frame(), other.frame()
        frame["layer"] = frame["layer"].str.removeprefix("model.")
        assert frame.drop(columns="value").equals(expected.drop(columns="value"))
        assert frame.value.to_numpy() == pytest.approx(expected.value.to_numpy(), rel=1e-5, abs=1e-7)
    assert (probes[0].frame().query("layer == '3' and quantity == 'ics'").value > 0).all()


def test_lightning_logs_what_was_measured_at_its_step(tmp_path):
    lightning = framework("lightning.pytorch")
    module = lightning_module(lightning, network(), manual=True)
    probe, seen = GradientHealth(module, schedule=every(3)), []
    told = GradientHealth(module)
    callbacks = [lightning_callback(probe), lightning_callback(told, log=lambda s, n: seen.append((n, s)))]
    trainer = fit(lightning, module, callbacks, tmp_path, logger=True, log_every_n_steps=1)
    logged = pd.read_csv(Path(trainer.logger.log_dir) / "metrics.csv").dropna(
        subset="gradient_health/total_norm"
    )
    totals = probe.frame().query("quantity == 'total_norm'")
    assert totals.step.tolist() == logged.step.tolist() == [1, 4]
    assert logged["gradient_health/total_norm"].to_numpy() == pytest.approx(totals.value.to_numpy())
    assert [n for n, _ in seen] == [1, 2, 3, 4]


def test_lightning_s_own_precision_is_that_of_the_passes(tmp_path):
    lightning = framework("lightning.pytorch")
    module = lightning_module(lightning, network())
    probe = ActivationDrift(module, layers="model.3", schedule=every(9))
    fit(lightning, module, [lightning_callback(probe)], tmp_path, precision="bf16-mixed")
    model, (x, _) = network(), pairs()[0]
    with torch.autocast("cpu", torch.bfloat16):
        half = model(x)
    spread = half.float().var(0, correction=0).mean().sqrt().item()
    got = probe.frame().query("quantity == 'output_std'").value.item()
    assert got == pytest.approx(spread, rel=1e-6)
    assert got != pytest.approx(model(x).var(0, correction=0).mean().sqrt().item(), rel=1e-6)


def test_an_error_in_lightning_s_step_leaves_the_probe_as_it_was(tmp_path):
    lightning = framework("lightning.pytorch")
    module = lightning_module(lightning, network())

    def failing(*batch):
        raise KeyError("in the step")

    module.training_step = failing
    probe = InternalCovariateShift(module, F.cross_entropy)
    with pytest.raises(KeyError, match="in the step"):
        fit(lightning, module, [lightning_callback(probe)], tmp_path)
    assert probe.step == 0
    assert not _global_optimizer_pre_hooks


def classifier():
    transformers = framework("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=12,
        num_labels=3,
        hidden_dropout_prob=0.1,
    )
    return transformers.BertForSequenceClassification(config)


def texts(count=8):
    generator = torch.Generator().manual_seed(1)
    return [
        {
            "input_ids": torch.randint(20, (6,), generator=generator),
            "labels": torch.randint(3, (), generator=generator),
        }
        for _ in range(count)
    ]


def loss_of(model, batch):
    return model(**batch).loss, None


def test_a_transformers_model_with_dict_batches_equals_the_straightforward_way():
    model = classifier()
    batch = torch.utils.data.default_collate(texts(4))
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    shift = InternalCovariateShift(model, None, forward=loss_of)
    plain = InternalCovariateShift(model, lambda out, y: F.cross_entropy(out.logits, y))
    drift, shape = ActivationDrift(model), Gaussianity(model)
    twin = Straightforward(model)
    with shift(batch), plain(inputs, batch["labels"]), drift(inputs), shape(inputs):
        model(**batch).loss.backward()
        optimizer.step()

    class Called(nn.Module):
        """The twin calls its model with one positional input."""

        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, batch):
            return self.model(**batch)

    twin.before = Called(twin.before)
    expected = twin.shift(Called(model), lambda out, _: out.loss, batch, None)
    frame = shift.frame()
    assert frame.layer.nunique() > 10
    for row in frame.itertuples():
        value = expected[f"model.{row.layer}"][row.quantity]
        assert row.value == pytest.approx(value, rel=1e-4, abs=1e-6), (row.layer, row.quantity)
    assert plain.frame().value.to_numpy() == pytest.approx(frame.value.to_numpy(), rel=1e-5, abs=1e-7)
    for probe in (drift, shape):
        assert {"bert.embeddings.LayerNorm", "classifier"} <= set(probe.frame().layer)


@pytest.mark.parametrize("per_step", [1, 2])
def test_transformers_trainer_measures_every_step_and_trains_as_without(tmp_path, per_step):
    transformers = framework("transformers")

    def train(model, callbacks):
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path),
            per_device_train_batch_size=2,
            gradient_accumulation_steps=per_step,
            max_steps=2,
            report_to=[],
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
            seed=3,
            learning_rate=0.01,
            lr_scheduler_type="constant",
        )
        trainer = transformers.Trainer(model, arguments, train_dataset=texts(), callbacks=callbacks)
        trainer.train()
        return model

    model, logged = classifier(), []
    start = copy.deepcopy(model)
    probes = [
        InternalCovariateShift(model, None, forward=loss_of, layers="*LayerNorm"),
        ActivationDrift(model, forward=loss_of, layers="classifier"),
        GradientHealth(model),
    ]
    callback = transformers_callback(probes, log=lambda scalars, step: logged.append((step, len(scalars))))
    ended = train(model, [callback])
    plain = train(copy.deepcopy(start), [])
    assert all(map(torch.equal, ended.state_dict().values(), plain.state_dict().values()))
    assert [probe.step for probe in probes] == [2, 2, 2]
    assert [step for step, _ in logged] == [1, 2]
    for probe in probes:
        assert set(probe.frame().step) == {1, 2}
    health = probes[2].frame().query("quantity == 'total_norm'").value
    assert (health > 0).all()
    assert (probes[0].frame().query("quantity == 'ics'").value > 0).any()
    assert not model._forward_pre_hooks


@pytest.mark.parametrize("per_step", [1, 2])
def test_accelerate_needs_nothing_but_the_with_statement(per_step):
    accelerate = framework("accelerate")
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=per_step)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(pairs(), batch_size=None)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    shift, health = InternalCovariateShift(model, F.cross_entropy), GradientHealth(model)
    for x, y in loader:
        with shift(x, y), health(), accelerator.accumulate(model):
            accelerator.backward(F.cross_entropy(model(x), y))
            optimizer.step()
            optimizer.zero_grad()
    twin = network()
    expected = by_hand(
        twin, pairs(), per_step, InternalCovariateShift(twin, F.cross_entropy), GradientHealth(twin)
    )
    for probe, other in zip((shift, health), expected, strict=True):
        assert probe.step == other.step == 4 // per_step
        assert probe.frame().value.to_numpy() == pytest.approx(
            other.frame().value.to_numpy(), rel=1e-5, abs=1e-7
        )


@pytest.mark.parametrize("name", ["resnet10t", "convnext_atto", "test_efficientnet"])
def test_networks_of_timm_are_measured_layer_by_layer(name):
    timm = framework("timm")
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=5)
    x, y = torch.randn(2, 3, 32, 32), torch.tensor([1, 3])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    some = [n for n, m in model.named_modules() if next(m.parameters(recurse=False), None) is not None]
    chosen = some[-4:]
    shift = InternalCovariateShift(model, F.cross_entropy, layers=chosen)
    drift, shape, health = (
        ActivationDrift(model),
        Gaussianity(model, values_per_unit=None),
        GradientHealth(model),
    )
    gap = StatisticsGap(model, [x])
    inputs = {}
    norm = next(m for m in model.modules() if isinstance(m, (nn.BatchNorm2d, nn.LayerNorm)))

    def keep(module, args):
        inputs.setdefault("x", args[0].detach().clone())

    handle = norm.register_forward_pre_hook(keep)
    with warnings.catch_warnings():
        # On so few positions some axes have the length of others, and are guessed.
        warnings.simplefilter("ignore")
        with shift(x, y), drift(x), shape(x), health(), gap():
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    handle.remove()
    assert set(shift.frame().layer) == set(chosen)
    assert set(drift.frame().layer) == set(some)
    assert set(health.frame().layer) - {""} == set(some)
    assert bool(len(gap.frame())) == any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    axes = (0, 2, 3) if isinstance(norm, nn.BatchNorm2d) else (1,)
    z = inputs["x"].double()
    z = (z - z.mean(axes, keepdim=True)) / (z.var(axes, correction=0, keepdim=True) + norm.eps).sqrt()
    skewness = ((z - z.mean((0, 2, 3), keepdim=True)) / z.std((0, 2, 3), correction=0, keepdim=True)) ** 3
    expected = skewness.mean((0, 2, 3)).abs().mean().item()
    (where,) = (n for n, m in model.named_modules() if m is norm)
    frame = shape.frame()
    rows = frame[(frame.layer == where) & (frame.quantity == "normalised_skewness")]
    got = rows.value.item()
    assert got == pytest.approx(expected, rel=1e-3)


def test_what_is_no_probe_is_named():
    with pytest.raises(TypeError, match=r"probes has a Linear; allowed: probes of bnstudy\.probes"):
        Hooks([nn.Linear(1, 1)])


def test_hooks_take_micro_batches_and_forget_a_step_that_never_ended():
    model = network()
    probe = InternalCovariateShift(model, F.cross_entropy)
    hooks = Hooks(probe)
    hooks.begin(MicroBatches(pairs(2)))
    hooks.begin(pairs(1)[0])
    F.cross_entropy(model(pairs(1)[0][0]), pairs(1)[0][1]).backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    hooks.end()
    hooks.end()
    assert probe.step == probe.measured == 1
