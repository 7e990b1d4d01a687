"""tf1 raises where TensorFlow raises, and runs where TensorFlow runs: every recorded call."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bnstudy.tf1 as tf

RECORDED = json.loads(Path(__file__).with_name("tensorflow_errors.json").read_text())
KINDS: dict[str, type[Exception]] = {
    "ValueError": ValueError,
    "TypeError": TypeError,
    "AttributeError": AttributeError,
    "OperatorNotAllowedInGraphError": TypeError,
    "FailedPreconditionError": tf.FailedPreconditionError,
}
# Messages that name the culprit in TensorFlow's words, which a search engine finds.
SAME_WORDS = (
    "Variable ",
    "Trying to share",
    "renorm is",
    "data_format has",
    "reuse=True",
    "Setting a scale",
    "scale ",
)

RNG = np.random.default_rng(0)
FED: dict[Any, Any] = {}


def made(shape: list[int | None] | None, dtype: Any = tf.float32, value: Any = None) -> Any:
    x = tf.placeholder(dtype, shape)
    if shape is not None:
        sizes = [4 if d is None else d for d in shape]
        FED[x] = RNG.normal(1.0, 2.0, sizes) if value is None else value
    return x


def channels(shape: list[int | None]) -> Any:
    x = made(shape)
    if None in shape and shape[-1] is None:
        FED.pop(x)
    return x


def average_of(decay: Any) -> list[float]:
    v = tf.Variable([1.0, 2.0])
    ema = tf.train.ExponentialMovingAverage(decay)
    update = ema.apply([v])
    shadow = ema.average(v)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        v.load([3.0, 4.0], session)
        session.run(update)
        return np.asarray(session.run(shadow)).tolist()


def twice(**options: Any) -> list[str]:
    for call in range(2):
        tf.batch_norm(
            made([4, 3, 3, 3]),
            **(options if call else {k: v for k, v in options.items() if k != "reuse"}),
        )
    return [v.name for v in tf.global_variables()]


def shadow_names(*, repeat: int = 1, frozen: bool = False) -> list[str]:
    ema = tf.train.ExponentialMovingAverage(0.9)
    if frozen:
        tf.Variable([1.0], name="a")
        tf.Variable([1.0], name="b", trainable=False)
        ema.apply()
    else:
        v = tf.Variable([1.0])
        for _ in range(repeat):
            ema.apply([v])
    return [v.name for v in tf.global_variables()]


def after(first: dict[str, Any], second: dict[str, Any], size: int = 3) -> Any:
    tf.batch_norm(made([4, 3, 3, 3]), scope="s", **first)
    return tf.batch_norm(made([4, 3, 3, size]), scope="s", **second)


def uninitialised() -> None:
    x = made([4, 3, 3, 3])
    out = tf.batch_norm(x, is_training=False, scope="bn")
    with tf.Session() as session:
        session.run(out, {x: FED[x]})


SPECIAL: dict[str, Callable[[], Any]] = {
    "batch_norm(x[4,...], batch_weights of shape [5])": lambda: batch_norm(
        batch_weights=tf.constant([1.0] * 5)
    ),
    "batch_norm(x[4,...], batch_weights of shape [4,1])": lambda: batch_norm(
        batch_weights=tf.constant([[1.0]] * 4)
    ),
    "batch_norm(x[4,...], batch_weights of shape [1])": lambda: batch_norm(batch_weights=tf.constant([1.0])),
    "batch_norm(x, scope='s'); batch_norm(x, scope='s')": lambda: after({}, {}),
    "batch_norm(x, scope='s') then batch_norm(x, scope='s', reuse=False)": lambda: after(
        {}, {"reuse": False}
    ),
    "batch_norm(x, scope='s', reuse=tf.AUTO_REUSE) twice": lambda: twice(scope="s", reuse=tf.AUTO_REUSE),
    "batch_norm(x) twice without scope": lambda: twice(),
    "batch_norm(x, scope='s', updates_collections=None) twice": lambda: twice(
        scope="s", updates_collections=None
    ),
    "batch_norm(x[...,3], scope='s'); batch_norm(x[...,5], scope='s', reuse=True)": lambda: after(
        {}, {"reuse": True}, 5
    ),
    "batch_norm(x, scope='s', scale=False); batch_norm(x, scope='s', scale=True, reuse=True)": lambda: after(
        {"scale": False}, {"scale": True, "reuse": True}
    ),
    "batch_norm(x, scope='s'); batch_norm(x, scope='s', renorm=True, reuse=True)": lambda: after(
        {}, {"renorm": True, "reuse": True}
    ),
    "batch_norm(x, scope='s'); batch_norm(x, scope='s', zero_debias_moving_mean=True, reuse=True)": lambda: (
        after({}, {"zero_debias_moving_mean": True, "reuse": True})
    ),
    "l2_regularizer(1) (int)": lambda: tf.contrib.layers.l2_regularizer(1),
    "bool(tf.Variable(False))  /  if tf.Variable(False):": lambda: bool(tf.Variable(False)),
    "bool(tf.constant(False))  /  if tf.constant(False):": lambda: bool(tf.constant(False)),
    "not tf.placeholder(tf.bool)": lambda: not tf.placeholder(tf.bool),
    "moments(int32 [1,2,4,4], axes=[0])": lambda: [
        int(t) for t in tf.Session().run(tf.nn.moments(tf.constant([1, 2, 4, 4]), [0]))
    ],
    "batch_normalization(x[4,3], params of shape [4])": lambda: normalization([4]),
    "batch_normalization(x[4,3], variance_epsilon=None)": lambda: normalization([3], None),
    "batch_normalization(x[4,3], params of shape [2,4,3]) (broadcasts up)": lambda: tuple(
        normalization([2, 4, 3]).get_shape().as_list()
    ),
    "EMA(decay=1.5).apply([v]): v 1,2 -> 3,4": lambda: average_of(1.5),
    "EMA(decay=-0.5).apply([v]): v 1,2 -> 3,4": lambda: average_of(-0.5),
    "EMA(decay=None).apply([v])": lambda: average_of(None),
    "EMA(0.9).apply([int variable])": lambda: tf.train.ExponentialMovingAverage(0.9).apply([tf.Variable(1)]),
    "EMA(0.9).apply([bool variable])": lambda: tf.train.ExponentialMovingAverage(0.9).apply(
        [tf.Variable(True)]
    ),
    "EMA(0.9).apply([python float])": lambda: tf.train.ExponentialMovingAverage(0.9).apply([1.0]),
    "EMA(0.9).apply([numpy array])": lambda: tf.train.ExponentialMovingAverage(0.9).apply(
        [np.ones(2, np.float32)]
    ),
    "EMA(0.9).average(v) before apply": lambda: tf.train.ExponentialMovingAverage(0.9).average(
        tf.Variable(1.0)
    ),
    "e=EMA(0.9); e.apply([v]); e.apply([v])": lambda: shadow_names(repeat=2),
    "EMA(0.9).apply() with no trainable variables": lambda: (
        tf.train.ExponentialMovingAverage(0.9).apply() and None
    ),
    "EMA(0.9).apply() with trainable a and non-trainable b": lambda: shadow_names(frozen=True),
    "batch_norm output run before variables are initialised": uninitialised,
}


def normalization(shape: list[int], epsilon: float | None = 0.001) -> Any:
    parameters = [tf.constant(np.ones(shape, np.float32))] * 4
    return tf.nn.batch_normalization(tf.placeholder(tf.float32, [4, 3]), *parameters, epsilon)


def batch_norm(**options: Any) -> Any:
    return tf.batch_norm(made([4, 3, 3, 3]), **options)


# How the record describes inputs, and the expression that makes them.
INPUTS: list[tuple[str, str]] = [
    (r"x of unknown rank", "made(None)"),
    (r"x scalar", "made([])"),
    (r"x int32", "made([4, 3, 3, 3], tf.int32, np.ones((4, 3, 3, 3)))"),
    (r"x float64", "made([4, 3, 3, 3], tf.float64)"),
    (r"x ?\[5\]", "made([5])"),
    (r"x\[0,3,3,3\]", "made([0, 3, 3, 3])"),
    (r"x\[4,3\]", "made([4, 3])"),
    (r"x\[\.\.\.,3\]", "made([4, 3, 3, 3])"),
    (r"x (\[None[^\]]*\])", r"channels(\1)"),
    (r"\(x(?=[,)])", "(made([4, 3, 3, 3])"),
    (r"<int32 placeholder>", "tf.placeholder(tf.int32, [])"),
    (r"<bool vector placeholder>", "tf.placeholder(tf.bool, [2])"),
    (r"\{'beta': constant\(\[1,2\]\)\}", "{'beta': tf.constant_initializer([1.0, 2.0])}"),
    (r"\{'unknown': \.\.\.\}", "{'unknown': tf.ones_initializer()}"),
    (r"\{'unknown': l2\}", "{'unknown': tf.contrib.layers.l2_regularizer(0.1)}"),
    (r"batch_weights=w", "batch_weights=tf.constant([1.0, 2.0, 3.0, 4.0])"),
    (r" on CPU$| \(empty batch\)$", ""),
]


def expression(call: str) -> str:
    for pattern, replacement in INPUTS:
        call = re.sub(pattern, replacement, call)
    return call


def evaluate(call: str) -> Any:
    if call in SPECIAL:
        return SPECIAL[call]()
    names = {
        "tf": tf,
        "np": np,
        "made": made,
        "channels": channels,
        "batch_norm": tf.batch_norm,
        "moments": tf.nn.moments,
        "l2_regularizer": tf.contrib.layers.l2_regularizer,
    }
    return eval(expression(call), names)


@pytest.fixture(autouse=True)
def fresh_graph() -> Iterator[None]:
    FED.clear()
    with tf.Graph().as_default(), warnings.catch_warnings():
        warnings.simplefilter("ignore", tf.TrapWarning)
        yield


@pytest.mark.parametrize("record", [r for r in RECORDED if r["raises"]], ids=lambda r: r["call"])
def test_raises_as_tensorflow(record: dict[str, Any]) -> None:
    with pytest.raises(KINDS[record["raises"]]) as caught:
        evaluate(record["call"])
    if record["message"].startswith(SAME_WORDS):
        assert record["message"] in str(caught.value)


@pytest.mark.parametrize("record", [r for r in RECORDED if not r["raises"]], ids=lambda r: r["call"])
def test_runs_as_tensorflow(record: dict[str, Any]) -> None:
    result = evaluate(record["call"])
    observed = record.get("observed")
    if observed is None:
        return
    if not isinstance(result, tf.Tensor):
        listed = sorted(result) if isinstance(result, list) and observed.startswith("['") else result
        assert str(listed) == observed
        return
    expected = eval(observed, {"nan": float("nan")})
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        out, _ = session.run((result, updates), FED)
        moving = session.run({v.op.name.split("/")[-1]: v for v in tf.model_variables()})
    if isinstance(expected, tuple):
        assert out.shape == expected
        return
    assert bool(np.isfinite(out).all()) is expected["finite"]
    assert str(out.dtype) == expected["out_dtype"]
    if "fused_op_in_graph" in expected:
        fused = any("FusedBatchNorm" in name for name in tf.get_default_graph().operations)
        assert fused is expected["fused_op_in_graph"]
    if "moving_mean" in expected and np.isnan(expected["moving_mean"]).all():
        assert np.isnan(moving["moving_mean"]).all()
        assert np.isnan(moving["moving_variance"]).all()


def test_every_record_is_replayed() -> None:
    for record in RECORDED:
        if record["call"] not in SPECIAL:
            compile(expression(record["call"]), record["call"], "eval")
