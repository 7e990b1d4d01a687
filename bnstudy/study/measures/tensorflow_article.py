"""The article's network in TensorFlow's graph mode: a script for TensorFlow's own environment.

It imports nothing of bnstudy, so that what it computes is TensorFlow's alone. Its options say how to train;
images, their order and the initial weights come from a file:

``train_images`` float32 [n, 32, 32, 3] and ``train_labels`` int64 [n]; ``test_images`` and ``test_labels``,
the same for the test set; ``orders`` int64 [epochs, n], the positions of the training images in the order of
each epoch; ``weights_1`` to ``weights_5`` float32 [3, 3, C_in, C_out]; ``biases_1`` to ``biases_5``
float32 [C_out].

It writes ``losses``, ``accuracies`` and ``seconds`` of each step, float64 [steps]; ``moving`` and ``batch``,
mean loss and accuracy on the test images with either statistics, float64 [2]; and the versions
``tensorflow`` and ``tf_slim``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf  # type: ignore[import-untyped]
import tf_slim  # type: ignore[import-not-found]
from numpy.typing import NDArray

LAYERS = 5
DECAY = 0.9
FORWARD_SIZE = 125  # images in a forward whose result does not depend on it

Arrays = dict[str, NDArray[Any]]


class Network:
    """The network's variables, and a graph over them for each way to call ``batch_norm``."""

    def __init__(self, initial: Arrays) -> None:
        self._weights = [tf.Variable(initial[f"weights_{i}"]) for i in range(1, LAYERS + 1)]
        self._biases = [tf.Variable(initial[f"biases_{i}"]) for i in range(1, LAYERS + 1)]
        self._built = False
        self.images = tf.placeholder(tf.float32, [None, 32, 32, 3])
        self.labels = tf.placeholder(tf.float32, [None, 10])

    def loss_and_accuracy(self, is_training: bool, updates_collections: str | None) -> tuple[Any, Any]:
        """Return the mean cross-entropy and the share of hits of a new graph over the same variables."""
        h = self.images
        for i, (weights, biases) in enumerate(zip(self._weights, self._biases, strict=True), start=1):
            h = tf.nn.conv2d(h, weights, strides=[1, 1, 1, 1], padding="SAME") + biases
            h = tf_slim.batch_norm(
                h,
                decay=DECAY,
                updates_collections=updates_collections,
                is_training=is_training,
                # The article's signature says so; tf-slim's default is another implementation.
                fused=False,
                scope=f"batch_norm_{i}",
                reuse=self._built,
            )
            h = tf.nn.relu(h)
            if i < LAYERS:
                h = tf.nn.max_pool(h, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
        self._built = True
        h = tf.nn.avg_pool(h, ksize=[1, 4, 4, 1], strides=[1, 4, 4, 1], padding="SAME")
        logits = tf.reshape(h, [-1, 10])
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=self.labels, logits=logits))
        hits = tf.equal(tf.argmax(logits, 1), tf.argmax(self.labels, 1))
        return loss, tf.reduce_mean(tf.cast(hits, tf.float32))

    def feed(self, images: NDArray[Any], labels: NDArray[Any]) -> dict[Any, NDArray[Any]]:
        """Return what a session is fed with: images, and labels as one-hot classes."""
        return {self.images: images, self.labels: np.eye(10, dtype=np.float32)[labels]}


def main() -> None:
    """Train, evaluate, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("given", help="file of images, orders and initial weights (.npz)")
    parser.add_argument("result", help="file to write (.npz)")
    parser.add_argument("--updates", choices=("in_place", "with_step", "never"), required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    tf.disable_v2_behavior()
    with np.load(options.given) as archive:
        given = dict(archive)
    result = run(given, options.updates, options.learning_rate, options.batch_size, options.threads)
    result["tensorflow"] = np.array(tf.__version__)
    result["tf_slim"] = np.array(importlib.metadata.version("tf-slim"))
    np.savez(options.result, **result)  # type: ignore[arg-type]


def run(given: Arrays, updates: str, learning_rate: float, batch_size: int, threads: int) -> Arrays:
    """Return losses, accuracies and seconds of each step, and the evaluations with either statistics."""
    net = Network(given)
    collection = None if updates == "in_place" else tf.GraphKeys.UPDATE_OPS
    training = net.loss_and_accuracy(True, collection)
    optimizer = tf.train.AdamOptimizer(learning_rate)
    # Read before the other graphs are built: theirs aren't the training step's.
    with tf.control_dependencies(
        tf.get_collection(tf.GraphKeys.UPDATE_OPS) if updates == "with_step" else []
    ):
        step = optimizer.minimize(training[0])
    moving = net.loss_and_accuracy(False, collection)
    # A collection that nobody runs: an evaluation leaves the moving averages alone.
    batch = net.loss_and_accuracy(True, "unused")

    # One operation after another, so that a step's time is that of so many threads and no more.
    config = tf.ConfigProto(
        intra_op_parallelism_threads=threads, inter_op_parallelism_threads=1, device_count={"GPU": 0}
    )
    with tf.Session(config=config) as session:
        session.run(tf.global_variables_initializer())
        steps = _train(session, net, [*training, step], given, batch_size)
        return {
            "losses": steps[0],
            "accuracies": steps[1],
            "seconds": steps[2],
            "moving": _evaluate(session, net, moving, given, FORWARD_SIZE),
            "batch": _evaluate(session, net, batch, given, batch_size),
        }


def _train(session: Any, net: Network, fetches: list[Any], given: Arrays, batch_size: int) -> NDArray[Any]:
    """Return loss, accuracy and seconds of each step: [3, steps]."""
    rows = []
    for order in given["orders"]:
        for start in range(0, len(order), batch_size):
            index = order[start : start + batch_size]
            feed = net.feed(given["train_images"][index], given["train_labels"][index])
            began = time.perf_counter()
            loss, accuracy, _ = session.run(fetches, feed)
            rows.append((loss, accuracy, time.perf_counter() - began))
    return np.array(rows, dtype=np.float64).T


def _evaluate(session: Any, net: Network, fetches: Any, given: Arrays, size: int) -> NDArray[Any]:
    """Return mean loss and accuracy over the test images: [2]."""
    images, labels = given["test_images"], given["test_labels"]
    total = np.zeros(2)
    for part in _near_equal(len(labels), size):
        total += np.array(session.run(fetches, net.feed(images[part], labels[part]))) * (
            part.stop - part.start
        )
    return total / len(labels)


def _near_equal(images: int, size: int) -> Iterator[slice]:
    """Yield the fewest batches of at most ``size``: a last one of a few images would have poor moments."""
    batches = -(-images // size)
    start = 0
    for i in range(batches):
        stop = start + images // batches + (i < images % batches)
        yield slice(start, stop)
        start = stop


if __name__ == "__main__":
    main()
