"""Small programs in TensorFlow 1, each in the shape of a public repository's batch normalization.

Written for this test, none copied. A program takes ``tf`` (real or ours) and TensorFlow's module
``moving_averages``, builds its graph, and says what to run, step by step. ``observe`` runs it and returns
what it finds: names, collections, outputs and variables. ``tests/record_tf1_programs.py`` does so with real
TensorFlow.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Step = tuple[list[str], dict[Any, Any]]
Build = Callable[[Any, Any], "Program"]


@dataclass
class Program:
    """What to run: named fetches, and steps that name fetches and feed placeholders."""

    fetches: dict[str, Any]
    steps: list[Step]
    collections: list[str] = field(default_factory=list)


PROGRAMS: dict[str, Build] = {}


def program(repository: str) -> Callable[[Build], Build]:
    def register(build: Build) -> Build:
        PROGRAMS[repository] = build
        return build

    return register


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(0.5, 1.5, shape).astype(np.float32)


def classes(count: int, seed: int = 0) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[np.random.default_rng(seed).integers(0, 3, count)]


def initial(name: str, shape: list[int]) -> np.ndarray:
    """Return a trainable variable's value, which follows from its name alone."""
    drawn = 0.3 * np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape)
    return (drawn + ("gamma" in name)).astype(np.float32)


STANDARD = (
    "variables", "trainable_variables", "model_variables", "moving_average_variables", "update_ops",
    "regularization_losses", "train_op",
)  # fmt: skip


def observe(tf: Any, moving_averages: Any, build: Build) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return facts of the graph, and arrays by step and name, of variables after the first and the last."""
    arrays: dict[str, np.ndarray] = {}
    with tf.Graph().as_default():
        made = build(tf, moving_averages)
        keys = [*STANDARD, *made.collections]
        facts: dict[str, Any] = {
            "collections": {key: [item.name for item in tf.get_collection(key)] for key in keys},
            "fetches": {key: item.name for key, item in made.fetches.items() if key[0] != "_"},
        }
        variables = tf.global_variables()
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            trainable = tf.trainable_variables()
            names = [v.op.name for v in trainable]
            for variable in variables:
                # An average of a variable starts where the variable does.
                source = variable.op.name.split("/ExponentialMovingAverage")[0]
                if variable in trainable or source in names:
                    shape = [int(d) for d in variable.get_shape()]
                    variable.load(initial(source, shape), session)
            for number, (names, feed) in enumerate(made.steps):
                got = session.run([made.fetches[name] for name in names], feed)
                for name, value in zip(names, got, strict=True):
                    if value is not None:
                        arrays[f"{number}/{name}"] = np.asarray(value)
                if number not in (0, len(made.steps) - 1):
                    continue
                for variable in variables:
                    value = np.asarray(session.run(variable))
                    if value.size > 1000:  # two numbers stand for a large one
                        value = np.array(
                            [value.sum(dtype=np.float64), np.square(value).sum(dtype=np.float64)]
                        )
                    arrays[f"{number}/{variable.op.name}"] = value
    return facts, arrays


def images(tf: Any) -> Any:
    return tf.placeholder(tf.float32, [None, 6, 6, 2], name="images")


@program("carpedm20/DCGAN-tensorflow")
def wrapper_class(tf: Any, moving_averages: Any) -> Program:
    class BatchNorm:
        def __init__(self, epsilon: float = 1e-5, momentum: float = 0.9, name: str = "batch_norm") -> None:
            with tf.variable_scope(name):
                self.epsilon, self.momentum, self.name = epsilon, momentum, name

        def __call__(self, x: Any, train: bool = True) -> Any:
            return tf.contrib.layers.batch_norm(
                x, decay=self.momentum, updates_collections=None, epsilon=self.epsilon, scale=True,
                is_training=train, scope=self.name,
            )  # fmt: skip

    def linear(x: Any, size: int, scope: str) -> Any:
        with tf.variable_scope(scope):
            w = tf.get_variable(
                "Matrix", [x.get_shape()[1], size], tf.float32, tf.random_normal_initializer(stddev=0.02)
            )
            b = tf.get_variable("bias", [size], initializer=tf.constant_initializer(0.0))
            return tf.matmul(x, w) + b

    g_bn, d_bn = BatchNorm(name="g_bn0"), BatchNorm(name="d_bn1")

    def generator(z: Any) -> Any:
        with tf.variable_scope("generator"):
            h = tf.nn.relu(g_bn(tf.reshape(linear(z, 36, "g_h0_lin"), [-1, 3, 3, 4])))
            with tf.variable_scope("g_h1"):
                w = tf.get_variable("w", [3, 3, 2, 4], initializer=tf.random_normal_initializer(stddev=0.02))
                up = tf.nn.conv2d_transpose(h, w, output_shape=[5, 6, 6, 2], strides=[1, 2, 2, 1])
                b = tf.get_variable("biases", [2], initializer=tf.constant_initializer(0.0))
                return tf.nn.tanh(tf.reshape(tf.nn.bias_add(up, b), up.get_shape()))

    def sampler(z: Any) -> Any:
        with tf.variable_scope("generator") as scope:
            scope.reuse_variables()
            h = linear(z, 36, "g_h0_lin")
            return tf.nn.relu(g_bn(tf.reshape(h, [-1, 3, 3, 4]), train=False))

    def discriminator(x: Any, reuse: bool = False) -> Any:
        with tf.variable_scope("discriminator") as scope:
            if reuse:
                scope.reuse_variables()
            with tf.variable_scope("d_h0_conv"):
                w = tf.get_variable(
                    "w", [3, 3, 2, 4], initializer=tf.truncated_normal_initializer(stddev=0.02)
                )
                h = tf.nn.conv2d(x, w, strides=[1, 2, 2, 1], padding="SAME")
            h = d_bn(h)
            h = tf.maximum(h, 0.2 * h)
            return linear(tf.reshape(h, [5, -1]), 1, "d_h3_lin")

    x = tf.placeholder(tf.float32, [5, 6, 6, 2], name="real_images")
    z = tf.placeholder(tf.float32, [5, 4], name="z")
    fake = generator(z)
    real_logits, fake_logits = discriminator(x), discriminator(fake, reuse=True)

    def entropy(logits: Any, target: Any) -> Any:
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(logits=logits, labels=target))

    d_loss = entropy(real_logits, tf.ones_like(real_logits)) + entropy(
        fake_logits, tf.zeros_like(fake_logits)
    )
    g_loss = entropy(fake_logits, tf.ones_like(fake_logits))
    samples = sampler(z)
    trained = tf.trainable_variables()
    d_step = tf.train.AdamOptimizer(0.002, beta1=0.5).minimize(
        d_loss, var_list=[v for v in trained if "d_" in v.name]
    )
    g_step = tf.train.AdamOptimizer(0.002, beta1=0.5).minimize(
        g_loss, var_list=[v for v in trained if "g_" in v.name]
    )
    feed = {x: values(5, 6, 6, 2), z: values(5, 4)}
    fetches = {"d_loss": d_loss, "g_loss": g_loss, "samples": samples, "_d": d_step, "_g": g_step}
    # Not the loss of the discriminator: its two calls share averages, whose order in one run is a race.
    return Program(
        fetches, [(["g_loss"], feed), (["_g"], feed), (["_g"], feed), (["samples"], {z: values(5, 4)})]
    )


@program("hwalsuklee/tensorflow-generative-model-collections")
def function_with_flag(tf: Any, moving_averages: Any) -> Program:
    def bn(x: Any, is_training: Any, scope: str) -> Any:
        return tf.contrib.layers.batch_norm(
            x,
            decay=0.9,
            updates_collections=None,
            epsilon=1e-5,
            scale=True,
            is_training=is_training,
            scope=scope,
        )

    x = tf.placeholder(tf.float32, [None, 5])
    with tf.variable_scope("generator", reuse=False):
        net = tf.nn.relu(bn(tf.layers.dense(x, 6, name="g_fc1"), True, scope="g_bn1"))
        net = tf.nn.sigmoid(tf.layers.dense(net, 2, name="g_fc2"))
    with tf.variable_scope("generator", reuse=True):
        fake = tf.nn.relu(bn(tf.layers.dense(x, 6, name="g_fc1"), False, scope="g_bn1"))
        fake = tf.nn.sigmoid(tf.layers.dense(fake, 2, name="g_fc2"))
    loss = tf.reduce_mean(tf.square(net - 0.25))
    step = tf.train.AdamOptimizer(0.01, beta1=0.5).minimize(loss)
    steps = [(["_step", "loss"], {x: values(7, 5, seed=s)}) for s in range(2)]
    return Program({"loss": loss, "fake": fake, "_step": step}, [*steps, (["fake"], {x: values(2, 5)})])


@program("taki0112/Densenet-Tensorflow")
def calls_inside_cond(tf: Any, moving_averages: Any) -> Program:
    batch_norm, arg_scope = tf.contrib.layers.batch_norm, tf.contrib.framework.arg_scope

    def normalised(x: Any, training: Any, scope: str) -> Any:
        with arg_scope(
            [batch_norm], scope=scope, updates_collections=None, decay=0.9, center=True, scale=True,
            zero_debias_moving_mean=True,
        ):  # fmt: skip
            return tf.cond(
                training,
                lambda: batch_norm(inputs=x, is_training=training, reuse=None),
                lambda: batch_norm(inputs=x, is_training=training, reuse=True),
            )

    x, y, flag = images(tf), tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.bool)
    h = tf.layers.conv2d(inputs=x, use_bias=False, filters=4, kernel_size=[3, 3], strides=1, padding="SAME")
    block = tf.nn.relu(normalised(h, flag, "dense_batch1"))
    block = tf.layers.conv2d(inputs=block, use_bias=False, filters=2, kernel_size=[1, 1], padding="SAME")
    h = tf.concat([h, block], axis=3)
    h = tf.nn.relu(normalised(h, flag, "linear_batch"))
    h = tf.reduce_mean(h, [1, 2])
    logits = tf.layers.dense(inputs=h, units=3, name="linear")
    cost = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=logits))
    step = tf.train.AdamOptimizer(learning_rate=0.01, epsilon=1e-4).minimize(cost)
    correct = tf.equal(tf.argmax(logits, 1), tf.argmax(y, 1))
    accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))
    train = {x: values(6, 6, 6, 2), y: classes(6), flag: True}
    test = {x: values(4, 6, 6, 2, seed=1), y: classes(4), flag: False}
    fetches = {"cost": cost, "logits": logits, "accuracy": accuracy, "_step": step}
    return Program(fetches, [(["_step", "cost"], train)] * 2 + [(["logits", "accuracy"], test)] * 2)


@program("stackoverflow.com/a/34634291 (in many repositories)")
def average_picked_by_cond(tf: Any, moving_averages: Any) -> Program:
    def batch_norm(x: Any, n_out: int, phase_train: Any, scope: str = "bn") -> Any:
        with tf.variable_scope(scope):
            beta = tf.Variable(tf.constant(0.0, shape=[n_out]), name="beta", trainable=True)
            gamma = tf.Variable(tf.constant(1.0, shape=[n_out]), name="gamma", trainable=True)
            batch_mean, batch_var = tf.nn.moments(x, [0, 1, 2], name="moments")
            ema = tf.train.ExponentialMovingAverage(decay=0.5)

            def mean_var_with_update() -> Any:
                ema_apply_op = ema.apply([batch_mean, batch_var])
                with tf.control_dependencies([ema_apply_op]):
                    return tf.identity(batch_mean), tf.identity(batch_var)

            mean, var = tf.cond(
                phase_train,
                mean_var_with_update,
                lambda: (ema.average(batch_mean), ema.average(batch_var)),
            )
            return tf.nn.batch_normalization(x, mean, var, beta, gamma, 1e-3)

    x, phase = images(tf), tf.placeholder(tf.bool, name="phase_train")
    kernel = tf.Variable(tf.truncated_normal([3, 3, 2, 4], stddev=0.1), name="weights")
    h = batch_norm(tf.nn.conv2d(x, kernel, [1, 1, 1, 1], "SAME"), 4, phase)
    loss = tf.nn.l2_loss(tf.nn.relu(h)) / 100
    step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    train = [(["_step", "loss"], {x: values(5, 6, 6, 2, seed=s), phase: True}) for s in range(3)]
    return Program(
        {"loss": loss, "out": h, "_step": step}, [*train, (["out"], {x: values(2, 6, 6, 2), phase: False})]
    )


@program("stackoverflow.com/a/38325288 (in many repositories)")
def both_calls_outside_cond(tf: Any, moving_averages: Any) -> Program:
    def batch_norm_layer(x: Any, train_phase: Any, scope_bn: str) -> Any:
        common = {"decay": 0.8, "center": True, "scale": True, "updates_collections": None}
        batch_norm = tf.contrib.layers.batch_norm
        bn_train = batch_norm(x, is_training=True, reuse=None, scope=scope_bn, **common)
        bn_inference = batch_norm(x, is_training=False, reuse=True, scope=scope_bn, **common)
        return tf.cond(train_phase, lambda: bn_train, lambda: bn_inference)

    x, phase = tf.placeholder("float", [None, 4]), tf.placeholder(tf.bool)
    with tf.name_scope("layer"):
        w = tf.Variable(tf.random_normal([4, 3]), name="w")
        z = batch_norm_layer(tf.matmul(x, w), phase, "bn")
    out = tf.nn.tanh(z)
    # Evaluation reads what the update from outside of cond writes, a race: only averages are looked at.
    feeds = [{x: values(6, 4, seed=s), phase: s == 0} for s in range(3)]
    return Program(
        {"out": out, "_run": out.op}, [(["out"], feeds[0]), (["_run"], feeds[1]), (["_run"], feeds[2])]
    )


@program("ry/tensorflow-resnet")
def updates_in_a_collection_of_its_own(tf: Any, moving_averages: Any) -> Program:
    def bn(x: Any, is_training: Any) -> Any:
        shape = x.get_shape()
        params_shape = shape[-1:]
        axis = list(range(len(shape) - 1))

        def get(name: str, start: Any, trainable: bool = True) -> Any:
            return tf.get_variable(
                name, shape=params_shape, initializer=start, dtype="float", trainable=trainable,
                collections=[tf.GraphKeys.GLOBAL_VARIABLES, "resnet_variables"],
            )  # fmt: skip

        beta = get("beta", tf.zeros_initializer())
        gamma = get("gamma", tf.ones_initializer())
        moving_mean = get("moving_mean", tf.zeros_initializer(), trainable=False)
        moving_variance = get("moving_variance", tf.ones_initializer(), trainable=False)
        mean, variance = tf.nn.moments(x, axis)
        update_mean = moving_averages.assign_moving_average(moving_mean, mean, 0.9, zero_debias=False)
        update_variance = moving_averages.assign_moving_average(
            moving_variance, variance, 0.9, zero_debias=False
        )
        tf.add_to_collection("resnet_update_ops", update_mean)
        tf.add_to_collection("resnet_update_ops", update_variance)
        mean, variance = tf.cond(
            is_training, lambda: (mean, variance), lambda: (moving_mean, moving_variance)
        )
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 0.001)

    x, flag = images(tf), tf.placeholder("bool", [], name="is_training")
    with tf.variable_scope("scale1"):
        filters = x.get_shape()[-1]
        weights = tf.get_variable(
            "weights", [3, 3, filters, 4], initializer=tf.truncated_normal_initializer(stddev=0.1),
            regularizer=tf.contrib.layers.l2_regularizer(0.0005),
        )  # fmt: skip
        h = tf.nn.relu(bn(tf.nn.conv2d(x, weights, [1, 2, 2, 1], padding="SAME"), flag))
    pooled = tf.reduce_mean(h, reduction_indices=[1, 2], name="avg_pool")
    with tf.variable_scope("fc"):
        w = tf.get_variable("weights", [4, 3], initializer=tf.truncated_normal_initializer(stddev=0.01))
        b = tf.get_variable("biases", shape=3, initializer=tf.zeros_initializer())
        logits = tf.nn.xw_plus_b(pooled, w, b)
    labels = tf.placeholder(tf.int64, [None])
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(logits=logits, labels=labels)
    losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    loss = tf.add_n([tf.reduce_mean(entropy), *losses])
    ema = tf.train.ExponentialMovingAverage(0.9, tf.Variable(0, trainable=False, name="count"))
    tf.add_to_collection("resnet_update_ops", ema.apply([loss]))
    optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
    apply_gradient_op = optimizer.apply_gradients(optimizer.compute_gradients(loss))
    updates = tf.get_collection("resnet_update_ops")
    train_op = tf.group(apply_gradient_op, tf.group(*updates))
    kinds = classes(6).argmax(1)
    step = (["_train", "loss"], {x: values(6, 6, 6, 2), labels: kinds, flag: True})
    test = (["loss", "logits"], {x: values(6, 6, 6, 2, seed=2), labels: kinds, flag: False})
    fetches = {"loss": loss, "logits": logits, "average": ema.average(loss), "_train": train_op}
    return Program(fetches, [step, step, test, (["average"], {})], ["resnet_update_ops", "resnet_variables"])


@program("r2rt.com's batch_norm_wrapper (spitis/blogs)")
def assignments_under_control(tf: Any, moving_averages: Any) -> Program:
    def batch_norm_wrapper(inputs: Any, is_training: bool, decay: float = 0.9) -> Any:
        scale = tf.Variable(tf.ones([inputs.get_shape()[-1]]))
        beta = tf.Variable(tf.zeros([inputs.get_shape()[-1]]))
        pop_mean = tf.Variable(tf.zeros([inputs.get_shape()[-1]]), trainable=False)
        pop_var = tf.Variable(tf.ones([inputs.get_shape()[-1]]), trainable=False)
        if is_training:
            batch_mean, batch_var = tf.nn.moments(inputs, [0])
            train_mean = tf.assign(pop_mean, pop_mean * decay + batch_mean * (1 - decay))
            train_var = tf.assign(pop_var, pop_var * decay + batch_var * (1 - decay))
            with tf.control_dependencies([train_mean, train_var]):
                return tf.nn.batch_normalization(inputs, batch_mean, batch_var, beta, scale, 1e-3)
        return tf.nn.batch_normalization(inputs, pop_mean, pop_var, beta, scale, 1e-3)

    x = tf.placeholder(tf.float32, shape=[None, 5])
    y_ = tf.placeholder(tf.float32, shape=[None, 3])
    w1 = tf.Variable(np.ones((5, 4), np.float32))
    l1 = tf.nn.sigmoid(batch_norm_wrapper(tf.matmul(x, w1), True))
    w2 = tf.Variable(np.ones((4, 3), np.float32))
    b2 = tf.Variable(tf.zeros([3]))
    y = tf.nn.softmax(tf.matmul(l1, w2) + b2)
    cross_entropy = -tf.reduce_sum(y_ * tf.log(y))
    train_step = tf.train.GradientDescentOptimizer(0.01).minimize(cross_entropy)
    steps = [(["_step", "loss"], {x: values(8, 5, seed=s), y_: classes(8, s)}) for s in range(3)]
    return Program({"loss": cross_entropy, "_step": train_step, "y": y}, steps)


@program("udacity/deep-learning")
def population_by_cond(tf: Any, moving_averages: Any) -> Program:
    def fully_connected(prev_layer: Any, num_units: int, is_training: Any) -> Any:
        layer = tf.layers.dense(prev_layer, num_units, use_bias=False, activation=None)
        gamma = tf.Variable(tf.ones([num_units]))
        beta = tf.Variable(tf.zeros([num_units]))
        pop_mean = tf.Variable(tf.zeros([num_units]), trainable=False)
        pop_variance = tf.Variable(tf.ones([num_units]), trainable=False)

        def batch_norm_training() -> Any:
            batch_mean, batch_variance = tf.nn.moments(layer, [0])
            decay = 0.7
            train_mean = tf.assign(pop_mean, pop_mean * decay + batch_mean * (1 - decay))
            train_variance = tf.assign(pop_variance, pop_variance * decay + batch_variance * (1 - decay))
            with tf.control_dependencies([train_mean, train_variance]):
                return tf.nn.batch_normalization(layer, batch_mean, batch_variance, beta, gamma, 1e-3)

        def batch_norm_inference() -> Any:
            return tf.nn.batch_normalization(layer, pop_mean, pop_variance, beta, gamma, 1e-3)

        return tf.nn.relu(tf.cond(is_training, batch_norm_training, batch_norm_inference))

    x, labels = tf.placeholder(tf.float32, [None, 5]), tf.placeholder(tf.float32, [None, 3])
    is_training = tf.placeholder(tf.bool)
    layer = fully_connected(fully_connected(x, 6, is_training), 4, is_training)
    logits = tf.layers.dense(layer, 3)
    loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(logits=logits, labels=labels))
    train_opt = tf.train.AdamOptimizer(0.01).minimize(loss)
    train = [
        (["_step", "loss"], {x: values(8, 5, seed=s), labels: classes(8), is_training: True}) for s in (0, 1)
    ]
    test = (["logits"], {x: values(3, 5), is_training: False})
    return Program({"loss": loss, "logits": logits, "_step": train_opt}, [*train, test, test])


@program("MorvanZhou/Tensorflow-Tutorial")
def averages_of_moments(tf: Any, moving_averages: Any) -> Program:
    def add_layer(inputs: Any, size: int, on_train: Any) -> Any:
        weights = tf.Variable(tf.random_normal([int(inputs.get_shape()[1]), size], mean=0.0, stddev=1.0))
        biases = tf.Variable(tf.zeros([1, size]) + 0.1)
        z = tf.matmul(inputs, weights) + biases
        fc_mean, fc_var = tf.nn.moments(z, axes=[0])
        scale = tf.Variable(tf.ones([size]))
        shift = tf.Variable(tf.zeros([size]))
        ema = tf.train.ExponentialMovingAverage(decay=0.5)

        def mean_var_with_update() -> Any:
            ema_apply_op = ema.apply([fc_mean, fc_var])
            with tf.control_dependencies([ema_apply_op]):
                return tf.identity(fc_mean), tf.identity(fc_var)

        mean, var = tf.cond(
            on_train, mean_var_with_update, lambda: (ema.average(fc_mean), ema.average(fc_var))
        )
        return tf.nn.relu(tf.nn.batch_normalization(z, mean, var, shift, scale, 0.001))

    x, y, on_train = (
        tf.placeholder(tf.float32, [None, 2]),
        tf.placeholder(tf.float32, [None, 1]),
        tf.placeholder(tf.bool),
    )
    layer = add_layer(add_layer(x, 5, on_train), 4, on_train)
    prediction = tf.matmul(layer, tf.Variable(tf.random_normal([4, 1])))
    cost = tf.reduce_mean(tf.reduce_sum(tf.square(y - prediction), reduction_indices=[1]))
    train_op = tf.train.GradientDescentOptimizer(0.01).minimize(cost)
    feed = {x: values(9, 2), y: values(9, 1)}
    test = (["cost", "prediction"], {**feed, on_train: False})
    fetches = {"cost": cost, "prediction": prediction, "_train": train_op}
    return Program(fetches, [(["_train", "cost"], {**feed, on_train: True})] * 3 + [test])


@program("martin-gorner/tensorflow-mnist-tutorial")
def average_with_num_updates(tf: Any, moving_averages: Any) -> Program:
    def batchnorm(logits: Any, is_test: Any, iteration: Any, offset: Any, convolutional: bool = False) -> Any:
        exp_moving_avg = tf.train.ExponentialMovingAverage(0.9, iteration)
        mean, variance = tf.nn.moments(logits, [0, 1, 2] if convolutional else [0])
        update = exp_moving_avg.apply([mean, variance])
        m = tf.cond(is_test, lambda: exp_moving_avg.average(mean), lambda: mean)
        v = tf.cond(is_test, lambda: exp_moving_avg.average(variance), lambda: variance)
        return tf.nn.batch_normalization(logits, m, v, offset, None, 1e-5), update

    x, y_ = images(tf), tf.placeholder(tf.float32, [None, 3])
    tst, count = tf.placeholder(tf.bool), tf.placeholder(tf.int32)
    pkeep = tf.placeholder(tf.float32)
    w1 = tf.Variable(tf.truncated_normal([3, 3, 2, 4], stddev=0.1))
    b1 = tf.Variable(tf.constant(0.1, tf.float32, [4]))
    conv, update1 = batchnorm(tf.nn.conv2d(x, w1, [1, 2, 2, 1], "SAME"), tst, count, b1, convolutional=True)
    flat = tf.reshape(tf.nn.relu(conv), shape=[-1, 3 * 3 * 4])
    w4 = tf.Variable(tf.truncated_normal([36, 5], stddev=0.1))
    b4 = tf.Variable(tf.constant(0.1, tf.float32, [5]))
    full, update4 = batchnorm(tf.matmul(flat, w4), tst, count, b4)
    dropped = tf.nn.dropout(tf.nn.relu(full), pkeep)
    logits = tf.matmul(dropped, tf.Variable(tf.truncated_normal([5, 3], stddev=0.1)))
    entropy = tf.nn.softmax_cross_entropy_with_logits_v2(logits=logits, labels=y_)
    loss = tf.reduce_mean(entropy) * 100
    update = tf.group(update1, update4)
    step = tf.train.AdamOptimizer(0.003).minimize(loss)
    steps: list[Step] = []
    for i in range(2):
        feed = {x: values(6, 6, 6, 2, seed=i), y_: classes(6, i), count: i}
        steps.append((["_step"], {**feed, tst: False, pkeep: 1.0}))
        steps.append((["_update"], {**feed, tst: False, pkeep: 1.0}))
    test = {x: values(2, 6, 6, 2), y_: classes(2), tst: True, count: 2, pkeep: 1.0}
    steps.append((["loss", "logits"], test))
    return Program({"loss": loss, "logits": logits, "_step": step, "_update": update}, steps)


@program("tensorflow/models (research/slim)")
def slim_arguments(tf: Any, moving_averages: Any) -> Program:
    slim = tf.contrib.slim
    batch_norm_params = {
        "decay": 0.9,
        "epsilon": 0.001,
        "updates_collections": tf.GraphKeys.UPDATE_OPS,
        "fused": None,
        "scale": True,
    }

    def network(x: Any, is_training: bool, reuse: Any = None) -> Any:
        with tf.variable_scope("net", "net", [x], reuse=reuse), slim.arg_scope(
            [slim.conv2d, slim.fully_connected],
            weights_regularizer=slim.l2_regularizer(0.01),
            weights_initializer=slim.variance_scaling_initializer(),
        ), slim.arg_scope(
            [slim.conv2d], normalizer_fn=slim.batch_norm, normalizer_params=batch_norm_params,
            activation_fn=tf.nn.relu,
        ), slim.arg_scope([slim.batch_norm], is_training=is_training):  # fmt: skip
            end = "net_end_points"
            with slim.arg_scope([slim.conv2d, slim.max_pool2d], outputs_collections=end):
                h = slim.repeat(x, 2, slim.conv2d, 3, [3, 3], scope="conv1")
                h = slim.max_pool2d(h, [2, 2], scope="pool1")
                h = slim.conv2d(h, 4, [1, 1], scope="conv2")
            h = tf.reduce_mean(h, [1, 2], keep_dims=True, name="pool5")
            h = slim.conv2d(h, 3, [1, 1], activation_fn=None, normalizer_fn=None, scope="logits")
            return tf.squeeze(h, [1, 2], name="SpatialSqueeze")

    x, y = images(tf), tf.placeholder(tf.float32, [None, 3])
    logits = network(x, True)
    evaluated = network(x, False, reuse=True)
    loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=logits))
    total = tf.add_n([loss, *tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)], name="total_loss")
    global_step = tf.Variable(0, name="global_step", trainable=False)
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        step = tf.train.RMSPropOptimizer(0.01, 0.9, momentum=0.9, epsilon=1.0).minimize(total, global_step)
    feed = {x: values(5, 6, 6, 2), y: classes(5)}
    fetches = {"total": total, "evaluated": evaluated, "logits": logits, "_step": step}
    return Program(fetches, [(["_step", "total"], feed)] * 2 + [(["evaluated"], feed)], ["net_end_points"])


@program("tensorflow/models (official/resnet)")
def layers_with_update_ops(tf: Any, moving_averages: Any) -> Program:
    def batch_norm(x: Any, training: Any) -> Any:
        return tf.layers.batch_normalization(
            inputs=x,
            axis=3,
            momentum=0.9,
            epsilon=1e-5,
            center=True,
            scale=True,
            training=training,
            fused=True,
        )

    def fixed_padding(x: Any, kernel_size: int) -> Any:
        total = kernel_size - 1
        begin = total // 2
        return tf.pad(x, [[0, 0], [begin, total - begin], [begin, total - begin], [0, 0]])

    def conv(x: Any, filters: int, kernel_size: int, strides: int) -> Any:
        if strides > 1:
            x = fixed_padding(x, kernel_size)
        return tf.layers.conv2d(
            inputs=x, filters=filters, kernel_size=kernel_size, strides=strides,
            padding=("SAME" if strides == 1 else "VALID"), use_bias=False,
        )  # fmt: skip

    x, y, training = images(tf), tf.placeholder(tf.int32, [None]), tf.placeholder(tf.bool, [])
    with tf.variable_scope("resnet_model"):
        h = conv(x, 4, 3, 1)
        shortcut = conv(h, 4, 1, 2)
        h = tf.nn.relu(batch_norm(h, training))
        h = tf.nn.relu(batch_norm(conv(h, 4, 3, 2), training))
        h = conv(h, 4, 3, 1) + shortcut
        h = tf.identity(tf.reduce_mean(h, [1, 2], keepdims=True), "final_reduce_mean")
        logits = tf.layers.dense(inputs=tf.squeeze(h, [1, 2]), units=3)
    entropy = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
    decayed = [
        tf.nn.l2_loss(tf.cast(v, tf.float32))
        for v in tf.trainable_variables()
        if "batch_normalization" not in v.name
    ]
    loss = entropy + 2e-4 * tf.add_n(decayed)
    global_step = tf.train.get_or_create_global_step()
    rate = tf.train.piecewise_constant(tf.cast(global_step, tf.int32), [1, 2], [0.1, 0.05, 0.01])
    optimizer = tf.train.MomentumOptimizer(learning_rate=rate, momentum=0.9)
    minimize_op = optimizer.minimize(loss, global_step)
    update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    train_op = tf.group(minimize_op, *update_ops)
    kinds = classes(6).argmax(1)
    train = (["_train", "loss"], {x: values(6, 6, 6, 2), y: kinds, training: True})
    test = (["logits"], {x: values(3, 6, 6, 2), training: False})
    return Program({"loss": loss, "logits": logits, "_train": train_op}, [train, train, train, test])


@program("tensorflow/models (tutorials' resnet_model)")
def extra_train_ops(tf: Any, moving_averages: Any) -> Program:
    extra: list[Any] = []

    def batch_norm(name: str, x: Any, train: bool) -> Any:
        with tf.variable_scope(name):
            params_shape = [x.get_shape()[-1]]
            beta = tf.get_variable(
                "beta", params_shape, tf.float32, initializer=tf.constant_initializer(0.0, tf.float32)
            )
            gamma = tf.get_variable(
                "gamma", params_shape, tf.float32, initializer=tf.constant_initializer(1.0, tf.float32)
            )
            mean, variance = tf.nn.moments(x, [0, 1, 2], name="moments")
            moving_mean = tf.get_variable(
                "moving_mean",
                params_shape,
                tf.float32,
                initializer=tf.constant_initializer(0.0),
                trainable=False,
            )
            moving_variance = tf.get_variable(
                "moving_variance",
                params_shape,
                tf.float32,
                initializer=tf.constant_initializer(1.0),
                trainable=False,
            )
            extra.append(moving_averages.assign_moving_average(moving_mean, mean, 0.9))
            extra.append(moving_averages.assign_moving_average(moving_variance, variance, 0.9))
            y = tf.nn.batch_normalization(x, mean, variance, beta, gamma, 0.001)
            y.set_shape(x.get_shape())
            return y

    x = tf.placeholder(tf.float32, [4, 6, 6, 2])
    with tf.variable_scope("init"):
        kernel = tf.get_variable(
            "DW", [3, 3, 2, 3], tf.float32, initializer=tf.random_normal_initializer(stddev=0.1)
        )
        h = tf.nn.conv2d(x, kernel, [1, 1, 1, 1], padding="SAME")
    with tf.variable_scope("unit_1"):
        h = batch_norm("bn", h, True)
        h = tf.where(tf.less(h, 0.0), 0.1 * h, h, name="leaky_relu")
    h = tf.reduce_mean(h, [1, 2])
    with tf.variable_scope("logit"):
        w = tf.get_variable("DW", [3, 3])
        b = tf.get_variable("biases", [3], initializer=tf.constant_initializer())
        logits = tf.nn.xw_plus_b(h, w, b)
    with tf.variable_scope("costs"):
        labels = tf.constant(classes(4))
        cost = tf.reduce_mean(
            tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=labels), name="xent"
        )
        cost += 0.01 * tf.add_n(
            [tf.nn.l2_loss(v) for v in tf.trainable_variables() if v.op.name.find("DW") > 0]
        )
    trainable = tf.trainable_variables()
    # Together: one applied before another is computed would be a race.
    grads = tf.tuple(tf.gradients(cost, trainable))
    optimizer = tf.train.MomentumOptimizer(0.1, 0.9, use_nesterov=True)
    apply_op = optimizer.apply_gradients(zip(grads, trainable), name="train_step")  # noqa: B905
    train_op = tf.group(*([apply_op, *extra]))
    return Program(
        {"cost": cost, "logits": logits, "_train": train_op},
        [(["_train", "cost"], {x: values(4, 6, 6, 2)})] * 3,
    )


@program("tensorflow/models (tutorials/image/cifar10)")
def averaged_weights(tf: Any, moving_averages: Any) -> Program:
    def decayed(name: str, shape: list[int], wd: float) -> Any:
        with tf.device("/cpu:0"):
            var = tf.get_variable(
                name, shape, initializer=tf.truncated_normal_initializer(stddev=0.05, dtype=tf.float32)
            )
        weight_decay = tf.multiply(tf.nn.l2_loss(var), wd, name="weight_loss")
        tf.add_to_collection("losses", weight_decay)
        return var

    x, y = images(tf), tf.placeholder(tf.int32, [None])
    with tf.variable_scope("conv1") as scope:
        kernel = decayed("weights", [3, 3, 2, 4], 0.01)
        biases = tf.get_variable("biases", [4], initializer=tf.constant_initializer(0.1))
        h = tf.nn.relu(
            tf.nn.bias_add(tf.nn.conv2d(x, kernel, [1, 1, 1, 1], padding="SAME"), biases), name=scope.name
        )
    h = tf.nn.max_pool(h, ksize=[1, 3, 3, 1], strides=[1, 2, 2, 1], padding="SAME", name="pool1")
    with tf.variable_scope("softmax_linear") as scope:
        h = tf.reshape(h, [-1, 36])
        weights = decayed("weights", [36, 3], 0.01)
        biases = tf.get_variable("biases", [3], initializer=tf.constant_initializer(0.0))
        logits = tf.add(tf.matmul(h, weights), biases, name=scope.name)
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits, name="per_example")
    tf.add_to_collection("losses", tf.reduce_mean(entropy, name="cross_entropy"))
    total = tf.add_n(tf.get_collection("losses"), name="total_loss")
    global_step = tf.Variable(0, trainable=False, name="global_step")
    loss_averages = tf.train.ExponentialMovingAverage(0.9, name="avg")
    with tf.control_dependencies([loss_averages.apply([*tf.get_collection("losses"), total])]):
        rate = tf.train.exponential_decay(0.1, global_step, 2, 0.5, staircase=True)
        opt = tf.train.GradientDescentOptimizer(rate)
        grads = opt.compute_gradients(total)
    apply_gradient_op = opt.apply_gradients(grads, global_step=global_step)
    variable_averages = tf.train.ExponentialMovingAverage(0.9, global_step)
    with tf.control_dependencies([apply_gradient_op]):
        variables_averages_op = variable_averages.apply(tf.trainable_variables())
    with tf.control_dependencies([apply_gradient_op, variables_averages_op]):
        train_op = tf.no_op(name="train")
    for name in sorted(variable_averages.variables_to_restore()):
        tf.add_to_collection("restored", variable_averages.variables_to_restore()[name])
    feed = {x: values(5, 6, 6, 2), y: classes(5).argmax(1)}
    fetches = {"total": total, "logits": logits, "rate": rate, "train": train_op}
    return Program(
        fetches, [(["train"], feed)] * 3 + [(["total", "logits", "rate"], feed)], ["losses", "restored"]
    )


@program("igul222/improved_wgan_training")
def gradient_penalty(tf: Any, moving_averages: Any) -> Program:
    params: dict[str, Any] = {}

    def param(name: str, start: np.ndarray) -> Any:
        if name not in params:
            params[name] = tf.Variable(start.astype(np.float32), name=name)
        return params[name]

    def linear(name: str, n_in: int, n_out: int, x: Any) -> Any:
        with tf.name_scope(name):
            w = param(name + ".W", np.ones((n_in, n_out)))
            return tf.nn.bias_add(tf.matmul(x, w), param(name + ".b", np.zeros(n_out)))

    def batchnorm(name: str, axes: list[int], x: Any) -> Any:
        mean, var = tf.nn.moments(x, axes, keep_dims=True)
        shape = mean.get_shape().as_list()
        offset = param(name + ".offset", np.zeros(shape))
        scale = param(name + ".scale", np.ones(shape))
        return tf.nn.batch_normalization(x, mean, var, offset, scale, 1e-5)

    def generator(z: Any) -> Any:
        h = tf.nn.relu(batchnorm("Generator.BN1", [0], linear("Generator.1", 3, 6, z)))
        return tf.tanh(linear("Generator.2", 6, 4, h))

    def discriminator(x: Any) -> Any:
        h = linear("Discriminator.1", 4, 6, x)
        h = tf.maximum(0.2 * h, h)
        h = batchnorm("Discriminator.BN2", [0], h)
        return tf.reshape(linear("Discriminator.3", 6, 1, tf.tanh(h)), [-1])

    real, z = tf.placeholder(tf.float32, [6, 4]), tf.placeholder(tf.float32, [6, 3])
    alpha = tf.placeholder(tf.float32, [6, 1])
    fake = generator(z)
    gen_cost = -tf.reduce_mean(discriminator(fake))
    disc_cost = tf.reduce_mean(discriminator(fake)) - tf.reduce_mean(discriminator(real))
    interpolates = real + alpha * (fake - real)
    gradients = tf.gradients(discriminator(interpolates), [interpolates])[0]
    slopes = tf.sqrt(tf.reduce_sum(tf.square(gradients), reduction_indices=[1]))
    penalty = tf.reduce_mean((slopes - 1.0) ** 2)
    disc_cost += 10 * penalty
    named = list(params.items())
    d_vars = [v for name, v in named if "Discriminator" in name]
    g_vars = [v for name, v in named if "Generator" in name]
    g_step = tf.train.RMSPropOptimizer(learning_rate=5e-3).minimize(gen_cost, var_list=g_vars)
    # A large epsilon, so that rounding does not decide steps along gradients that are nearly 0.
    d_adam = tf.train.AdamOptimizer(learning_rate=1e-2, beta1=0.5, beta2=0.9, epsilon=1e-2)
    d_step = d_adam.minimize(disc_cost, var_list=d_vars)
    feed = {real: values(6, 4), z: values(6, 3), alpha: np.linspace(0, 1, 6, dtype=np.float32)[:, None]}
    fetches = {"penalty": penalty, "disc_cost": disc_cost, "gen_cost": gen_cost, "_d": d_step, "_g": g_step}
    order = [["_d"], ["disc_cost", "penalty"], ["_g"], ["gen_cost"], ["_d"], ["penalty"]]
    return Program(fetches, [(names, feed) for names in order])


@program("kodalinaveen3/DRAGAN")
def penalty_through_in_place_updates(tf: Any, moving_averages: Any) -> Program:
    def discriminator(x: Any, reuse: bool) -> Any:
        with tf.variable_scope("D", reuse=reuse):
            h = tf.contrib.layers.fully_connected(x, 5, activation_fn=None, scope="fc1")
            h = tf.contrib.layers.batch_norm(
                h, scale=True, is_training=True, updates_collections=None, scope="bn"
            )
            return tf.contrib.layers.fully_connected(tf.nn.tanh(h), 1, activation_fn=None, scope="fc2")

    x, noisy = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32, [None, 3])
    loss = tf.reduce_mean(discriminator(x, False))
    gradient = tf.gradients(discriminator(noisy, True), [noisy])[0]
    slopes = tf.sqrt(tf.reduce_sum(tf.square(gradient), reduction_indices=[1]))
    penalty = tf.reduce_mean(tf.square(slopes - 1.0))
    only = tf.gradients(penalty, tf.trainable_variables("D/fc1"))
    feed = {x: values(7, 3), noisy: values(7, 3, seed=1)}
    fetches = {"loss": loss, "penalty": penalty, "_w": only[0], "_b": only[1]}
    return Program(fetches, [(["penalty"], feed), (["_w", "_b"], feed), (["loss"], feed)])


@program("affinelayer/pix2pix-tensorflow")
def averages_of_losses(tf: Any, moving_averages: Any) -> Program:
    def lrelu(x: Any, a: float) -> Any:
        with tf.name_scope("lrelu"):
            x = tf.identity(x)
            return (0.5 * (1 + a)) * x + (0.5 * (1 - a)) * tf.abs(x)

    def batchnorm(x: Any) -> Any:
        with tf.variable_scope("batchnorm"):
            x = tf.identity(x)
            channels = x.get_shape()[3]
            offset = tf.get_variable(
                "offset", [channels], dtype=tf.float32, initializer=tf.zeros_initializer()
            )
            scale = tf.get_variable(
                "scale", [channels], dtype=tf.float32, initializer=tf.random_normal_initializer(1.0, 0.02)
            )
            mean, variance = tf.nn.moments(x, axes=[0, 1, 2], keep_dims=False)
            return tf.nn.batch_normalization(x, mean, variance, offset, scale, variance_epsilon=1e-5)

    def conv(x: Any, out_channels: int, stride: int) -> Any:
        with tf.variable_scope("conv"):
            in_channels = x.get_shape()[3]
            kernel = tf.get_variable(
                "filter", [4, 4, in_channels, out_channels], dtype=tf.float32,
                initializer=tf.random_normal_initializer(0, 0.02),
            )  # fmt: skip
            padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="CONSTANT")
            return tf.nn.conv2d(padded, kernel, [1, stride, stride, 1], padding="VALID")

    def deconv(x: Any, out_channels: int) -> Any:
        with tf.variable_scope("deconv"):
            batch, height, width, in_channels = (int(d) for d in x.get_shape())
            kernel = tf.get_variable(
                "filter", [4, 4, out_channels, in_channels], initializer=tf.random_normal_initializer(0, 0.02)
            )
            target = [batch, height * 2, width * 2, out_channels]
            return tf.nn.conv2d_transpose(x, kernel, target, [1, 2, 2, 1], padding="SAME")

    def discriminator(a: Any, b: Any) -> Any:
        with tf.variable_scope("layer_1"):
            h = lrelu(conv(tf.concat([a, b], axis=3), 3, 2), 0.2)
        with tf.variable_scope("layer_2"):
            return tf.sigmoid(batchnorm(conv(h, 2, 1)))

    a, b = (tf.placeholder(tf.float32, [2, 8, 8, 2]) for _ in range(2))
    with tf.variable_scope("generator"):
        with tf.variable_scope("encoder_1"):
            encoded = conv(a, 4, 2)
        with tf.variable_scope("encoder_2"):
            encoded = batchnorm(conv(lrelu(encoded, 0.2), 4, 2))
        with tf.variable_scope("decoder_2"):
            decoded = batchnorm(deconv(tf.nn.relu(encoded), 3))
        with tf.variable_scope("decoder_1"):
            outputs = tf.tanh(deconv(tf.nn.relu(decoded), 2))
    with tf.name_scope("real_discriminator"), tf.variable_scope("discriminator"):
        predict_real = discriminator(a, b)
    with tf.name_scope("fake_discriminator"), tf.variable_scope("discriminator", reuse=True):
        predict_fake = discriminator(a, outputs)
    with tf.name_scope("discriminator_loss"):
        discrim_loss = tf.reduce_mean(-(tf.log(predict_real + 1e-12) + tf.log(1 - predict_fake + 1e-12)))
    with tf.name_scope("generator_loss"):
        gen_l1 = tf.reduce_mean(tf.abs(b - outputs))
        gen_loss = tf.reduce_mean(-tf.log(predict_fake + 1e-12)) + gen_l1 * 100
    with tf.name_scope("discriminator_train"):
        discrim_vars = [v for v in tf.trainable_variables() if v.name.startswith("discriminator")]
        discrim_optim = tf.train.AdamOptimizer(0.01, 0.5)
        discrim_train = discrim_optim.apply_gradients(
            discrim_optim.compute_gradients(discrim_loss, var_list=discrim_vars)
        )
    with tf.name_scope("generator_train"), tf.control_dependencies([discrim_train]):
        gen_vars = [v for v in tf.trainable_variables() if v.name.startswith("generator")]
        gen_optim = tf.train.AdamOptimizer(0.01, 0.5)
        gen_train = gen_optim.apply_gradients(gen_optim.compute_gradients(gen_loss, var_list=gen_vars))
    ema = tf.train.ExponentialMovingAverage(decay=0.9)
    update_losses = ema.apply([discrim_loss, gen_l1])
    global_step = tf.train.get_or_create_global_step()
    incr_global_step = tf.assign(global_step, global_step + 1)
    # The losses' averages and the steps of one run would be a race for the weights: two runs.
    feed = {a: values(2, 8, 8, 2), b: values(2, 8, 8, 2, seed=1)}
    train = tf.group(update_losses, incr_global_step)
    fetches = {
        "outputs": outputs,
        "loss": gen_loss,
        "average": ema.average(gen_l1),
        "_d": discrim_train,
        "_t": train,
    }
    del gen_train
    order = [["_t"], ["_d"], ["_t", "outputs"], ["loss"]]
    return Program(fetches, [*((names, feed) for names in order), (["average"], {})])


@program("jakeret/tf_unet")
def transposed_by_dynamic_shape(tf: Any, moving_averages: Any) -> Program:
    def deconv2d(x: Any, w: Any, stride: int) -> Any:
        x_shape = tf.shape(x)
        output_shape = tf.stack([x_shape[0], x_shape[1] * 2, x_shape[2] * 2, x_shape[3] // 2])
        return tf.nn.conv2d_transpose(x, w, output_shape, strides=[1, stride, stride, 1], padding="VALID")

    def crop_and_concat(x1: Any, x2: Any) -> Any:
        one, two = tf.shape(x1), tf.shape(x2)
        offsets = [(one[1] - two[1]) // 2, (one[2] - two[2]) // 2]
        cropped = x1[:, offsets[0] : offsets[0] + two[1], offsets[1] : offsets[1] + two[2], :]
        return tf.concat([cropped, x2], 3)

    x = tf.placeholder("float", shape=[None, None, None, 2], name="x")
    keep_prob = tf.placeholder(tf.float32, name="dropout_probability")
    w1 = tf.Variable(tf.truncated_normal([3, 3, 2, 4], stddev=0.1), name="w1")
    b1 = tf.Variable(tf.constant(0.1, shape=[4]), name="b1")
    down = tf.nn.relu(
        tf.nn.dropout(tf.nn.conv2d(x, w1, strides=[1, 1, 1, 1], padding="VALID"), keep_prob) + b1
    )
    pooled = tf.nn.max_pool(down, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="VALID")
    wd = tf.Variable(tf.truncated_normal([2, 2, 2, 4], stddev=0.1), name="wd")
    up = tf.nn.relu(deconv2d(pooled, wd, 2))
    joined = crop_and_concat(down, up)
    w2 = tf.Variable(tf.truncated_normal([1, 1, 6, 2], stddev=0.1), name="w2")
    logits = tf.nn.conv2d(joined, w2, strides=[1, 1, 1, 1], padding="VALID")
    flat = tf.reshape(logits, [-1, 2])
    exponential = tf.exp(logits)
    summed = tf.reduce_sum(exponential, 3, keep_dims=True)
    probabilities = tf.div(exponential, tf.tile(summed, [1, 1, 1, 2]))
    clipped = tf.clip_by_value(probabilities, 1e-10, 0.9)
    loss = -tf.reduce_mean(tf.log(clipped))
    step = tf.train.MomentumOptimizer(learning_rate=0.2, momentum=0.2).minimize(loss)
    feed = {x: values(2, 9, 7, 2), keep_prob: 1.0}
    return Program(
        {"loss": loss, "flat": flat, "_step": step}, [(["_step", "loss"], feed)] * 2 + [(["flat"], feed)]
    )


@program("MorvanZhou/Reinforcement-learning-with-tensorflow")
def target_by_custom_getter(tf: Any, moving_averages: Any) -> Program:
    def build(s: Any, reuse: Any = None, custom_getter: Any = None) -> Any:
        trainable = reuse is None
        with tf.variable_scope("Actor", reuse=reuse, custom_getter=custom_getter):
            net = tf.layers.dense(s, 5, activation=tf.nn.relu, name="l1", trainable=trainable)
            a = tf.layers.dense(net, 2, activation=tf.nn.tanh, name="a", trainable=trainable)
            return tf.multiply(a, 2.0, name="scaled_a")

    s, s_ = tf.placeholder(tf.float32, [None, 3], "s"), tf.placeholder(tf.float32, [None, 3], "s_")
    a = build(s)
    a_params = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope="Actor")
    ema = tf.train.ExponentialMovingAverage(decay=1 - 0.1)

    def ema_getter(getter: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        return ema.average(getter(name, *args, **kwargs))

    target_update = [ema.apply(a_params)]
    a_ = build(s_, reuse=True, custom_getter=ema_getter)
    loss = tf.reduce_mean(tf.squared_difference(a, tf.stop_gradient(a_) + 1.0))
    # The original updates the target while it trains, which is a race for what the target gives.
    atrain = tf.train.AdamOptimizer(0.01).minimize(loss, var_list=a_params)
    feed = {s: values(4, 3), s_: values(4, 3, seed=1)}
    fetches = {"a": a, "target": a_, "_train": atrain, "_update": target_update[0]}
    order = [["_train"], ["_update"], ["_train"], ["_update"], ["a", "target"]]
    return Program(fetches, [(names, feed) for names in order])


@program("shekkizh/TensorflowProjects")
def global_normalisation(tf: Any, moving_averages: Any) -> Program:
    def batch_norm(x: Any, n_out: int, phase_train: Any, scope: str = "bn", decay: float = 0.9) -> Any:
        with tf.variable_scope(scope):
            beta = tf.get_variable(
                name="beta", shape=[n_out], initializer=tf.constant_initializer(0.0), trainable=True
            )
            gamma = tf.get_variable(
                name="gamma", shape=[n_out], initializer=tf.random_normal_initializer(1.0, 0.02)
            )
            batch_mean, batch_var = tf.nn.moments(x, [0, 1, 2], name="moments")
            ema = tf.train.ExponentialMovingAverage(decay=decay)
            ema_apply_op = ema.apply([batch_mean, batch_var])
            ema_mean, ema_var = ema.average(batch_mean), ema.average(batch_var)

            def update() -> Any:
                with tf.control_dependencies([ema_apply_op]):
                    return tf.identity(batch_mean), tf.identity(batch_var)

            mean, var = tf.cond(phase_train, update, lambda: (ema_mean, ema_var))
            return tf.nn.batch_norm_with_global_normalization(x, mean, var, beta, gamma, 1e-3, True)

    x, phase = images(tf), tf.placeholder(tf.bool)
    out = batch_norm(x, 2, phase)
    loss = tf.reduce_sum(out * out[:, ::-1] if False else tf.square(out)) / 50.0
    step = tf.train.AdamOptimizer(0.1).minimize(loss)
    feeds = [{x: values(3, 6, 6, 2, seed=s), phase: True} for s in range(2)]
    # The update is built outside of cond's functions: evaluation moves the averages too. It reads them as
    # well, a race, so that only what is left afterwards is looked at.
    quiet = (["_out"], {x: values(3, 6, 6, 2, seed=5), phase: False})
    return Program(
        {"loss": loss, "_out": out.op, "_step": step}, [(["_step", "loss"], f) for f in feeds] + [quiet]
    )


@program("openai/baselines (fused operation by hand)")
def fused_by_hand(tf: Any, moving_averages: Any) -> Program:
    x, flag = images(tf), tf.placeholder_with_default(False, [], name="training")
    with tf.variable_scope("bn"):
        gamma = tf.get_variable("gamma", 2, initializer=tf.ones_initializer)
        beta = tf.get_variable("beta", x.get_shape()[-1], initializer=tf.zeros_initializer)
        mean = tf.get_variable("mean", [2], initializer=tf.zeros_initializer, trainable=False)
        variance = tf.get_variable("variance", [2], initializer=tf.ones_initializer, trainable=False)

        def training() -> Any:
            y, m, v = tf.nn.fused_batch_norm(x, gamma, beta, epsilon=1e-3)
            moved = [tf.assign_sub(mean, 0.1 * (mean - m)), tf.assign_add(variance, 0.1 * (v - variance))]
            with tf.control_dependencies(moved):
                return tf.identity(y)

        def inference() -> Any:
            return tf.nn.fused_batch_norm(x, gamma, beta, mean, variance, epsilon=1e-3, is_training=False)[0]

        y = tf.cond(flag, training, inference)
    total = tf.reduce_sum(y, name="total")
    gradient = tf.gradients(tf.reduce_sum(tf.square(y)), [gamma, beta])
    feed = {x: values(3, 6, 6, 2)}
    fetches = {"y": y, "total": total, "_gamma": gradient[0], "_beta": gradient[1]}
    order = [(["y"], {**feed, flag: True}), (["y"], feed), (["_gamma", "_beta"], feed)]
    return Program(fetches, order)


@program("cross-graph names: layers in scopes, slots in scopes")
def names_in_scopes(tf: Any, moving_averages: Any) -> Program:
    x = tf.placeholder(tf.float32, [None, 4])
    with tf.name_scope("tower_0"), tf.variable_scope("net") as scope:
        h = tf.layers.batch_normalization(tf.layers.dense(x, 3), training=True)
        w = tf.Variable(np.ones((3, 3), np.float32), name="w")
        h = tf.layers.batch_normalization(tf.matmul(h, w), training=True, name="second")
    with tf.variable_scope(scope, reuse=True):
        again = tf.layers.dense(x, 3, name="dense")
    with tf.variable_scope("train"):
        global_step = tf.Variable(0, name="global_step", trainable=False)
        loss = tf.reduce_mean(tf.abs(h + again))
        optimizer = tf.train.RMSPropOptimizer(0.01, centered=True, momentum=0.5)
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS, scope="tower_0")):
            step = optimizer.minimize(loss, global_step=global_step, name="descent")
        ema = tf.train.ExponentialMovingAverage(0.9, zero_debias=True)
        average = ema.apply([loss])
    feed = {x: values(5, 4)}
    fetches = {"loss": loss, "h": h, "step": step, "shadow": ema.average(loss), "average": average}
    return Program(
        fetches, [(["step"], feed), (["average"], feed), (["average"], feed), (["loss", "h"], feed)]
    )


@program("the article")
def article(tf: Any, moving_averages: Any) -> Program:
    def batch_norm_layer(value: Any, train: Any = None, name: str = "batch_norm") -> Any:
        batch_norm = tf.contrib.layers.batch_norm
        if train is not False:
            return batch_norm(value, decay=0.9, updates_collections=None, is_training=True)
        return batch_norm(value, decay=0.9, updates_collections=None, is_training=False)

    x, y = tf.placeholder(tf.float32, [None, 32, 32, 3]), tf.placeholder(tf.float32, [None, 10])
    train = tf.Variable(tf.constant(False), trainable=False)
    h = tf.reshape(x, [-1, 32, 32, 3])
    widths = [3, 64, 64, 32, 16, 10]
    for i in range(5):
        w = tf.Variable(tf.truncated_normal([3, 3, widths[i], widths[i + 1]], stddev=0.1))
        b = tf.Variable(tf.constant(0.1, shape=[widths[i + 1]]))
        h = tf.nn.conv2d(h, w, strides=[1, 1, 1, 1], padding="SAME") + b
        h = tf.nn.relu(batch_norm_layer(h, train))
        if i < 4:
            h = tf.nn.max_pool(h, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
    h = tf.nn.avg_pool(h, ksize=[1, 4, 4, 1], strides=[1, 4, 4, 1], padding="SAME")
    logits = tf.reshape(h, [-1, 10])
    cross_entropy = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=logits))
    train_step = tf.train.AdamOptimizer(1e-3, epsilon=1e-3).minimize(cross_entropy)
    feed = {x: values(6, 32, 32, 3), y: np.eye(10, dtype=np.float32)[[0, 1, 2, 3, 4, 4]]}
    fetches = {"logits": logits, "loss": cross_entropy, "_step": train_step}
    return Program(fetches, [(["logits"], feed), (["_step"], feed), (["loss", "logits"], feed)])
