"""Measurements of a network in training, on any ``nn.Module``, that leave no trace.

Every probe stands around the user's own step::

    probe = bnstudy.probes.InternalCovariateShift(model, loss_fn)
    for x, y in loader:
        with probe(x, y):
            optimizer.zero_grad(); loss_fn(model(x), y).backward(); optimizer.step()
    frame = probe.frame()  # step, layer, quantity, value
"""

from bnstudy.probes.forward import MicroBatches
from bnstudy.probes.guarded import (
    ActivationDrift,
    Gaussianity,
    GradientHealth,
    GradientPredictiveness,
    InternalCovariateShift,
    StatisticsGap,
)
from bnstudy.probes.log import always, every
from bnstudy.probes.noisy_batch_norm import NoisyBatchNorm
from bnstudy.probes.probe import Probe
from bnstudy.probes.steps import stepped

__all__ = [
    "ActivationDrift",
    "Gaussianity",
    "GradientHealth",
    "GradientPredictiveness",
    "InternalCovariateShift",
    "MicroBatches",
    "NoisyBatchNorm",
    "Probe",
    "StatisticsGap",
    "always",
    "every",
    "stepped",
]
