"""``updates="with_step"`` where a forward is no step: checkpointing, skipped steps, skipped layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bnstudy.norm import BatchNorm, apply_updates, convert

torch.set_num_threads(1)


def network(updates: Any) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, momentum=0.5), nn.Linear(3, 2))
    return convert(model, updates=updates)


def averages_by_hand(means: list[Tensor]) -> Tensor:
    moving = torch.zeros(3)
    for mean in means:
        moving = 0.5 * moving + 0.5 * mean
    return moving


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize(("updates", "times"), [("in_place", 2), ("with_step", 1)])
def test_checkpointing_moves_the_averages_twice_unless_with_the_step(
    updates: str, times: int, reentrant: bool
) -> None:
    model = network(updates)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    means = []
    for seed in range(3):
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(seed), requires_grad=True)
        means += [model[0](x).mean(0).detach()] * times
        optimiser.zero_grad()
        checkpoint(model, x, use_reentrant=reentrant).pow(2).sum().backward()
        optimiser.step()
        assert apply_updates(model) == (updates == "with_step")
    torch.testing.assert_close(model[1].moving_mean, averages_by_hand(means))


def scaled_steps(model: nn.Module, absorb: Callable[[bool], None]) -> list[bool]:
    """Train in half precision on data that overflows now and then; return which steps were taken."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**18)
    taken = []
    for seed in range(5):
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(seed))
        x = x * 1e5 if seed in (1, 3) else x  # overflows in half precision
        with torch.autocast("cpu", torch.float16):
            loss = model(x).float().pow(2).mean()
        optimiser.zero_grad()
        before = scaler.get_scale()
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()
        taken.append(scaler.get_scale() >= before)
        absorb(taken[-1])
    return taken


def test_a_step_that_the_scaler_skips_poisons_the_averages_unless_with_the_step() -> None:
    poisoned = network("in_place")
    scaled_steps(poisoned, lambda taken: None)
    assert not poisoned[1].moving_mean.isfinite().all()

    model = network("with_step")
    means: list[Tensor] = []

    def absorb(taken: bool) -> None:
        if taken:
            means.append(model[1].batch_moments.mean)
            assert apply_updates(model) == 1

    taken = scaled_steps(model, absorb)
    assert True in taken
    assert taken[1] is taken[3] is False
    torch.testing.assert_close(model[1].moving_mean, averages_by_hand(means))
    assert model[1].moving_variance.isfinite().all()
    assert model[1].num_batches_tracked == sum(taken)


def test_a_layer_without_a_forward_absorbs_nothing_again() -> None:
    first, second = (BatchNorm(3, decay=0.5, updates="with_step") for _ in range(2))
    model = nn.ModuleList([first, second])
    x = torch.randn(8, 3)
    first(x)
    assert apply_updates(model) == 1  # the second was left out
    second(x)
    assert apply_updates(model) == 1
    assert apply_updates(model) == 0
    for layer in (first, second):
        torch.testing.assert_close(layer.moving_mean, 0.5 * x.mean(0))
    assert apply_updates(nn.Sequential(BatchNorm(3, updates="with_step")).eval()) == 0  # frozen
