"""What "Batch norm in ten minutes" shows: a small network on the embedded digits, looked at from all sides.

All of it is computed when it is first asked for, in seconds on one core, and the same each time.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnstudy.norm import BatchNorm, apply_updates, decay_from_momentum, recalibrate
from bnstudy.norm.averages import Updates
from bnstudy.train.data import load_dataset

CHANNELS = 16
BATCH = 64
STEPS = 120
RATE = 0.1
DECAY = 0.9
# Images of a batch in the first pictures.
SHOWN = 32
CHANNEL = 2
DENSE = 8  # the layers in front of the dense batch norm


class Images(NamedTuple):
    """Images [N, 1, 8, 8], standardised, and labels [N]."""

    x: Tensor
    y: Tensor


def build(updates: Updates = "in_place") -> nn.Sequential:
    """Return a small network from [N, 1, 8, 8] to ten logits, with three batch norms."""
    return nn.Sequential(
        nn.Conv2d(1, CHANNELS, 3, padding=1),
        BatchNorm(CHANNELS, decay=DECAY, updates=updates),
        nn.ReLU(),
        nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, stride=2),
        BatchNorm(CHANNELS, decay=DECAY, updates=updates),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(CHANNELS * 16, 40),
        BatchNorm(40, decay=DECAY, updates=updates),
        nn.ReLU(),
        nn.Linear(40, 10),
    )


@dataclass(frozen=True)
class Axes:
    """One channel of a batch [N, C, H, W]: the shape, and how many means there are of how many values."""

    shape: tuple[int, ...]
    means: int
    values: int


class Lesson:
    """The page's network, its batches, and what each section finds."""

    @cached_property
    def train(self) -> Images:
        """The training images of the embedded digits."""
        return self._images[0]

    @cached_property
    def test(self) -> Images:
        """The test images."""
        return self._images[1]

    @cached_property
    def _images(self) -> tuple[Images, Images]:
        digits = load_dataset("digits")
        # Each of their 8 by 8 pixels was repeated, for networks that take larger images.
        x, test = (
            torch.from_numpy(part[:, ::4, ::4, :1]).permute(0, 3, 1, 2).float()
            for part in (digits.x_train, digits.x_test)
        )
        mean, std = x.mean(), x.std()
        labels = (torch.from_numpy(part).long() for part in (digits.y_train, digits.y_test))
        parts = zip((x, test), labels, strict=True)
        first, second = (Images((images - mean) / std, y) for images, y in parts)
        return first, second

    @cached_property
    def net(self) -> nn.Sequential:
        """The network, trained with averages that absorb every batch."""
        return self._trained("in_place")

    @cached_property
    def forgotten(self) -> nn.Sequential:
        """The same training; the update operations were collected, and nobody ran them."""
        return self._trained("with_step", run_updates=False)

    @cached_property
    def given(self) -> Tensor:
        """What the first batch norm is given by a batch of training images: [SHOWN, C, 8, 8]."""
        with torch.no_grad():
            found: Tensor = self.net[0](self.train.x[:SHOWN])
        return found

    @cached_property
    def axes(self) -> Axes:
        """Over what the first batch norm takes its moments."""
        layer = BatchNorm(CHANNELS).train()
        layer(self.given)
        assert layer.batch_moments is not None
        return Axes(tuple(self.given.shape), layer.batch_moments.mean.numel(), int(layer.batch_moments.count))

    @cached_property
    def dense_axes(self) -> Axes:
        """The same of the dense layer's outputs."""
        with torch.no_grad():
            x = self.net[:DENSE](self.train.x[:SHOWN])
        layer = BatchNorm(x.shape[1]).train()
        layer(x)
        assert layer.batch_moments is not None
        return Axes(tuple(x.shape), layer.batch_moments.mean.numel(), int(layer.batch_moments.count))

    def normalised(self, gamma: float = 1.0, beta: float = 0.0) -> Tensor:
        """Return what batch norm makes of ``given`` in training, with one gamma and beta for all channels."""
        start = {"gamma": gamma, "beta": beta}
        layer = BatchNorm(CHANNELS, scale=True, initializers=start).train()
        with torch.no_grad():
            found: Tensor = layer(self.given)
        return found

    @cached_property
    @torch.no_grad()
    def undoing(self) -> tuple[float, float, float]:
        """The gamma and beta of one channel that give back what came in, and how far off that is at most."""
        layer = BatchNorm(CHANNELS, scale=True).train()
        layer(self.given)
        assert layer.batch_moments is not None
        gamma = (layer.batch_moments.variance + layer.epsilon).sqrt()
        beta = layer.batch_moments.mean
        start = {"gamma": gamma.tolist(), "beta": beta.tolist()}
        undone = BatchNorm(CHANNELS, scale=True, initializers=start).train()(self.given)
        return float(gamma[CHANNEL]), float(beta[CHANNEL]), float((undone - self.given).abs().max())

    @cached_property
    @torch.no_grad()
    def unmoved(self) -> float:
        """How much the output changes, at most, if all that comes in is made ten times as large, plus 100."""
        same = BatchNorm(CHANNELS, epsilon=1e-12).double().train()
        x = self.given.double()
        return float((same(10 * x + 100) - same(x)).abs().max())

    @cached_property
    def company(self) -> tuple[list[float], float]:
        """One number of one test image's output: in training mode among other images, and in evaluation.

        The number is the logit of the image's own class; the other images are each time 31 of the training.
        """
        image, label = self.test.x[:1], int(self.test.y[0])
        net = copy.deepcopy(self.net).train()
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            among = [
                float(net(torch.cat([image, self.train.x[others]]))[0, label])
                for others in (
                    torch.randperm(len(self.train.y), generator=generator)[: SHOWN - 1] for _ in range(24)
                )
            ]
            alone = float(self.net.eval()(image)[0, label])
        return among, alone

    @cached_property
    def of_one_value(self) -> list[float]:
        """What batch norm gives out in training for batches of a single value: of 3 and of 1,000."""
        layer = BatchNorm(1).train()
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore", UserWarning)  # that the output is beta: what is to be shown
            return [float(layer(torch.tensor([[value]]))) for value in (3.0, 1000.0)]

    @cached_property
    def torch_decay(self) -> float:
        """The decay of PyTorch's default, momentum 0.1, which its own layer says."""
        momentum = nn.BatchNorm2d(1).momentum
        assert momentum is not None
        return decay_from_momentum(momentum)

    @cached_property
    def started(self) -> float:
        """What share of its initial value a moving mean of decay 0.999 has left after 100 zeros."""
        layer = BatchNorm(1, decay=0.999, initializers={"moving_mean": 1.0}).double().train()
        for _ in range(100):
            layer(torch.zeros(2, 1, dtype=torch.float64))
        return float(layer.moving_mean)

    @cached_property
    def update_accuracies(self) -> dict[str, float]:
        """Test accuracy, with update operations run and forgotten, and once forgotten ones are made good."""
        repaired = recalibrate(self.forgotten, [self.train.x])
        return {
            "updates run": self.accuracy(self.net),
            "updates forgotten": self.accuracy(self.forgotten),
            "forgotten, but by the test batch": self.accuracy(self.forgotten, by_batch=True),
            "forgotten, recalibrated": self.accuracy(repaired),
        }

    @cached_property
    def weights_apart(self) -> float:
        """How far the weights of the two trainings are apart, at most."""
        pairs = zip(self.net.parameters(), self.forgotten.parameters(), strict=True)
        return max(float((a - b).abs().max().detach()) for a, b in pairs)

    @cached_property
    def scatter(self) -> dict[int, float]:
        """By batch size, how far batch means scatter, in standard deviations of the values.

        Root mean square over the channels of the first batch norm, and over the batches of 40 passes.
        """
        with torch.no_grad():
            x = self.net[0](self.train.x)
        of_image = x.mean(dim=(2, 3))
        apart = (of_image - of_image.mean(0)) / x.transpose(0, 1).flatten(1).std(1)
        generator = torch.Generator().manual_seed(5)
        orders = [torch.randperm(len(apart), generator=generator) for _ in range(40)]
        found = {}
        for size in (2, 4, 8, 16, 32, 64, 128):
            squares = [
                apart[order[: len(order) // size * size]].unflatten(0, (-1, size)).mean(1) ** 2
                for order in orders
            ]
            found[size] = float(torch.cat(squares).mean().sqrt())
        return found

    @cached_property
    def hurts(self) -> dict[str, float]:
        """Test accuracy of the trained network, by what normalises and by how test batches are made."""
        order = torch.randperm(len(self.test.y), generator=torch.Generator().manual_seed(7))
        by_class = torch.argsort(self.test.y, stable=True)
        return {
            "moving averages": self.accuracy(self.net),
            "batches of 32": self.accuracy(self.net, order, by_batch=True),
            "batches of 2": self.accuracy(self.net, order, 2, by_batch=True),
            "batches of 32, sorted by class": self.accuracy(self.net, by_class, by_batch=True),
        }

    def accuracy(
        self, net: nn.Sequential, order: Tensor | None = None, size: int = SHOWN, *, by_batch: bool = False
    ) -> float:
        """Return the share of test images classified right, in evaluation or normalised by the batch.

        ``order``: the test images' indices in the order in which batches of ``size`` take them. By the batch,
        what is left over for a smaller one is left out.
        """
        index = torch.arange(len(self.test.y)) if order is None else order
        if by_batch:
            index = index[: len(index) // size * size]
        net = copy.deepcopy(net).train(by_batch)
        with torch.no_grad():
            hits = [
                net(self.test.x[part]).argmax(1) == self.test.y[part] for part in torch.split(index, size)
            ]
        return float(torch.cat(hits).float().mean())

    def _trained(self, updates: Updates, run_updates: bool = True) -> nn.Sequential:
        with _seeded(0), torch.enable_grad():
            net = build(updates).train()
            optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
            for index in self._batches():
                optimizer.zero_grad()
                F.cross_entropy(net(self.train.x[index]), self.train.y[index]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                if run_updates:
                    apply_updates(net)
        return net.eval()

    def _batches(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(1)
        for _ in range(STEPS):
            yield torch.randperm(len(self.train.y), generator=generator)[:BATCH]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw from a seed of its own meanwhile, and leave the caller's as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def histogram(values: Tensor, edges: np.ndarray) -> np.ndarray:
    """Return the share of values in each bin."""
    counts, _ = np.histogram(values.numpy().ravel(), edges)
    return counts / values.numel()
