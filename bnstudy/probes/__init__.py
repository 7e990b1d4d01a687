"""Measurements of a network in training, on any ``nn.Module``, that leave no trace.

Every probe stands around the user's own step::

    probe = bnstudy.probes.InternalCovariateShift(model, loss_fn)
    for x, y in loader:
        with probe(x, y):
            optimizer.zero_grad(); loss_fn(model(x), y).backward(); optimizer.step()
    frame = probe.frame()  # step, layer, quantity, value
"""

from bnstudy.probes.internal_covariate_shift import InternalCovariateShift
from bnstudy.probes.log import always, every

__all__ = ["InternalCovariateShift", "always", "every"]
