"""``batch_norm`` composed of moments and ``batch_normalization``: the article's own path."""

from __future__ import annotations

from bnstudy.tf1 import normalization as nn
from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.contrib.layers.call import Call, check_floating, finish, put, variable
from bnstudy.tf1.control import constant_value, smart_cond
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.math import identity
from bnstudy.tf1.moving_averages import assign_moving_average
from bnstudy.tf1.scopes import VariableScope
from bnstudy.tf1.shapes import TensorShape
from bnstudy.tf1.shaping import reshape


def build(call: Call, scope: VariableScope) -> Tensor:
    """Return the output; the averages move towards the *population* variance.

    Variables have the type of the input, half precision included, and ``param_regularizers`` are
    not looked at.

    Source: ``batch_norm`` of ``tf.contrib.layers``, below the call of the core layer.
    """
    if call.renorm:
        raise ValueError(
            "renorm is not supported with batch_weights, updates_collections or zero_debias_moving_mean"
        )
    inputs = call.inputs
    if call.rank is None:
        raise ValueError(f"Inputs {inputs.name} has undefined rank.")
    check_floating(inputs)
    weights = None
    if call.batch_weights is not None:
        weights = convert_to_tensor(call.batch_weights)
        batch = TensorShape(inputs.shape[0:1])
        if not batch.is_compatible_with(weights.shape):
            raise ValueError(f"Shapes {batch} and {weights.shape} are incompatible")
        weights = reshape(weights, [-1, *[1] * (call.rank - 1)])
    if inputs.shape[call.channel_axis].value is None:
        raise ValueError(f"Inputs {inputs.name} has undefined channels dimension {call.channels}.")
    if call.epsilon is None:
        raise ValueError("None values not supported.")
    dtype = inputs.dtype
    beta = variable(call, "beta", dtype).value() if call.center else None
    gamma = variable(call, "gamma", dtype).value() if call.scale else None
    moving_mean = variable(call, "moving_mean", dtype)
    moving_variance = variable(call, "moving_variance", dtype)
    moving = moving_mean.value(), moving_variance.value()

    def normalise(mean: Tensor, variance: Tensor) -> Tensor:
        m, v, offset, factor = (call.spread_optional(t) for t in (mean, variance, beta, gamma))
        return nn.batch_normalization(inputs, m, v, offset, factor, call.epsilon)

    known = constant_value(call.is_training)
    if known is not None and not known:
        return finish(call, scope, normalise(*moving))
    if weights is None:
        mean, variance = nn.moments(inputs, call.reduced_axes)
    else:
        mean, variance = nn.weighted_moments(inputs, call.reduced_axes, weights)

    def update() -> tuple[Tensor, Tensor]:
        return (
            assign_moving_average(moving_mean, mean, call.decay, call.zero_debias_moving_mean),
            assign_moving_average(moving_variance, variance, call.decay, zero_debias=False),
        )

    def forced() -> tuple[Tensor, Tensor]:
        with get_default_graph().control_dependencies(update()):
            return identity(mean), identity(variance)

    if call.updates_collections is None:
        used = smart_cond(call.is_training, forced, lambda: moving)
    else:
        put(call, smart_cond(call.is_training, update, lambda: moving))
        used = smart_cond(call.is_training, lambda: (mean, variance), lambda: moving)
    return finish(call, scope, normalise(*used))
