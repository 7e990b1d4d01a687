"""Where TensorFlow accepts a call and does something else than it says."""

from __future__ import annotations

from numbers import Real
from typing import Any

from bnstudy.tf1 import versions
from bnstudy.tf1.contrib.layers.call import DEFAULT_INITIALIZERS, Call
from bnstudy.tf1.graph import Tensor
from bnstudy.tf1.variables import trainable_variables


def traps(call: Call) -> list[str]:
    """Return one message for every trap that this call of ``batch_norm`` steps into."""
    found: list[str] = []
    path = call.path
    regularized = sorted(set(call.param_regularizers) & {"beta", "gamma"})
    if path == "slim_plain" and regularized:
        found.append(
            f"param_regularizers {regularized} are dropped on this path (slim_plain); TensorFlow ignores them"
        )
    if call.fused and not path.endswith("_fused"):
        found.append(
            f"fused={call.fused!r} is ignored: batch_weights, renorm or the rank selects {path}, "
            "without Bessel's correction"
        )
    frozen = versions.current().frozen_averages and path.startswith("layer") and call.is_training is not False
    if not call.trainable and frozen:
        found.append(
            "trainable=False freezes the moving averages on this path (core layer): no update operation "
            "exists"
        )
    if not call.trainable and path.startswith("slim") and call.is_training is not False:
        found.append(
            "trainable=False does not stop the moving averages on this path (slim): they keep moving"
        )
    if _number(call.decay) and not 0.0 <= call.decay <= 1.0:
        found.append(f"decay is {call.decay!r}, outside 0 to 1: the moving averages diverge or overshoot")
    if call.zero_debias_moving_mean and _number(call.decay) and call.decay == 1.0:
        found.append("decay is 1.0 with zero_debias_moving_mean: the moving mean becomes 0/0, NaN")
    if _number(call.epsilon) and not call.epsilon > 0.0:
        found.append(f"epsilon is {call.epsilon!r}, not above 0: the output can be NaN or infinite")
    if call.renorm_clipping and not call.renorm:
        found.append("renorm_clipping is ignored without renorm=True")
    clipping = call.renorm_clipping or {}
    bounds: list[Any] = [clipping.get("rmin"), clipping.get("rmax")]
    if call.renorm and all(_number(bound) for bound in bounds) and bounds[0] > bounds[1]:
        found.append(f"rmin {bounds[0]!r} is above rmax {bounds[1]!r}: rmax wins")
    found.extend(_names(call))
    bias = _redundant_bias(call)
    if bias is not None and call.is_training is not False and bias.graph.once("redundant bias"):
        found.append(
            f"the bias {bias.op.name!r} before batch_norm does nothing in training: the batch's mean takes "
            "it away, and "
            "its gradient is 0 (said once for a graph)"
        )
    if isinstance(call.is_training, str):
        found.append(f"is_training is {call.is_training!r}: any non-empty text means training")
    if call.is_training is None:
        found.append(
            "is_training is None: the Keras learning phase decides, which is 0 (evaluation) unless fed"
        )
    return found


def _names(call: Call) -> list[str]:
    found: list[str] = []
    unknown = sorted(set(call.param_initializers) - set(DEFAULT_INITIALIZERS))
    if unknown:
        found.append(
            f"param_initializers has {unknown}, which are ignored; known: {sorted(DEFAULT_INITIALIZERS)}"
        )
    unknown = sorted(set(call.param_regularizers) - {"beta", "gamma"})
    if unknown:
        found.append(f"param_regularizers has {unknown}, which are ignored; known: ['beta', 'gamma']")
    for name, wanted in (("gamma", call.scale), ("beta", call.center)):
        if not wanted and (name in call.param_initializers or name in call.param_regularizers):
            found.append(f"{name} has an initialiser or regulariser, but the call makes no {name}")
    return found


def _redundant_bias(call: Call) -> Tensor | None:
    """Return the trainable vector [C] that the input has just been added to, if so."""
    op = call.inputs.op
    kind = op.name.rsplit("/", 1)[-1].split("_")[0].lower()
    if kind not in ("add", "biasadd") or call.rank is None or call.rank < 2:
        return None
    trained = {v.snapshot for v in trainable_variables()}
    return next((t for t in op.inputs if t in trained and t.shape == call.channels), None)


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
