"""Programs that keep averages of moments by hand, or by ExponentialMovingAverage."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.tf1_zoo.harness import Program, Step, classes, images, program, values


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
