"""``tf.contrib.layers.batch_norm``: all of its arguments, and its choice of implementation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bnstudy.tf1 import versions
from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.contrib.framework import add_arg_scope
from bnstudy.tf1.contrib.layers import core_layer, slim_fused, slim_plain
from bnstudy.tf1.contrib.layers.call import NCHW, NHWC, Call, collect, note
from bnstudy.tf1.contrib.layers.traps import traps
from bnstudy.tf1.errors import warn_of_trap
from bnstudy.tf1.graph import Tensor
from bnstudy.tf1.keys import GraphKeys
from bnstudy.tf1.scopes import VariableScope, variable_scope
from bnstudy.tf1.variables import global_variables

DATA_FORMAT_NHWC = NHWC
DATA_FORMAT_NCHW = NCHW


@add_arg_scope
def batch_norm(
    inputs: Any,
    decay: Any = 0.999,
    center: bool = True,
    scale: bool = False,
    epsilon: Any = 0.001,
    activation_fn: Callable[[Any], Any] | None = None,
    param_initializers: Mapping[str, Any] | None = None,
    param_regularizers: Mapping[str, Any] | None = None,
    updates_collections: Any = GraphKeys.UPDATE_OPS,
    is_training: Any = True,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    batch_weights: Any = None,
    fused: Any = None,
    data_format: str = DATA_FORMAT_NHWC,
    zero_debias_moving_mean: bool = False,
    scope: str | VariableScope | None = None,
    renorm: bool = False,
    renorm_clipping: Mapping[str, Any] | None = None,
    renorm_decay: Any = 0.99,
) -> Tensor:
    """Return ``inputs`` batch-normalised; the arguments mean what they mean in TensorFlow 1.

    ``inputs`` are [N, ..., C] (``"NHWC"``) or [N, C, ...] (``"NCHW"``), of ranks 1 to 5 and more. The call
    takes one of four implementations, by ``fused`` (None: True, but False in ``emulate("1.3")``), rank,
    ``updates_collections``, ``batch_weights``, ``zero_debias_moving_mean`` and ``renorm``; see ``Call.path``.
    The fused ones average the Bessel-corrected variance, the plain ones the population variance.

    Raises what TensorFlow raises, and issues a ``TrapWarning`` where TensorFlow accepts a call in
    silence and does something else.

    Source: ``tf.contrib.layers.batch_norm`` of TensorFlow 1.15, without its argument ``adjustment``.
    """
    if data_format not in (NCHW, NHWC):
        raise ValueError("data_format has to be either NCHW or NHWC.")
    if fused and (batch_weights is not None or renorm) and versions.current().strict_fused:
        reason = "Weighted mean and variance" if batch_weights is not None else "Renorm"
        raise ValueError(f"{reason} is not currently supported for fused batch norm.")
    call = Call(
        inputs=convert_to_tensor(inputs),
        decay=decay,
        center=center,
        scale=scale,
        epsilon=epsilon,
        activation_fn=activation_fn,
        param_initializers=param_initializers or {},
        param_regularizers=param_regularizers or {},
        updates_collections=updates_collections,
        is_training=is_training,
        reuse=reuse,
        variables_collections=variables_collections,
        outputs_collections=outputs_collections,
        trainable=trainable,
        batch_weights=batch_weights,
        fused=fused,
        data_format=data_format,
        zero_debias_moving_mean=zero_debias_moving_mean,
        scope=scope,
        renorm=renorm,
        renorm_clipping=renorm_clipping,
        renorm_decay=renorm_decay,
    )
    path = call.path
    for message in traps(call):
        warn_of_trap(message)
    build = {"slim_fused": slim_fused.build, "slim_plain": slim_plain.build}.get(path, core_layer.build)
    before = len(global_variables())
    with variable_scope(scope, "BatchNorm", [inputs], reuse=reuse) as entered:
        note(call, entered, fused=path.endswith("fused"))
        outputs = build(call, entered)
    # A zero-debiased mean's state is a model variable too, but not beside the fused operation.
    if path != "slim_fused":
        for variable in global_variables()[before:]:
            collect(variable, GraphKeys.MODEL_VARIABLES)
    return outputs
