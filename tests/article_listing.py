"""The article's listing, nearly as printed.

Changed: the two imports (``tensorflow`` is ``bnstudy.tf1``), the data and the number of steps are
arguments, and ``FIXED`` shows the repair. ``init_cnn`` is not in the article: these are the standard
helpers of tutorials of its time, an assumption.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import bnstudy.tf1 as tf
from bnstudy.tf1.contrib.layers.python.layers import batch_norm

Batches = Iterator[tuple[np.ndarray, np.ndarray]]


# --- init_cnn (assumed) ---


def weight_variable(shape: list[int]) -> Any:
    return tf.Variable(tf.truncated_normal(shape, stddev=0.1))


def bias_variable(shape: list[int]) -> Any:
    return tf.Variable(tf.constant(0.1, shape=shape))


def conv2d(x: Any, w: Any) -> Any:
    return tf.nn.conv2d(x, w, strides=[1, 1, 1, 1], padding="SAME")


def max_pool_2x2(x: Any) -> Any:
    return tf.nn.max_pool(x, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")


def avg_pool_4x4(x: Any) -> Any:
    return tf.nn.avg_pool(x, ksize=[1, 4, 4, 1], strides=[1, 4, 4, 1], padding="SAME")


# --- the article ---


def batch_norm_layer(value: Any, train: Any = None, name: str = "batch_norm") -> Any:
    if train is not False:
        return batch_norm(value, decay=0.9, updates_collections=None, is_training=True)
    else:
        return batch_norm(value, decay=0.9, updates_collections=None, is_training=False)


def batch_norm_fixed(value: Any, train: Any = None, name: str = "batch_norm") -> Any:
    return batch_norm(value, decay=0.9, updates_collections=None, is_training=train)


Norm = Callable[[Any, Any], Any]


def network(x: Any, train: Any, norm: Norm = batch_norm_layer) -> tuple[Any, list[Any]]:
    x_image = tf.reshape(x, [-1, 32, 32, 3])

    w_conv1 = weight_variable([3, 3, 3, 64])
    b_conv1 = bias_variable([64])
    h_conv1 = tf.nn.relu(norm(conv2d(x_image, w_conv1) + b_conv1, train))
    h_pool1 = max_pool_2x2(h_conv1)

    w_conv2 = weight_variable([3, 3, 64, 64])
    b_conv2 = bias_variable([64])
    h_conv2 = tf.nn.relu(norm(conv2d(h_pool1, w_conv2) + b_conv2, train))
    h_pool2 = max_pool_2x2(h_conv2)

    w_conv3 = weight_variable([3, 3, 64, 32])
    b_conv3 = bias_variable([32])
    h_conv3 = tf.nn.relu(norm(conv2d(h_pool2, w_conv3) + b_conv3, train))
    h_pool3 = max_pool_2x2(h_conv3)

    w_conv4 = weight_variable([3, 3, 32, 16])
    b_conv4 = bias_variable([16])
    h_conv4 = tf.nn.relu(norm(conv2d(h_pool3, w_conv4) + b_conv4, train))
    h_pool4 = max_pool_2x2(h_conv4)

    w_conv5 = weight_variable([3, 3, 16, 10])
    b_conv5 = bias_variable([10])
    h_conv5 = tf.nn.relu(norm(conv2d(h_pool4, w_conv5) + b_conv5, train))
    nt_hpool5 = avg_pool_4x4(h_conv5)
    nt_hpool5_flat = tf.reshape(nt_hpool5, [-1, 10])
    return nt_hpool5_flat, [h_conv1, h_conv2, h_conv3, h_pool4, h_conv5]


class Listing:
    """The graph of the listing, with what a test looks at."""

    def __init__(self, norm: Norm = batch_norm_layer, learning_rate: float = 1e-3) -> None:
        self.x = tf.placeholder(tf.float32, [None, 32, 32, 3])
        self.y = tf.placeholder(tf.float32, [None, 10])
        self.train = tf.Variable(tf.constant(False), trainable=False)
        self.logits, self.layers = network(self.x, self.train, norm)
        prediction = tf.nn.softmax(self.logits)
        self.cross_entropy = tf.reduce_mean(
            tf.nn.softmax_cross_entropy_with_logits(labels=self.y, logits=self.logits)
        )
        self.train_step = tf.train.AdamOptimizer(learning_rate).minimize(self.cross_entropy)
        correct = tf.equal(tf.argmax(prediction, 1), tf.argmax(self.y, 1))
        self.accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))

    def fit(self, session: Any, batches: Batches) -> list[float]:
        losses = []
        session.run(self.train.assign(True))
        for images, labels in batches:
            loss, _ = session.run([self.cross_entropy, self.train_step], {self.x: images, self.y: labels})
            losses.append(float(loss))
        session.run(self.train.assign(False))
        return losses
