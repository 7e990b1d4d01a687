"""Calls and spellings of TensorFlow 1's time, one expression each, and what is looked at of them.

``record_tf1_programs`` evaluates them with real TensorFlow, ``test_tf1_calls`` with ``bnstudy.tf1``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

CALLS = """
x + 1.0
1.0 - x
2 * x
x / 2
x ** 2.0
x // 2.0
x % 2.0
-x
abs(x)
n / 2
n // 2
2 // n
n % 2
x > 1.0
x >= 1.0
x < v
x <= 1.0
(x > 1.0) & (x < 2.0)
(x > 1.0) | (x < 0.0)
~(x > 1.0)
x @ tf.transpose(x)
x * np.ones(3)
np.float64(2.0) * x
x[0]
x[:, 1]
x[:, 1:]
x[..., None]
x[1:3, ::2]
x[tf.shape(x)[0] - 1]
n + 1.5
x * n
tf.constant(1.5, tf.int32)
tf.constant([1, 2.5])
tf.constant(1, "float")
tf.constant(0.1, shape=[2, 2])
tf.cast(x, tf.float32)
tf.cast(x, "float")
tf.cast(x, tf.int32)
tf.cast(x > 1.0, "float")
tf.to_float(n)
tf.add(x, 1.0)
tf.subtract(x, v)
tf.multiply(x, 2.0)
tf.divide(x, 2.0)
tf.div(x, 2.0)
tf.div(n, 2)
tf.pow(x, 2.0)
tf.maximum(0.2 * x, x)
tf.minimum(x, 1.0)
tf.square(x)
tf.sqrt(tf.abs(x))
tf.rsqrt(tf.abs(x))
tf.exp(x)
tf.log(tf.abs(x))
tf.sign(x)
tf.tanh(x)
tf.sigmoid(x)
tf.equal(tf.argmax(x, 1), tf.argmax(x, 1))
tf.not_equal(n, 2)
tf.greater_equal(x, 1.0)
tf.less_equal(x, 1.0)
tf.logical_and(x > 0.0, x < 1.0)
tf.squared_difference(x, v)
tf.stop_gradient(x)
tf.identity(x, name="same")
tf.add_n([x, x, x])
tf.clip_by_value(x, 0.0, 1.0)
tf.matmul(x, x, transpose_b=True)
tf.reduce_mean(x)
tf.reduce_mean(x, 1)
tf.reduce_mean(im, [1, 2], keep_dims=True)
tf.reduce_mean(n)
tf.reduce_sum(x, reduction_indices=[1])
tf.reduce_sum(x, 1, keep_dims=True)
tf.reduce_sum(x, axis=-1, keepdims=True)
tf.reduce_max(x, 0)
tf.reduce_min(x)
tf.reduce_prod(x, 1)
tf.reduce_any(x > 1.0, 1)
tf.reduce_all(x > 1.0)
tf.argmax(x, 1)
tf.argmax(x, axis=1, output_type=tf.int32)
tf.argmin(x, dimension=1)
tf.shape(x)
tf.size(x)
tf.reshape(x, [-1])
tf.reshape(x, (2, 6))
tf.reshape(x, [tf.shape(x)[0], -1])
tf.reshape(x, [tf.shape(x)[0], 3, 1])
tf.reshape(x, tf.stack([tf.shape(x)[0], 3]))
tf.reshape(c, [-1, 2])
tf.reshape(c, [-1, 5])
tf.reshape(c, [2, 2])
tf.reshape(im, [-1, im.get_shape()[1] * im.get_shape()[2] * im.get_shape()[3]])
tf.reshape(im, [-1, int(np.prod(im.get_shape()[1:]))])
tf.transpose(x)
tf.transpose(im, [0, 3, 1, 2])
tf.concat([x, x], 1)
tf.concat([im, im], axis=-1)
tf.concat(values=[c, c], axis=0)
tf.concat(1, [c, c])
tf.stack([v, v])
tf.stack([x, x], axis=1)
tf.unstack(c)[1]
tf.split(c, 2, 0)[1]
tf.split(x, 3, 1)[2]
tf.split(c, [1, 3], 0)[1]
tf.expand_dims(x, 1)
tf.expand_dims(x, dim=-1)
tf.squeeze(tf.expand_dims(c, 1))
tf.squeeze(tf.expand_dims(x, 1), [1])
tf.squeeze(c, [0])
tf.pad(x, [[0, 0], [1, 2]])
tf.pad(im, [[0, 0], [1, 1], [2, 1], [0, 0]], "REFLECT")
tf.pad(c, [[1, 1], [0, 2]], mode="SYMMETRIC")
tf.tile(x, [1, 2])
tf.zeros([2, 3])
tf.zeros(tf.shape(x))
tf.ones([tf.shape(x)[0], 2])
tf.ones([2], tf.int32)
tf.fill([2, 2], 3.0)
tf.zeros_like(x)
tf.ones_like(n)
tf.ones_like(x, dtype=tf.int32)
tf.where(x > 1.0, x, -x)
tf.where(tf.reduce_any(x > 2.0, 1), x, -x)
tf.one_hot(tf.argmax(x, 1), 3)
tf.one_hot(n, 4, 2.0, -1.0)
tf.nn.relu(x)
tf.nn.relu6(4.0 * x)
tf.nn.elu(x)
tf.nn.softplus(x)
tf.nn.leaky_relu(x)
tf.nn.leaky_relu(x, 0.1)
tf.nn.softmax(x)
tf.nn.log_softmax(x)
tf.nn.l2_loss(x)
tf.nn.bias_add(im, [1.0, 2.0])
tf.nn.xw_plus_b(x, tf.ones([3, 2]), [1.0, 2.0])
tf.nn.dropout(x, 1.0)
tf.nn.dropout(x, 0.0)
tf.nn.dropout(x, 1.5)
tf.nn.dropout(x, keep_prob=one)
tf.nn.conv2d(im, k, [1, 1, 1, 1], "SAME")
tf.nn.conv2d(im, k, strides=[1, 2, 2, 1], padding="SAME", name="conv")
tf.nn.conv2d(im, k, [1, 2, 2, 1], "VALID")
tf.nn.conv2d(x, k, [1, 1, 1, 1], "SAME")
tf.nn.conv2d(im, tf.ones([3, 3, 5, 1]), [1, 1, 1, 1], "SAME")
tf.nn.conv2d(im, tf.ones([9, 9, 2, 1]), [1, 1, 1, 1], "VALID")
tf.nn.conv2d_transpose(im, k2, [4, 14, 10, 3], [1, 2, 2, 1])
tf.nn.conv2d_transpose(im, k2, [4, 13, 9, 3], [1, 2, 2, 1], padding="SAME")
tf.nn.conv2d_transpose(im, k2, [4, 15, 11, 3], [1, 2, 2, 1], padding="VALID")
tf.nn.conv2d_transpose(im, k2, [tf.shape(im)[0], 16, 12, 3], [1, 2, 2, 1], padding="VALID")
tf.nn.max_pool(im, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
tf.nn.max_pool(im, [1, 3, 3, 1], [1, 2, 2, 1], padding="VALID")
tf.nn.avg_pool(im, [1, 3, 3, 1], [1, 2, 2, 1], "SAME")
tf.nn.avg_pool(im, [1, 2, 2, 1], [1, 2, 2, 1], "VALID")
tf.nn.moments(im, [0, 1, 2])[1]
tf.nn.moments(im, [0, 1, 2], keep_dims=True)[0]
tf.nn.moments(n, [0])[1]
tf.nn.batch_normalization(x, v, tf.abs(v), None, 2.0, 0.1)
tf.nn.batch_normalization(x, v, tf.abs(v), v, None, tf.constant(0.1))
tf.nn.batch_norm_with_global_normalization(x, v, tf.abs(v), v, v, 0.001, True)
tf.nn.batch_norm_with_global_normalization(x, v, tf.abs(v), v, v, 0.001, False)
tf.nn.fused_batch_norm(im, [1.0, 2.0], [0.5, 0.0])[0]
tf.nn.fused_batch_norm(im, [1.0, 2.0], [0.5, 0.0])[2]
tf.nn.fused_batch_norm(im, [1.0, 2.0], [0.5, 0.0], [0.1, 0.2], [1.0, 2.0], is_training=False)[0]
tf.nn.fused_batch_norm(im, [1.0, 2.0], [0.5, 0.0], is_training=False)[0]
tf.nn.softmax_cross_entropy_with_logits(labels=tf.nn.softmax(x), logits=x)
tf.nn.softmax_cross_entropy_with_logits_v2(labels=tf.nn.softmax(x), logits=2.0 * x)
tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.argmax(-x, 1), logits=x)
tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.sigmoid(x), logits=x)
tf.nn.sigmoid_cross_entropy_with_logits(labels=c, logits=v)
tf.gradients(tf.nn.softmax_cross_entropy_with_logits(labels=tf.nn.softmax(x), logits=2.0 * x), x)[0]
tf.gradients(tf.nn.softmax_cross_entropy_with_logits_v2(labels=tf.nn.softmax(x), logits=2.0 * x), x)[0]
tf.gradients(tf.clip_by_value(x, 0.0, 1.0), x)[0]
tf.gradients(tf.maximum(0.2 * x, x), [x])[0]
tf.gradients(tf.reduce_max(x, 1), x)[0]
tf.gradients(tf.abs(x) + tf.sign(x), x)[0]
tf.gradients(tf.nn.fused_batch_norm(im, [1.0, 2.0], [0.5, 0.0])[1] * 3.0, im)[0]
tf.gradients(tf.nn.avg_pool(im, [1, 3, 3, 1], [1, 2, 2, 1], "SAME"), im)[0]
tf.train.exponential_decay(0.1, 7, 3, 0.5)
tf.train.exponential_decay(0.1, 7, 3, 0.5, staircase=True)
tf.train.piecewise_constant(tf.constant(4), [3, 5], [1.0, 2.0, 3.0])
tf.get_variable("b", 4, initializer=tf.zeros_initializer)
tf.get_variable("b", x.get_shape()[-1], initializer=tf.ones_initializer())
tf.get_variable("b", initializer=tf.constant([1.0, 2.0]))
tf.get_variable("b", initializer=3.5)
tf.get_variable("b", [2], initializer=tf.constant(1.0))
tf.get_variable("b", shape=[2, 2], initializer=tf.constant_initializer(0.5), dtype="float")
tf.get_variable("b", [None, 2])
tf.Variable(tf.zeros([2]), name="w").assign([1.0, 2.0])
tf.assign_add(tf.Variable(1.0), 2.0)
tf.layers.flatten(im)
tf.layers.dense(x, 2, kernel_initializer=tf.ones_initializer())
tf.layers.dense(im, 2, tf.nn.relu, False, tf.ones_initializer(), name="fc")
tf.layers.conv2d(im, 3, 3, kernel_initializer=tf.ones_initializer(), activation=tf.nn.tanh)
tf.layers.conv2d(im, 3, [3, 2], (2, 1), "same", use_bias=False, kernel_initializer=tf.ones_initializer())
tf.layers.conv2d_transpose(im, 3, 3, 2, "same", kernel_initializer=tf.ones_initializer())
tf.layers.conv2d_transpose(im, 3, [5, 3], (1, 2), "valid", kernel_initializer=tf.ones_initializer())
tf.layers.max_pooling2d(im, 2, 2)
tf.layers.average_pooling2d(im, [2, 2], 2, "same")
tf.layers.dropout(x, 0.5, training=False)
tf.layers.batch_normalization(im)
tf.layers.batch_normalization(x, training=True)
tf.layers.batch_normalization(im, axis=1, training=True, fused=False)
tf.layers.batch_normalization(im, training=tf.constant(True), center=False, scale=False, name="bn")
tf.layers.batch_normalization(im, training=flag)
tf.contrib.layers.conv2d(im, 3, 3, weights_initializer=tf.ones_initializer())
tf.contrib.layers.conv2d(im, 3, [3, 3], 2, "VALID", weights_initializer=tf.ones_initializer())
tf.contrib.layers.fully_connected(x, 2, weights_initializer=tf.ones_initializer(), scope="fc")
tf.contrib.slim.flatten(im)
tf.contrib.slim.max_pool2d(im, [2, 2])
tf.contrib.slim.avg_pool2d(im, 3, stride=1, padding="SAME")
tf.contrib.slim.dropout(x, 0.5, is_training=False)
tf.contrib.slim.conv2d_transpose(im, 3, [3, 3], 2, weights_initializer=tf.ones_initializer())
tf.group(x, tf.no_op())
tf.tuple([x, v])[1]
tf.placeholder_with_default([1.0, 2.0], [None])
tf.cond(flag, lambda: x, lambda: -x)
tf.cond(flag, lambda: c, lambda: v)
tf.make_template("t", lambda: tf.get_variable("q", [1], initializer=tf.ones_initializer()))()
tf.contrib.layers.l2_regularizer(0.1)(x)
""".strip().splitlines()


def look(tf: Any, call: str) -> dict[str, Any]:
    """Return name, type, static shape and value of an expression, or the kind of error that it raises."""
    rng = np.random.default_rng(0)
    shapes = {"x": (4, 3), "v": (3,), "im": (4, 7, 5, 2), "k": (3, 3, 2, 3), "k2": (3, 3, 3, 2), "c": (4, 3)}
    drawn = {name: rng.normal(0.5, 1.5, shape).astype(np.float32) for name, shape in shapes.items()}
    with tf.Graph().as_default():
        names: dict[str, Any] = {"tf": tf, "np": np}
        names["x"] = tf.placeholder(tf.float32, [None, 3], name="x")
        names["im"] = tf.placeholder(tf.float32, [None, 7, 5, 2], name="im")
        names["n"] = tf.placeholder(tf.int32, [4], name="n")
        names["flag"] = tf.placeholder(tf.bool, [], name="flag")
        names["one"] = tf.placeholder(tf.float32, name="one")
        for name in ("v", "k", "k2", "c"):
            names[name] = tf.constant(drawn[name], name=name)
        feed = {names["x"]: drawn["x"], names["im"]: drawn["im"], names["n"]: [3, 1, -2, 5]}
        feed.update({names["flag"]: False, names["one"]: 1.0})
        try:
            found = eval(call, names)
        except (ValueError, TypeError, NotImplementedError) as error:
            return {
                "raises": type(error).__name__ if type(error) in (ValueError, TypeError) else "ValueError"
            }
        if not hasattr(found, "dtype"):
            return {"name": found.name}
        shape = found.get_shape()
        facts = {
            # Derivatives have names of their own here.
            "name": None if call.startswith("tf.gradients") else found.name,
            "dtype": tf.as_dtype(found.dtype).base_dtype.name,
            "shape": None if shape.ndims is None else shape.as_list(),
        }
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            value = np.asarray(session.run(found, feed))
    flat = value.astype(np.float64).ravel()
    some = [*flat[:: max(1, flat.size // 20)], flat.sum(), np.square(flat).sum()]
    return {**facts, "size": list(value.shape), "value": np.round(some, 4).tolist()}
