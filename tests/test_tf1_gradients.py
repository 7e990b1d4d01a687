"""tf.gradients: of any order, none where TensorFlow has none, and of the tensor that is asked of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bnstudy.tf1 as tf


@pytest.fixture(autouse=True)
def fresh_graph() -> Iterator[None]:
    with tf.Graph().as_default():
        yield


def test_a_gradient_penalty_trains() -> None:
    """TensorFlow's values: 88.0 and 2.912."""
    w, x = tf.Variable(3.0), tf.constant(2.0)
    g = tf.gradients(w * x * x, [x])[0]
    penalty = tf.square(g - 1.0)
    derivative = tf.gradients(penalty, [w])[0]
    step = tf.train.GradientDescentOptimizer(0.001).minimize(penalty)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run([penalty, derivative]) == [121.0, 88.0]
        session.run(step)
        np.testing.assert_allclose(session.run(w), 2.912, rtol=1e-6)


@settings(max_examples=15, deadline=None)
@given(order=st.integers(1, 4), power=st.integers(1, 5), x=st.floats(0.5, 2.0))
def test_derivatives_of_any_order(order: int, power: int, x: float) -> None:
    with tf.Graph().as_default():
        source = tf.placeholder(tf.float64, [])
        value = source**power
        for _ in range(order):
            value = tf.gradients(value, source)[0]
        with tf.Session() as session:
            got = session.run(value, {source: x})
    factor = np.prod([power - k for k in range(order)])
    expected = factor * x ** (power - order) if order <= power else 0.0
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_second_derivatives_through_moments_take_the_mean_for_a_constant() -> None:
    """As TensorFlow does: it stops the mean's gradient in the variance, which no first derivative shows."""
    x = tf.placeholder(tf.float64, [3])
    _, variance = tf.nn.moments(x, [0])
    first = tf.gradients(variance, x)[0]
    second = tf.gradients(tf.reduce_sum(first * tf.constant([1.0, 0.0, 0.0], tf.float64)), x)[0]
    with tf.Session() as session:
        got = session.run([first, second], {x: [1.0, 2.0, 6.0]})
    np.testing.assert_allclose(got[0], 2 / 3 * (np.array([1.0, 2.0, 6.0]) - 3.0))
    np.testing.assert_allclose(got[1], [2 / 3, 0.0, 0.0])  # with the mean's part: [4 / 9, -2 / 9, -2 / 9]


def test_second_derivatives_through_batch_norm_equal_finite_differences() -> None:
    rng = np.random.default_rng(0)
    x, c = tf.placeholder(tf.float64, [5, 2]), rng.normal(size=(5, 2))
    out = tf.batch_norm(x, fused=False, decay=0.5, is_training=False)
    g = tf.gradients(tf.reduce_sum(out * out * out * c), x)[0]
    h = tf.gradients(tf.reduce_sum(g * g), x)[0]
    at, step = rng.normal(size=(5, 2)), 1e-5
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        exact = session.run(h, {x: at})

        def value(point: np.ndarray) -> float:
            return float((session.run(g, {x: point}) ** 2).sum())

        for i in range(5):
            shift = np.zeros((5, 2))
            shift[i, 0] = step
            slope = (value(at + shift) - value(at - shift)) / (2 * step)
            np.testing.assert_allclose(exact[i, 0], slope, rtol=1e-6, atol=1e-8)


def test_no_path_is_none_and_a_path_that_does_nothing_is_zero() -> None:
    x, v = tf.placeholder(tf.float32, [3]), tf.Variable(1.0)
    for y in (
        tf.stop_gradient(x) * 2.0,
        tf.cast(tf.cast(x, tf.int32), tf.float32),
        tf.cast(tf.argmax(x, 0), tf.float32),
        tf.zeros_like(x) * 2.0,
        tf.cast(tf.shape(x), tf.float32),
        tf.constant(1.0),
    ):
        assert tf.gradients(y, [x]) == [None]
    assert tf.gradients(v.assign_add(2.0) * 3.0, [v]) == [None]
    chosen = tf.gradients(tf.cond(tf.constant(False), lambda: x * 2.0, lambda: tf.constant([1.0] * 3)), x)[0]
    with tf.Session() as session:
        assert session.run(chosen, {x: [1.0, 2.0, 3.0]}).tolist() == [0.0] * 3


def test_the_derivative_is_by_the_tensor_asked_for() -> None:
    """An identity has the value of its input, and is another place to differentiate at."""
    x = tf.placeholder(tf.float32, [])
    y = tf.identity(x)
    z = x * y
    by_x, by_y = tf.gradients(z, [x, y])
    with tf.Session() as session:
        assert session.run([by_x, by_y], {x: 3.0}) == [6.0, 3.0]
        assert session.run(by_y, {x: 3.0}) == 3.0


def test_every_read_of_a_variable_counts() -> None:
    v = tf.Variable(2.0)
    total = tf.gradients(v * v.read_value(), v)[0]
    weighted = tf.gradients([v * 2.0, v * 5.0], v, grad_ys=[tf.constant(1.0), tf.constant(10.0)])[0]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run([total, weighted]) == [4.0, 52.0]
