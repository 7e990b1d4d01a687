"""Precise statistics of whole models, against float64 recomputation and PyTorch's ``update_bn``."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.optim.swa_utils import update_bn
from torch.testing._internal.distributed.fake_pg import FakeStore

from bnstudy import recalibrate
from bnstudy.norm import BatchNorm, apply_updates

torch.set_num_threads(1)


def network(norm: Any = nn.BatchNorm1d, **options: Any) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 3), norm(3, **options), nn.Dropout(0.5), nn.Linear(3, 2), norm(2, **options)
    )


def batches(sizes: list[int], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    # Batches whose means lie apart: a mean of the batches' variances is not the variance.
    return [torch.randn(n, 4, generator=generator) + i % 3 for i, n in enumerate(sizes)]


def truth(model: nn.Module, data: list[Tensor]) -> list[np.ndarray]:
    """Return [mean, variance] of each layer's inputs in float64, each batch normalised by itself."""
    first, norm, _, second, _ = model.double().children() if isinstance(model, nn.Sequential) else ()
    reach: tuple[list[Tensor], list[Tensor]] = ([], [])
    for x in data:
        reach[0].append(z := first(x.double()))
        z = (z - z.mean(0)) / (z.var(0, correction=0) + norm.eps).sqrt()
        z = z if norm.weight is None else z * norm.weight
        reach[1].append(second(z if norm.bias is None else z + norm.bias))
    every = [torch.cat(values).detach().numpy() for values in reach]
    return [np.stack([values.mean(0), values.var(0)]) for values in every]


def found(model: nn.Sequential) -> list[np.ndarray]:
    return [torch.stack([model[i].running_mean, model[i].running_var]).numpy() for i in (1, 4)]


def assert_equal(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(2, 9), min_size=1, max_size=6),
    norm=st.sampled_from([nn.BatchNorm1d, nn.SyncBatchNorm, BatchNorm]),
    training=st.booleans(),
)
def test_equals_the_moments_of_all_values_in_float64(sizes: list[int], norm: Any, training: bool) -> None:
    model, data = network(norm).train(training), batches(sizes)
    for value, expected in zip(
        found(recalibrate(model, data)), truth(copy.deepcopy(model), data), strict=True
    ):
        np.testing.assert_allclose(value, expected, rtol=2e-6, atol=1e-6)


def test_is_a_million_times_closer_than_update_bn() -> None:
    model, data = network().double(), batches([64] * 20 + [3])
    theirs = copy.deepcopy(model)
    update_bn(data := [x.double() for x in data], theirs)
    [exact, _] = truth(copy.deepcopy(model), data)
    ours, other = (np.abs(found(m)[0][1] / exact[1] - 1).max() for m in (recalibrate(model, data), theirs))
    assert other > 1e-2
    assert ours < 1e-6 * other


def state(model: nn.Module) -> dict[str, Any]:
    return {
        "tensors": {k: v.clone() for k, v in model.state_dict().items()},
        "modes": [m.training for m in model.modules()],
        "hooks": [len(m._forward_hooks) for m in model.modules()],
        "momenta": [getattr(m, "momentum", None) for m in model.modules()],
    }


def assert_same(model: nn.Module, before: dict[str, Any], but: str = "nothing") -> None:
    after = state(model)
    for key, value in before["tensors"].items():
        assert torch.equal(after["tensors"][key], value) or but in key
    assert all(after[name] == before[name] for name in ("modes", "hooks", "momenta"))


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("norm", [nn.BatchNorm1d, BatchNorm])
def test_changes_nothing_but_the_statistics(inplace: bool, norm: Any) -> None:
    model = network(norm)
    model[1].eval()  # frozen
    model(batches([8])[0])
    before = state(model)
    result = recalibrate(model, batches([8, 5]), inplace=inplace)
    assert (result is model) is inplace
    assert_same(result, before, but="running_")
    if not inplace:
        assert_same(model, before)
    assert not torch.equal(result[1].running_var, before["tensors"]["1.running_var"])


def test_a_model_of_batches_of_any_kind() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, image: Tensor, unused: Tensor | None = None) -> Tensor:
            out: Tensor = self.inner(image)
            return out

        def train(self, mode: bool = True) -> Named:
            raise AssertionError("not asked for")

    data = batches([6, 4])
    expected = found(recalibrate(network(), data))
    given_as: list[tuple[list[Any], Any]] = [
        ([(x, torch.zeros(1)) for x in data], None),
        ([[x] for x in data], None),
        ([{"image": x} for x in data], None),
        ([{"pixels": x} for x in data], lambda model, batch: (model(image=batch["pixels"]), None)),
    ]
    for given_batches, forward in given_as:
        model = recalibrate(Named(), given_batches, forward=forward)
        assert_equal(found(model.inner), expected)


def test_a_compiled_model_is_seen_through() -> None:
    data = batches([6, 4])
    compiled = torch.compile(network(), backend="eager")
    compiled(data[0])
    assert_equal(found(recalibrate(compiled, data)._orig_mod), found(recalibrate(network(), data)))


def test_padding_counts_for_nothing_and_channels_may_be_last() -> None:
    layer = BatchNorm(3, data_format="NHWC")
    x = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([5, 2, 4, 1])[:, None] > torch.arange(5)
    data = [(x[:3], mask[:3]), (x[3:], mask[3:])]
    layer = recalibrate(layer, data, forward=lambda model, batch: model(*batch))
    kept = x[mask].double().numpy()
    np.testing.assert_allclose(layer.moving_mean, kept.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, kept.var(0), rtol=1e-5)


@pytest.mark.parametrize("options", [{"zero_debias": True}, {"renorm": True}, {"updates": "with_step"}])
def test_training_goes_on_from_the_precise_statistics(options: dict[str, Any]) -> None:
    data = batches([16, 12])
    model = nn.Sequential(BatchNorm(4, decay=0.9, **options))
    layer = model[0]
    for _ in range(3):
        model(data[0] * 3)
        apply_updates(model)
    model(data[0])
    recalibrate(model, data, inplace=True)
    mean, variance = layer.moving_mean.clone(), layer.moving_variance.clone()
    apply_updates(model)  # of the forward in training, not of those that calibrate
    if options.get("updates") == "with_step":
        torch.testing.assert_close(layer.moving_mean, 0.9 * mean + 0.1 * data[0].mean(0))
    else:
        model(x := data[1])
        steps = 5
        # A debiased average of decay d after t steps weighs 1 - d^t.
        old, new = (1 - 0.9 ** (steps - 1), 0.1) if options.get("zero_debias") else (0.9, 0.1)
        total = 1 - 0.9**steps if options.get("zero_debias") else 1.0
        torch.testing.assert_close(
            layer.moving_mean, (old * (1.0 if total == 1.0 else 0.9) * mean + new * x.mean(0)) / total
        )
    assert (layer.moving_variance - variance).abs().max() < 0.5 * variance.max()


def test_what_can_not_be_recalibrated_is_named_and_left() -> None:
    model = network()
    before = state(model)
    with pytest.raises(ValueError, match="no batch-norm layer with running statistics"):
        recalibrate(nn.Linear(2, 2), batches([3]))
    with pytest.raises(ValueError, match="batches is empty"):
        recalibrate(model, [], inplace=True)
    with pytest.raises(TypeError, match="forward is 3; allowed"):
        recalibrate(model, batches([3]), forward=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"not finite in \['1', '4'\]"):
        recalibrate(model, [batches([3])[0], torch.full((2, 4), torch.inf)], inplace=True)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        recalibrate(model, [torch.zeros(2, 5)], inplace=True)
    with pytest.raises(ValueError, match="layer '0' is lazy"):
        recalibrate(nn.Sequential(nn.LazyBatchNorm1d()), batches([3]))
    assert_same(model, before)
    with pytest.warns(UserWarning, match=r"no batch reaches \['4'\]"):
        half = recalibrate(model, batches([3]), forward=lambda m, x: m[1](m[0](x)))
    assert torch.equal(half[4].running_var, torch.ones(2))


def test_layers_that_several_processes_share_are_named() -> None:
    # One process of a group of two: to know its size is all that it takes.
    torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    try:
        with pytest.raises(
            RuntimeError, match="layer '1' is a SyncBatchNorm among 2 processes; allowed: one"
        ):
            recalibrate(network(nn.SyncBatchNorm), batches([3]))
        recalibrate(network(), batches([3]))
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.SyncBatchNorm])
def test_a_last_batch_of_one_row_counts_as_one_row(norm: Any) -> None:
    model, data = network(norm), batches([6, 5, 1])
    model[1].register_forward_hook(lambda layer, args, output: shapes.append(tuple(output.shape)))
    shapes: list[tuple[int, ...]] = []
    with pytest.warns(UserWarning, match=r"one value a channel at \['1', '4'\]"):
        calibrated = recalibrate(model, data)
    assert shapes == [(6, 3), (5, 3), (1, 3)]
    for value, expected in zip(found(calibrated), truth(copy.deepcopy(model), data), strict=True):
        np.testing.assert_allclose(value, expected, rtol=2e-6, atol=1e-6)


def test_what_half_precision_can_not_hold_is_named() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4)).half()
    before = state(model)
    x = batches([8])[0].half() * 1000
    assert float(x.double().var(0).max()) > torch.finfo(torch.float16).max
    with pytest.raises(ValueError, match=r"in '0', which its torch.float16 statistics can't hold"):
        recalibrate(model, [x], inplace=True)
    assert_same(model, before)
    assert bool(recalibrate(model, [x / 100])[0].running_var.isfinite().all())


@pytest.mark.filterwarnings("ignore:.torch.nn.utils.weight_norm:FutureWarning")
@pytest.mark.parametrize("old", ["weight_norm", "spectral_norm", "prune"])
def test_a_model_that_can_not_be_copied_names_inplace(old: str) -> None:
    model, data = network(), batches([6, 4])
    if old == "prune":
        prune.l1_unstructured(model[0], "weight", amount=0.5)
    else:
        getattr(nn.utils, old)(model[0])
    model(data[0])
    with pytest.raises(RuntimeError, match=r"can't be copied: .*; allowed: inplace=True"):
        recalibrate(model, data)
    reached = torch.cat([model.eval()[0](x) for x in data]).detach().double()
    recalibrate(model, data, inplace=True)
    torch.testing.assert_close(model[1].running_mean.double(), reached.mean(0), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_scripted_model_is_said_to_be_one() -> None:
    with pytest.raises(ValueError, match=r"layer '1' is scripted.*; allowed: the model before torch.jit"):
        recalibrate(torch.jit.script(network().eval()), batches([3]))
