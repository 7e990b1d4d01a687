"""How much of a loss is overconfidence: temperature scaling."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

# Inverse temperatures that are searched: logits a thousandth to a thousand times as far apart.
SEARCHED = (1e-3, 1e3)
HALVINGS = 60


def temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature by which ``logits`` [N, classes] have to be divided for the least cross-entropy.

    The loss is convex in the inverse temperature b, its derivative the mean of E_p[z] - z_label with
    p = softmax(b z): its root is bisected. A network that gets every image right wants none and gets the
    least searched, 0.001.

    Source: Guo et al. 2017 (arXiv 1706.04599), section 4.2.
    """
    z = logits.double()
    right = z.gather(1, labels[:, None])[:, 0]
    low, high = (math.log(b) for b in SEARCHED)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        expected = ((math.exp(middle) * z).softmax(1) * z).sum(1)
        if float((expected - right).mean()) < 0:
            low = middle
        else:
            high = middle
    return math.exp(-(low + high) / 2)


def loss(logits: Tensor, labels: Tensor, at: float = 1.0) -> float:
    """Return the mean cross-entropy of ``logits`` [N, classes] divided by the temperature ``at``."""
    return float(F.cross_entropy(torch.div(logits.double(), at), labels))
