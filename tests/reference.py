"""The article's network by hand, in plain PyTorch operations: what a run of it must give."""

from __future__ import annotations

from contextlib import contextmanager

import torch
from torch.nn import functional as F

EPSILON = 1e-3


def forward(net, x, statistics=None, count=None):
    """Return the logits of a lone `ArticleNet` and what normalised each layer, [(mean, variance), ...].

    Without `statistics`, those are the moments of the first `count` images of `x` (None: of all).
    """
    used = []
    for i, block in enumerate(net.blocks):
        x = F.conv2d(x, block.conv.weight.detach(), block.conv.bias.detach(), padding=1)
        if statistics is None:
            part = x[:count]
            mean, variance = part.mean((0, 2, 3)), part.var((0, 2, 3), unbiased=False)
        else:
            mean, variance = statistics[i]
        used.append((mean, variance))
        x = (x - mean[:, None, None]) / (variance[:, None, None] + EPSILON).sqrt()
        x = F.relu(x + block.norm.beta.detach()[:, None, None])
        x = F.max_pool2d(x, 2) if i < 4 else x
    return x.mean((2, 3)), used


def fresh(net):
    """Return where moving averages start."""
    return [(torch.zeros_like(b.norm.beta).detach(), torch.ones_like(b.norm.beta)) for b in net.blocks]


def averaged(averages, moments, decay=0.9):
    """Return the moving averages after they absorb the moments of a batch."""
    return [
        tuple(decay * old + (1 - decay) * new for old, new in zip(average, batch, strict=True))
        for average, batch in zip(averages, moments, strict=True)
    ]


class Look:
    """Watches a run: calls `before` and `after` each step with the network and the step's images."""

    def __init__(self, before=lambda net, x, y: None, after=lambda net, x, y: None):
        self._before, self._after = before, after

    def __call__(self, net, loss, rates):
        self.net = net
        return self

    def due(self, step):
        return True

    @contextmanager
    def around(self, x, y):
        self._before(self.net, x, y[:, 0])
        yield
        self._after(self.net, x, y[:, 0])

    def statistics(self):
        """Return the layers' own averages, as copies."""
        return [
            (layer.moving_mean.clone(), layer.moving_variance.clone()) for layer in self.net.norm_layers()
        ]
