"""Measurements of a network in training, on any ``nn.Module``, that leave no trace.

Every probe stands around the user's own step::

    probe = bnstudy.probes.InternalCovariateShift(model, loss_fn)
    for x, y in loader:
        with probe(x, y):
            optimizer.zero_grad(); loss_fn(model(x), y).backward(); optimizer.step()
    frame = probe.frame()  # step, layer, quantity, value
"""

from bnstudy.probes.activation_drift import ActivationDrift
from bnstudy.probes.forward import MicroBatches
from bnstudy.probes.gaussianity import Gaussianity
from bnstudy.probes.gradient_health import GradientHealth
from bnstudy.probes.gradient_predictiveness import GradientPredictiveness
from bnstudy.probes.internal_covariate_shift import InternalCovariateShift
from bnstudy.probes.log import always, every
from bnstudy.probes.noisy_batch_norm import NoisyBatchNorm
from bnstudy.probes.probe import Probe
from bnstudy.probes.statistics_gap import StatisticsGap
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
