"""Replays of what TensorFlow computed, through ``bnstudy.tf1``.

A golden file holds cases: an API, its keywords, inputs step by step, and TensorFlow's outputs,
gradients, variables after every step and regularisation losses. ``replay`` computes them all again.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import bnstudy.tf1 as tf

Values = dict[str, np.ndarray]

SHORT_NAMES = {"biased": "moving_mean_biased", "local_step": "moving_mean_local_step"}


@dataclass
class Case:
    """One entry of the index, with its arrays."""

    info: dict[str, Any]
    arrays: Values
    computed: Values = field(default_factory=dict)
    error: str = ""

    @property
    def name(self) -> str:
        return self.info["name"]

    @property
    def kwargs(self) -> dict[str, Any]:
        return self.info["kwargs"]

    @property
    def steps(self) -> list[dict[str, Any]]:
        return self.info["steps"]

    def expected(self) -> Values:
        """Return every array that is a result rather than an input."""
        return {key: value for key, value in self.arrays.items() if not _is_input(self.info, key)}


def load(path: str) -> list[Case]:
    with np.load(path, allow_pickle=False) as archive:
        infos = [json.loads(str(entry)) for entry in archive["index"]]
        return [
            Case(info, {key: archive[f"{info['name']}/{key}"] for key in info["arrays"]}) for info in infos
        ]


def _is_input(info: dict[str, Any], key: str) -> bool:
    where, _, what = key.partition("/")
    if where == "const":
        return True
    if info["api"] == "batch_normalization":
        return what in ("x", "mean", "variance", "offset", "scale")
    if info["api"] == "ema":
        return what in ("value", "assigned")
    return what in ("x", "batch_weights") or (where == "init" and what == "var/w")


def replay(case: Case) -> Values:
    """Compute every expected array of ``case`` again, in a graph of its own."""
    run = {
        "batch_norm": batch_norm,
        "moments": moments,
        "batch_normalization": batch_normalization,
        "ema": ema,
    }
    # The cases step into every trap on purpose.
    with tf.Graph().as_default(), warnings.catch_warnings():
        warnings.simplefilter("ignore", tf.TrapWarning)
        return run[case.info["api"]](case)


def arguments(kwargs: dict[str, Any], clips: dict[str, tf.Tensor] | None = None) -> dict[str, Any]:
    """Return the keywords of a ``batch_norm`` case as the objects that they stand for."""
    made = dict(kwargs)
    activations = {None: None, "relu": tf.nn.relu, "tanh": tf.nn.tanh}
    if "activation_fn" in made:
        made["activation_fn"] = activations[made["activation_fn"]]
    if made.get("param_initializers") is not None:
        made["param_initializers"] = {
            name: tf.constant_initializer(spec["constant"] if "constant" in spec else spec["values"])
            for name, spec in made["param_initializers"].items()
        }
    if made.get("param_regularizers") is not None:
        penalties = {"l1": tf.contrib.layers.l1_regularizer, "l2": tf.contrib.layers.l2_regularizer}
        made["param_regularizers"] = {
            name: penalties[kind](scale)
            for name, spec in made["param_regularizers"].items()
            for kind, scale in spec.items()
        }
    if made.get("updates_collections") == "UPDATE_OPS":
        made["updates_collections"] = tf.GraphKeys.UPDATE_OPS
    elif isinstance(made.get("updates_collections"), list):
        made["updates_collections"] = [
            tf.GraphKeys.UPDATE_OPS if key == "UPDATE_OPS" else key for key in made["updates_collections"]
        ]
    if made.get("renorm_clipping") == "schedule":
        made["renorm_clipping"] = clips
    return made


class BatchNormGraph:
    """The graph of one ``batch_norm`` case: inputs, one output per call and mode, and what to run."""

    def __init__(self, case: Case) -> None:
        self.case = case
        info = case.info
        self.kind = info["is_training_kind"]
        self.calls = info.get("ncalls", 1)
        self.sgd = info.get("scenario") == "sgd"
        dtype = tf.as_dtype(info["dtype"])
        shape = [None, *info["shape"][1:]]
        self.x = tf.placeholder(dtype, shape, name="x")
        weights = case.arrays.get("0/batch_weights")
        self.batch_weights = None if weights is None else tf.placeholder(tf.as_dtype(weights.dtype), [None])
        self.target = tf.placeholder(dtype, shape, name="target")
        self.flag: Any = None
        if self.kind == "placeholder":
            self.flag = tf.placeholder(tf.bool, [], name="train")
        elif self.kind in ("variable", "article_bug"):
            self.flag = tf.Variable(tf.constant(False), trainable=False, name="train")
        self.clips = {
            key: tf.placeholder(tf.float32, [], name=key)
            for step in case.steps
            for key in (step.get("clip") or {})
        }
        self.source: Any = self.x
        if self.sgd:
            w = case.arrays["init/var/w"]
            self.w = tf.Variable(tf.constant(w), name="w")
            if case.kwargs.get("data_format") == "NCHW":
                rank = len(shape)
                last = tf.transpose(self.x, [0, *range(2, rank), 1])
                self.source = tf.transpose(tf.matmul(last, self.w), [0, rank - 1, *range(1, rank - 1)])
            else:
                self.source = tf.matmul(self.x, self.w)
        self.outputs: dict[tuple[int, Any], tf.Tensor] = {}
        self.updates: dict[tuple[int, Any], list[Any]] = {}
        for call in range(self.calls):
            for position, mode in enumerate(self._modes()):
                self._build(call, mode, first=position == 0)
        self.steps_of: dict[tuple[int, Any], Any] = {}
        if self.sgd:
            losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
            for key, out in list(self.outputs.items()):
                data_loss = tf.reduce_mean(tf.square(out - self.target))
                total = tf.add_n([data_loss, *losses]) if losses else data_loss
                updates = self.updates[key] if info["run_updates"] == "with_step" else []
                with tf.control_dependencies(updates):
                    step = tf.train.GradientDescentOptimizer(info["lr"]).minimize(total)
                self.steps_of[key] = data_loss, step

    def _modes(self) -> list[Any]:
        if self.kind == "python":
            wanted = [bool(step["is_training"]) for step in self.case.steps]
            return sorted(set(wanted), reverse=True)
        if self.kind == "constant":
            return ["constant"]
        return ["tensor"]

    def _build(self, call: int, mode: Any, *, first: bool) -> None:
        info = self.case.info
        kwargs = arguments({**self.case.kwargs, **_overrides(info, call)}, self.clips)
        scopes = info.get("scopes")
        if scopes is not None:
            kwargs["scope"] = scopes[call]
        elif "scope" not in kwargs:
            kwargs["scope"] = "bn"
        reuse = kwargs.pop("reuse", None)
        if reuse == "second":
            reuse = True if call > 0 else None
        elif reuse == "AUTO_REUSE":
            reuse = tf.AUTO_REUSE
        kwargs["reuse"] = reuse if first else True
        if "batch_weights" in kwargs:
            kwargs["batch_weights"] = self.batch_weights
        if mode == "constant":
            kwargs["is_training"] = tf.constant(True)
        elif self.kind == "article_bug":
            # The article's very test, on the variable itself.
            kwargs["is_training"] = self.flag is not False
        elif mode == "tensor":
            kwargs["is_training"] = self.flag
        else:
            kwargs["is_training"] = mode
        if not first and kwargs["scope"] is None:
            kwargs["scope"] = f"BatchNorm_{call}" if call else "BatchNorm"
        keys = _update_keys(self.case.kwargs)
        before = {key: len(tf.get_collection(key)) for key in keys}
        self.outputs[call, mode] = tf.batch_norm(self.source, **kwargs)
        added = {key: tf.get_collection(key)[before[key] :] for key in keys}
        self.updates[call, mode] = [op for operations in added.values() for op in operations]

    def key(self, step: dict[str, Any]) -> tuple[int, Any]:
        return step.get("call", 0), {
            "python": bool(step["is_training"]),
            "constant": "constant",
        }.get(self.kind, "tensor")

    def variables(self) -> dict[str, tf.Variable]:
        """Return every variable of the case by its name in the golden file."""
        own = [v for v in tf.global_variables() if v is not self.flag and not (self.sgd and v is self.w)]
        several = len({v.name.split("/")[0] for v in own}) > 1
        named = {}
        for variable in own:
            scope, *_, last = variable.op.name.split("/")
            short = SHORT_NAMES.get(last, last)
            named[f"{scope}.{short}" if several else short] = variable
        if self.sgd:
            named["w"] = self.w
        return named


def _overrides(info: dict[str, Any], call: int) -> dict[str, Any]:
    given = info.get("call_overrides") or {}
    if isinstance(given, list):
        return given[call] or {} if call < len(given) else {}
    if all(str(key).isdigit() for key in given):
        return given.get(str(call)) or {}
    return given if call > 0 else {}


def _update_keys(kwargs: dict[str, Any]) -> list[str]:
    keys = kwargs.get("updates_collections", tf.GraphKeys.UPDATE_OPS)
    keys = [] if keys is None else [keys] if isinstance(keys, str) else keys
    return list(dict.fromkeys(tf.GraphKeys.UPDATE_OPS if key == "UPDATE_OPS" else key for key in keys))


def batch_norm(case: Case) -> Values:
    graph = BatchNormGraph(case)
    variables = graph.variables()
    losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    mode = case.info["run_updates"]
    result: Values = {}
    gradients = {} if graph.sgd else {key: _gradients(graph, key) for key in graph.outputs}

    def record(session: tf.Session, where: str) -> None:
        result.update({f"{where}/var/{name}": value for name, value in session.run(variables).items()})
        if f"{where}/reg_losses" in case.arrays:
            result[f"{where}/reg_losses"] = np.array(session.run(losses), np.float32)

    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        record(session, "init")
        for t, step in enumerate(case.steps):
            key = graph.key(step)
            trains = bool(step["effective"])
            x = case.arrays[f"{t}/x"]
            feed: dict[Any, Any] = {graph.x: x, graph.target: case.arrays["const/W"][: len(x)]}
            if graph.batch_weights is not None:
                feed[graph.batch_weights] = case.arrays[f"{t}/batch_weights"]
            feed.update({graph.clips[name]: value for name, value in (step.get("clip") or {}).items()})
            if isinstance(graph.flag, tf.Variable):
                session.run(graph.flag.assign(bool(step["is_training"])))
            elif graph.flag is not None:
                feed[graph.flag] = bool(step["is_training"])
            updates = graph.updates[key]
            if graph.sgd:
                loss, train_step = graph.steps_of[key]
                fetches = {"out": graph.outputs[key], "data_loss": loss}
                if trains:
                    got, _ = session.run((fetches, train_step), feed)
                else:
                    got = session.run(fetches, feed)
            else:
                fetches = gradients[key]
                # Flags that are tensors leave the averages alone on an evaluation step by themselves.
                got, _ = session.run((fetches, updates if mode == "with_step" else []), feed)
            if mode == "after_step" and (trains or not graph.sgd):
                session.run(updates, feed)
            result.update({f"{t}/{name}": np.asarray(value) for name, value in got.items()})
            record(session, str(t))
    return result


def _gradients(graph: BatchNormGraph, key: tuple[int, Any]) -> dict[str, tf.Tensor]:
    out = graph.outputs[key]
    scopes = graph.case.info.get("scopes")
    variables = graph.variables()
    prefix = ""
    if any("." in name for name in variables):
        names = sorted({name.split(".")[0] for name in variables})
        wanted = (scopes or [])[key[0]]
        prefix = f"{wanted or names[key[0]]}."
    sources = {"grad_x": graph.x}
    for parameter in ("gamma", "beta"):
        if f"{prefix}{parameter}" in variables:
            sources[f"grad_{parameter}"] = variables[f"{prefix}{parameter}"]
    with_updates = graph.updates[key] if graph.case.info["run_updates"] == "with_step" else []
    with tf.control_dependencies(with_updates):
        found = tf.gradients(tf.reduce_sum(out * graph.target), list(sources.values()))
        named = {name: g for name, g in zip(sources, found, strict=True) if g is not None}
        return {"out": tf.identity(out), **named}


def moments(case: Case) -> Values:
    arrays = case.arrays
    x = tf.placeholder(tf.as_dtype(case.info["dtype"]), case.info["shape"])
    kwargs = dict(case.kwargs)
    if kwargs.get("shift") is not None:
        kwargs["shift"] = tf.constant(kwargs["shift"], tf.as_dtype(case.info["dtype"]))
    mean, variance = tf.nn.moments(x, **kwargs)
    fetches = {"mean": mean, "variance": variance}
    if "const/Wm" in arrays:
        total = tf.reduce_sum(mean * arrays["const/Wm"]) + tf.reduce_sum(variance * arrays["const/Wv"])
        fetches["grad_x"] = tf.gradients(total, x)[0]
    with tf.Session() as session:
        got = session.run(fetches, {x: arrays["0/x"]})
    return {f"0/{name}": np.asarray(value) for name, value in got.items()}


def batch_normalization(case: Case) -> Values:
    names = [n for n in ("x", "mean", "variance", "offset", "scale") if f"0/{n}" in case.arrays]
    inputs = {
        n: tf.placeholder(tf.as_dtype(case.arrays[f"0/{n}"].dtype), case.arrays[f"0/{n}"].shape)
        for n in names
    }
    out = tf.nn.batch_normalization(
        inputs["x"],
        inputs["mean"],
        inputs["variance"],
        inputs.get("offset"),
        inputs.get("scale"),
        **case.kwargs,
    )
    found = tf.gradients(tf.reduce_sum(out * case.arrays["const/W"]), list(inputs.values()))
    fetches = {"out": out, **{f"grad_{n}": g for n, g in zip(names, found, strict=True)}}
    with tf.Session() as session:
        got = session.run(fetches, {inputs[n]: case.arrays[f"0/{n}"] for n in names})
    return {f"0/{name}": np.asarray(value) for name, value in got.items()}


def ema(case: Case) -> Values:
    info, arrays = case.info, case.arrays
    dtype = tf.as_dtype(arrays["0/value"].dtype)
    shape = list(arrays["0/value"].shape)
    kwargs = dict(case.kwargs)
    per_step_decay = any("decay" in step for step in case.steps)
    decay: Any = tf.placeholder(tf.float32, []) if per_step_decay else kwargs["decay"]
    kwargs["decay"] = decay
    counter = None
    if kwargs.get("num_updates") == "counter":
        counter = tf.Variable(0, trainable=False, name="num_updates")
        kwargs["num_updates"] = counter
    value: Any
    if info["target"] == "variable":
        value = tf.Variable(tf.constant(arrays["init/value"]), name="v")
    else:
        value = tf.placeholder(dtype, shape, name="t")
    average = tf.train.ExponentialMovingAverage(**kwargs)
    update = average.apply([value])
    shadow = average.average(value)
    assert shadow is not None
    fetches = {"shadow": shadow}
    for variable in tf.global_variables():
        last = variable.op.name.split("/")[-1]
        if last in ("biased", "local_step"):
            fetches[last] = variable
    result: Values = {}
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        result.update({f"init/{name}": got for name, got in session.run(fetches).items()})
        if info["target"] == "variable" and "init/assigned" in arrays:
            value.load(arrays["init/assigned"], session)
        for t, step in enumerate(case.steps):
            feed: dict[Any, Any] = {}
            if info["target"] == "tensor":
                feed[value] = arrays[f"{t}/value"]
            elif not step.get("hold"):
                value.load(arrays[f"{t}/value"], session)
            if per_step_decay:
                feed[decay] = step.get("decay", case.kwargs["decay"])
            if counter is not None:
                counter.load(step["num_updates"], session)
            session.run(update, feed)
            result.update({f"{t}/{name}": np.asarray(got) for name, got in session.run(fetches).items()})
    return result


def differences(case: Case) -> Iterator[tuple[str, float, float]]:
    """Yield each expected array's key, its worst difference and that difference over its tolerance.

    NaN equals NaN. A missing array, a wrong shape or a one-sided NaN counts as infinite.
    """
    for key, expected in case.expected().items():
        computed = case.computed.get(key)
        if computed is None or np.shape(computed) != np.shape(expected):
            yield key, np.inf, np.inf
            continue
        half = case.info.get("dtype") == "float16"
        absolute, relative = (3e-2, 2e-2) if half else (2e-5, 1e-4)
        a, b = np.asarray(computed, np.float64), np.asarray(expected, np.float64)
        if a.size == 0:
            yield key, 0.0, 0.0
            continue
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(invalid="ignore"):
            gap = np.where(same, 0.0, np.abs(a - b))
            ratio = np.where(same, 0.0, gap / (absolute + relative * np.abs(b)))
        bad = np.isnan(gap)
        yield (
            key,
            float(np.where(bad, np.inf, gap).max()),
            float(np.where(bad, np.inf, ratio).max()),
        )
