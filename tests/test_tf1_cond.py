"""tf.cond runs, refuses and merges what TensorFlow's does: answers of TensorFlow 2.12.1 (compat.v1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import bnstudy.tf1 as tf


@pytest.fixture(autouse=True)
def fresh_graph() -> Iterator[None]:
    with tf.Graph().as_default():
        yield


def started() -> tf.Session:
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    return session


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("way", ["input", "control", "returned", "operation"])
def test_what_is_built_outside_runs_whichever_branch_is_taken(taken: bool, way: str) -> None:
    flag, v = tf.placeholder(tf.bool, []), tf.Variable(0.0, trainable=False)
    outside = v.assign_add(1.0)

    def branch() -> Any:
        if way == "input":
            return tf.identity(outside)
        if way == "control":
            with tf.control_dependencies([outside.op]):
                return tf.constant(1.0)
        if way == "returned":
            return outside
        return outside.op

    other = tf.no_op if way == "operation" else lambda: tf.constant(-1.0)
    y = tf.cond(flag, branch, other)
    with started() as session:
        got = session.run(y, {flag: taken})
        if way != "operation":
            assert got == (1.0 if taken else -1.0)
        assert session.run(v) == 1.0


@pytest.mark.parametrize("taken", [True, False])
def test_what_is_built_inside_runs_with_its_branch_alone(taken: bool) -> None:
    flag, v = tf.placeholder(tf.bool, []), tf.Variable(0.0)
    y = tf.cond(flag, lambda: v.assign_add(1.0), lambda: v.assign_sub(5.0))
    with started() as session:
        assert session.run(y, {flag: taken}) == (1.0 if taken else -5.0)
        assert session.run(v) == (1.0 if taken else -5.0)


@pytest.mark.parametrize("outer", [True, False])
@pytest.mark.parametrize("inner", [True, False])
def test_branches_nest(outer: bool, inner: bool) -> None:
    a, b = tf.placeholder(tf.bool, []), tf.placeholder(tf.bool, [])
    counts = [tf.Variable(0.0) for _ in range(3)]

    def both() -> Any:
        return tf.cond(b, lambda: counts[0].assign_add(1.0), lambda: counts[1].assign_add(1.0))

    y = tf.cond(a, both, lambda: counts[2].assign_add(1.0))
    with started() as session:
        assert session.run(y, {a: outer, b: inner}) == 1.0
        assert session.run(counts) == [outer and inner, outer and not inner, not outer]


def test_operations_of_a_branch_can_not_be_fetched_or_fed() -> None:
    flag, v, inside = tf.placeholder(tf.bool, []), tf.Variable(0.0), []

    def branch() -> Any:
        inside.append(v.assign_add(1.0))
        tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, inside[0])
        return tf.identity(inside[0])

    y = tf.cond(flag, branch, lambda: tf.constant(-1.0))
    with started() as session:
        for fetch in (inside[0], inside[0].op, tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            with pytest.raises(ValueError, match="'cond/AssignAdd' has been marked as not fetchable"):
                session.run(fetch, {flag: True})
        with pytest.raises(ValueError, match="may not be fed"):
            session.run(y, {flag: True, inside[0]: 3.0})
        assert session.run(v) == 0.0


def test_what_depends_on_a_branch_from_outside_is_dead_without_it() -> None:
    """With the branch not taken a group of such updates does nothing, and a value of it is an error."""
    flag, v, w, inside = tf.placeholder(tf.bool, []), tf.Variable(0.0), tf.Variable(0.0), []

    def branch() -> Any:
        inside.append(v.assign_add(1.0))
        return tf.identity(inside[0])

    tf.cond(flag, branch, lambda: tf.constant(-1.0))
    with tf.control_dependencies(inside):
        step = w.assign_add(1.0)
    train = tf.group(step)
    with started() as session:
        session.run(train, {flag: True})
        assert session.run([v, w]) == [1.0, 1.0]
        session.run(train, {flag: False})
        assert session.run([v, w]) == [1.0, 1.0]
        assert session.run(step, {flag: True}) == 2.0
        with pytest.raises(tf.errors.InvalidArgumentError, match="does not have a value"):
            session.run(step, {flag: False})


def test_variables_made_in_a_branch_belong_to_no_branch() -> None:
    flag = tf.placeholder(tf.bool, [])
    y = tf.cond(flag, lambda: tf.get_variable("v", [2]) * 0.0, lambda: tf.constant([1.0, 2.0]))
    assert [v.name for v in tf.global_variables()] == ["v:0"]
    with started() as session:
        assert session.run(y, {flag: True}).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="inside a control-flow construct"):
        tf.cond(flag, lambda: tf.Variable(tf.constant(1.0)) + 1.0, lambda: tf.constant(1.0))


def test_structures_come_back_and_operations_as_flags() -> None:
    flag = tf.placeholder(tf.bool, [])
    bare = tf.cond(flag, lambda: [tf.constant(1.0)], lambda: [tf.constant(2.0)])
    named = tf.cond(flag, lambda: {"a": tf.constant(1.0)}, lambda: {"a": tf.constant(2.0)})
    nested = tf.cond(
        flag, lambda: (tf.constant(1.0), [tf.constant(2)]), lambda: (tf.constant(3.0), [tf.constant(4)])
    )
    ops = tf.cond(flag, fn1=tf.no_op, fn2=tf.no_op)
    assert (bare.name, ops.dtype) == ("cond/Merge:0", tf.bool)
    with started() as session:
        got = session.run([bare, named, nested], {flag: False})
        assert got == [2.0, {"a": 2.0}, (3.0, [4])]
        session.run(ops, {flag: False})


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (lambda: None, lambda: None, "'true_fn' must have a return value"),
        (lambda: tf.constant(1.0), lambda: None, "'false_fn' must have a return value"),
        (lambda: (tf.constant(1.0),) * 2, lambda: tf.constant(1.0), "same nested structure"),
        (lambda: tf.constant(1.0), lambda: tf.constant(1), "Received float32 from 'true_fn' and int32"),
    ],
)
def test_branches_that_differ_are_refused(one: Any, other: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tf.cond(tf.placeholder(tf.bool, []), one, other)


def test_evaluation_moves_averages_where_the_update_stands_outside() -> None:
    """The most-copied helper: both calls outside, cond picks. Its evaluation moves what it reads."""
    x, phase = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.bool, [])
    common = {"decay": 0.5, "updates_collections": None, "scope": "bn"}
    train = tf.batch_norm(x, is_training=True, **common)
    test = tf.batch_norm(x, is_training=False, reuse=True, **common)
    y = tf.cond(phase, lambda: train, lambda: test)
    with started() as session:
        session.run(y, {x: np.ones((4, 3)), phase: False})
        np.testing.assert_allclose(session.run("bn/moving_mean:0"), [0.5, 0.5, 0.5])


def test_a_reader_that_waits_for_a_change_sees_it() -> None:
    v = tf.Variable(1.0)
    add = v.assign_add(2.0)
    before = v * 10.0
    with tf.control_dependencies([add]):
        after = v * 10.0
        picked = tf.cond(tf.constant(True), lambda: v, lambda: tf.constant(0.0))
        derivative = tf.gradients(v * v, v)[0]
    with started() as session:
        assert session.run([before, after, picked]) == [10.0, 30.0, 3.0]
    with started() as session:
        assert session.run(derivative) == 2.0 * 3.0
