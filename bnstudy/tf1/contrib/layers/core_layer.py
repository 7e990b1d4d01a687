"""``batch_norm`` by the core layer: the standard collection, with renorm or without."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from bnstudy.norm import renorm
from bnstudy.tf1 import normalization as nn
from bnstudy.tf1 import versions
from bnstudy.tf1.constants import constant, convert_to_tensor, placeholder_with_default
from bnstudy.tf1.contrib.layers.call import Call, check_floating, finish, variable
from bnstudy.tf1.control import constant_value, smart_cond
from bnstudy.tf1.dtypes import DType
from bnstudy.tf1.filling import ones_like, zeros_like
from bnstudy.tf1.fused import fused_batch_norm
from bnstudy.tf1.graph import Operation, Tensor, get_default_graph
from bnstudy.tf1.keys import GraphKeys
from bnstudy.tf1.math import cast, identity, sqrt
from bnstudy.tf1.moving_averages import assign_moving_average
from bnstudy.tf1.run import Run
from bnstudy.tf1.scopes import VariableScope, get_variable
from bnstudy.tf1.variables import Variable


def build(call: Call, scope: VariableScope, fused: bool | None = None) -> Tensor:
    """Return the output; update operations land in ``UPDATE_OPS``.

    With ``trainable=False`` there are none (from TensorFlow 1.12 on). ``fused`` says whether the fused
    operation serves; None: where ``call.path`` says so.

    Source: ``tf.layers.BatchNormalization``, as ``tf.contrib.layers.batch_norm`` calls it.
    """
    inputs = call.inputs
    if not call.rank:
        raise ValueError(f"Input has undefined rank. Received: input_shape={inputs.shape}")
    if inputs.shape[call.channel_axis].value is None:
        raise ValueError(
            f"Input has undefined `axis` dimension. Received input with shape {inputs.shape} "
            f"and axis=({call.channel_axis},)"
        )
    fused = call.path == "layer_fused" if fused is None else fused
    check_floating(inputs)
    if fused and inputs.dtype.name == "float64":
        raise TypeError(
            "Value passed to parameter 'x' has DataType float64 not in list of allowed values: "
            "float16, bfloat16, float32"
        )
    if call.epsilon is None and not fused:
        raise ValueError("None values not supported.")
    clipping = _clipping(call)
    training = _training_flag(call.is_training)
    dtype = call.statistics_type()
    gamma = variable(call, "gamma", dtype, regularized=True).value() if call.scale else None
    beta = variable(call, "beta", dtype, regularized=True).value() if call.center else None
    moving_mean = variable(call, "moving_mean", dtype)
    moving_variance = variable(call, "moving_variance", dtype)
    state = _renorm_state(call, dtype) if call.renorm else {}
    moving = moving_mean.value(), moving_variance.value()

    known = constant_value(training)
    trains = known is None or bool(known)
    updating = trains and (call.trainable or not versions.current().frozen_averages)
    updates: tuple[Any, ...] = ()

    def assigned(decay: Any) -> tuple[Tensor, Tensor]:
        pairs = ((moving_mean, mean), (moving_variance, variance))
        one, other = (assign_moving_average(v, new, decay, zero_debias=False) for v, new in pairs)
        return one, other

    if fused:
        ones = gamma if gamma is not None else constant(1.0, dtype, call.channels.as_list())  # type: ignore[arg-type]
        zeros = beta if beta is not None else constant(0.0, dtype, call.channels.as_list())  # type: ignore[arg-type]

        def run_fused(mode: bool) -> tuple[Tensor, Tensor, Tensor]:
            return fused_batch_norm(inputs, ones, zeros, *moving, call.epsilon, call.channel_axis, mode)

        outputs, mean, variance = smart_cond(training, lambda: run_fused(True), lambda: run_fused(False))
        if updating:
            # Where the flag is a tensor, an update by evaluation changes nothing: it has decay 1.
            updates = assigned(
                smart_cond(training, lambda: convert_to_tensor(call.decay), lambda: constant(1.0))
            )
    else:
        batch = nn.moments(inputs, call.reduced_axes) if trains else moving
        mean, variance = (
            smart_cond(training, _given(new), _given(old)) for new, old in zip(batch, moving, strict=True)
        )
        corrections: tuple[Tensor, ...] = ()
        if call.renorm and trains:
            corrections = smart_cond(
                training,
                lambda: _corrections(call, state, mean, variance, clipping),
                lambda: (ones_like(mean), zeros_like(mean)),
            )
        outputs = _normalised(call, mean, variance, gamma, beta, corrections)
        if updating and call.renorm:
            every = {**state, "moving_mean": moving_mean, "moving_variance": moving_variance}
            made: list[tuple[Tensor, Tensor]] = []

            def renorm_update(which: int) -> Tensor:
                if not made:
                    made.append(_renorm_update(call, every, mean, variance, corrections))
                return made[0][which]

            if known is None:  # TensorFlow has three branches more for renorm's statistics
                for _ in range(3):
                    get_default_graph().unique_name("cond")
            updates = tuple(
                smart_cond(training, partial(renorm_update, i), _given(moving[i])) for i in range(2)
            )
        elif updating:
            updates = tuple(
                smart_cond(
                    training,
                    partial(assign_moving_average, v, new, call.decay, zero_debias=False),
                    _given(old),
                )
                for v, new, old in zip((moving_mean, moving_variance), (mean, variance), moving, strict=True)
            )
    for update in updates:
        get_default_graph().add_to_collection(GraphKeys.UPDATE_OPS, update.op)
    return finish(call, scope, outputs)


def _given(value: Tensor) -> Callable[[], Tensor]:
    return lambda: value


def _normalised(
    call: Call,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    corrections: tuple[Tensor, ...],
) -> Tensor:
    m, v, offset, factor = (call.spread_optional(t) for t in (mean, variance, beta, gamma))
    if not corrections:
        return nn.batch_normalization(call.inputs, m, v, offset, factor, call.epsilon)
    r, d = (call.spread(t) for t in corrections)
    out = nn.batch_normalization(call.inputs, m, v, d, r, call.epsilon, name="corrected")
    # Two affine maps in a row: the correction, then gamma and beta.
    if factor is not None:
        out = out * _as(factor, out)
    if offset is not None:
        out = out + _as(offset, out)
    with get_default_graph().name_scope("batchnorm"):
        return identity(out, "add_1")


def _training_flag(flag: Any) -> Any:
    if flag is None:
        # The Keras learning phase, which is 0 unless somebody sets it.
        return placeholder_with_default(False, [], name="keras_learning_phase")
    if not isinstance(flag, (Tensor, Variable)) and flag not in (0, 1):
        raise TypeError(f"`pred` must be a Tensor, or a Python bool, or 1 or 0. Received: {type(flag)}")
    return flag


def _clipping(call: Call) -> dict[str, Any]:
    if not call.renorm:
        return {}
    given = dict(call.renorm_clipping or {})
    if not set(given) <= set(renorm.CLIPPING_KEYS):
        raise ValueError(
            f"Received invalid keys for `renorm_clipping` argument: {given}. "
            f"Supported values: {list(renorm.CLIPPING_KEYS)}."
        )
    return given


def _renorm_state(call: Call, dtype: DType) -> dict[str, Variable]:
    mean = call.param_initializers.get("moving_mean")
    variance = call.param_initializers.get("moving_variance")

    def initial(name: str) -> Any:
        shape = [] if name.endswith("_weight") else call.channels.as_list()
        if versions.current().renorm == "tf1.12":
            return constant(0.0, dtype, shape)  # type: ignore[arg-type]
        if name == "renorm_mean":
            return mean(shape, dtype) if mean else constant(0.0, dtype, shape)  # type: ignore[arg-type]
        return sqrt(variance(shape, dtype)) if variance else constant(1.0, dtype, shape)  # type: ignore[arg-type]

    names = (
        ("moving_stddev", "renorm_mean", "renorm_stddev")
        if versions.current().renorm == "tf1.15"
        else ("renorm_mean", "renorm_mean_weight", "renorm_stddev", "renorm_stddev_weight")
    )
    return {
        name: get_variable(
            name,
            [] if name.endswith("_weight") else call.channels,
            dtype,
            lambda shape, dtype, name=name: initial(name),
            trainable=False,
        )
        for name in names
    }


def _corrections(
    call: Call, state: dict[str, Variable], mean: Tensor, variance: Tensor, clipping: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    names, keys = list(state), list(clipping)
    bounds = [_as(convert_to_tensor(clipping[key]), mean) for key in keys]
    algorithm = versions.current().renorm

    def compute(run: Run, m: torch.Tensor, v: torch.Tensor, *rest: torch.Tensor) -> tuple[torch.Tensor, ...]:
        del run
        held = dict(zip(names, rest, strict=False))
        limits = dict(zip(keys, rest[len(names) :], strict=True))
        return renorm.corrections(algorithm, held, m, v, call.epsilon, limits)

    kind = (mean.dtype, call.channels)
    inputs = [mean, variance, *(state[n].value() for n in names), *bounds]
    r, d = get_default_graph().add("renorm_corrections", inputs, compute, [kind, kind]).outputs
    return r, d


def _renorm_update(
    call: Call, state: dict[str, Variable], mean: Tensor, variance: Tensor, corrections: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    algorithm = versions.current().renorm
    # Evaluated here for the errors that TensorFlow raises while it builds.
    rates = 1.0 - call.decay, 1.0 - call.renorm_decay

    def compute(run: Run, m: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, ...]:
        held = {name: variable.stored(run) for name, variable in state.items()}
        kind = held["moving_mean"].dtype
        new = renorm.updated(
            algorithm,
            held,
            m.to(kind),
            v.to(kind),
            decay=1.0 - rates[0],
            renorm_decay=1.0 - rates[1],
            epsilon=call.epsilon,
        )
        for name, value in new.items():
            state[name].store(run, value)
        return new["moving_mean"], new["moving_variance"]

    graph = get_default_graph()
    kind = (state["moving_mean"].dtype, call.channels)
    # The corrections use the values before the update.
    with graph.control_dependencies(corrections):
        op = graph.add("renorm_update", [mean, variance], compute, [kind, kind])
    op.role, op.writes = "moving", tuple(state[name].snapshot for name in ("moving_mean", "moving_variance"))
    return _named(op)


def _named(op: Operation) -> tuple[Tensor, Tensor]:
    # Under the names of TensorFlow's operations, which come after those for renorm's own statistics.
    graph = get_default_graph()
    for _ in range(2):
        graph.unique_name("AssignMovingAvg")
    first, second = op.outputs
    return identity(first, "AssignMovingAvg"), identity(second, "AssignNewValue")


def _as(value: Tensor, like: Tensor) -> Tensor:
    return value if value.dtype is like.dtype else cast(value, like.dtype)
