"""The article's traps speak, each at the line that steps into it, and honest programs are left alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import bnstudy.tf1 as tf

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def fresh_graph() -> Iterator[None]:
    with tf.Graph().as_default():
        yield


def started() -> tf.Session:
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    return session


def layer(x: Any, train: Any, **options: Any) -> Any:
    return tf.batch_norm(x, decay=0.9, is_training=train, **options)


@pytest.mark.parametrize("way", ["assign", "load"])
def test_a_flag_that_nothing_reads_is_named(way: str) -> None:
    train = tf.Variable(tf.constant(False), name="train_flag")
    layer(tf.constant(X), train is not False, updates_collections=None)
    session = started()
    with pytest.warns(tf.TrapWarning, match=r"'train_flag' is assigned, .* is_training=train") as found:
        session.run(train.assign(False)) if way == "assign" else train.load(False, session)
    assert found[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session.run(train.assign(True))  # said once


@pytest.mark.parametrize("kind", ["read", "python false", "collection", "no flag", "float"])
def test_other_variables_and_graphs_are_left_alone(kind: str) -> None:
    train = tf.Variable(tf.constant(0.0 if kind == "float" else False), trainable=False)
    flag: Any = {"read": train, "python false": False}.get(kind, True)
    layer(tf.constant(X), flag, updates_collections=None if kind != "collection" else tf.GraphKeys.UPDATE_OPS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session = started()
        if kind != "no flag":
            session.run(train.assign(1.0 if kind == "float" else True))


def test_a_variable_as_a_python_flag_is_named() -> None:
    train = tf.Variable(False)
    with pytest.warns(tf.TrapWarning, match="a Variable is always true"):
        assert bool(train)


def network(**options: Any) -> tuple[Any, Any, Any]:
    x = tf.constant(X)
    w = tf.get_variable("w", [3, 3])
    out = layer(tf.matmul(x, w), True, scope="bn", **options)
    test = layer(tf.matmul(x, w), False, scope="bn", reuse=True, **options)
    return tf.reduce_mean(tf.square(out - 1.0)), test, w


@pytest.mark.parametrize("updates", ["never", "after", "with", "in place", "untrained"])
def test_update_operations_that_nobody_runs_are_named(updates: str) -> None:
    loss, test, _ = network(**({"updates_collections": None} if updates == "in place" else {}))
    kept = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    with tf.control_dependencies(kept if updates == "with" else []):
        step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    session = started()
    if updates != "untrained":
        session.run(step)
    if updates == "after":
        session.run(kept)
    if updates == "never":
        with pytest.warns(tf.TrapWarning, match="'bn/moving_mean' is used, and was never updated"):
            session.run(test)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session.run(test)  # said once, or not at all


def test_a_bias_before_batch_norm_is_named_once() -> None:
    b = tf.Variable(tf.zeros([3]), name="b")
    w = tf.constant(np.eye(3, dtype=np.float32))
    with pytest.warns(tf.TrapWarning, match="the bias 'b' before batch_norm does nothing in training"):
        layer(tf.matmul(tf.constant(X), w) + b, True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(tf.nn.bias_add(tf.matmul(tf.constant(X), w), b), True)
    with tf.Graph().as_default(), warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(tf.constant(X) + tf.constant([1.0, 2.0, 3.0]), True)
        layer(tf.constant(X) + tf.Variable([[1.0, 2.0, 3.0]] * 6), True)


def test_logits_behind_a_relu_are_named() -> None:
    labels = tf.constant(np.eye(3, dtype=np.float32)[[0, 1]])
    scores = tf.nn.relu(tf.placeholder(tf.float32, [2, 1, 1, 3]))
    with pytest.warns(tf.TrapWarning, match="come from the ReLU 'Relu'") as found:
        tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=tf.reshape(scores, [-1, 3]))
    assert found[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hidden = tf.nn.relu(tf.placeholder(tf.float32, [2, 3]))
        logits = tf.matmul(hidden, tf.constant(np.eye(3, dtype=np.float32)))
        tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits)
