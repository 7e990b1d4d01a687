"""``batch_norm`` by the fused operation: in place, other collections, zero-debias or rank 2."""

from __future__ import annotations

from typing import Any

from bnstudy.tf1.constants import constant
from bnstudy.tf1.contrib.layers.call import Call, finish, put, variable
from bnstudy.tf1.control import constant_value, smart_cond
from bnstudy.tf1.fused import fused_batch_norm
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.math import identity
from bnstudy.tf1.moving_averages import assign_moving_average
from bnstudy.tf1.scopes import VariableScope


def build(call: Call, scope: VariableScope) -> Tensor:
    """Return the output; update operations run with it or land in ``updates_collections``.

    Source: ``_fused_batch_norm`` of ``tf.contrib.layers``.
    """
    inputs = call.inputs
    if inputs.dtype.name not in ("float16", "bfloat16", "float32"):
        raise TypeError(
            f"Value passed to parameter 'x' has DataType {inputs.dtype.name} not in list of allowed values: "
            "float16, bfloat16, float32"
        )
    if inputs.shape[call.channel_axis].value is None:
        raise ValueError(f"Inputs {inputs.name} has undefined `C` dimension {call.channels}.")
    dtype = call.statistics_type()
    beta: Any = variable(call, "beta", dtype, regularized=True).value() if call.center else None
    gamma: Any = variable(call, "gamma", dtype, regularized=True).value() if call.scale else None
    if beta is None:
        beta = constant(0.0, dtype, call.channels.as_list())  # type: ignore[arg-type]
    if gamma is None:
        gamma = constant(1.0, dtype, call.channels.as_list())  # type: ignore[arg-type]
    moving_mean = variable(call, "moving_mean", dtype)
    moving_variance = variable(call, "moving_variance", dtype)

    def normalise(training: bool) -> tuple[Tensor, Tensor, Tensor]:
        statistics = moving_mean.value(), moving_variance.value()
        return fused_batch_norm(inputs, gamma, beta, *statistics, call.epsilon, call.channel_axis, training)

    outputs, mean, variance = smart_cond(call.is_training, lambda: normalise(True), lambda: normalise(False))
    known = constant_value(call.is_training)
    if known is None or known:

        def update() -> tuple[Tensor, Tensor]:
            return (
                assign_moving_average(moving_mean, mean, call.decay, call.zero_debias_moving_mean),
                assign_moving_average(moving_variance, variance, call.decay, zero_debias=False),
            )

        def forced() -> Tensor:
            with get_default_graph().control_dependencies(update()):
                return identity(outputs)

        if call.updates_collections is None:
            outputs = smart_cond(call.is_training, forced, lambda: outputs)
        else:
            unchanged = moving_mean.value(), moving_variance.value()
            put(call, smart_cond(call.is_training, update, lambda: unchanged))
    if call.rank == 2:
        outputs = identity(outputs, "Reshape_1")  # TensorFlow's operation takes images: there and back
    return finish(call, scope, outputs)
