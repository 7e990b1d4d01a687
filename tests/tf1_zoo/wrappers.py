"""Programs that call contrib's batch_norm through a wrapper, a cond or an arg_scope."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.tf1_zoo.harness import Program, classes, images, program, values


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
