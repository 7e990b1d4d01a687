"""Programs over tf.layers, and every variant of both batch norms under its names."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.tf1_zoo.harness import Program, classes, images, program, values


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


@program("every default of a scope")
def defaults_of_a_scope(tf: Any, moving_averages: Any) -> Program:
    contrib = tf.contrib.layers
    x, im = tf.placeholder(tf.float32, [None, 4]), images(tf)
    penalty, start = contrib.l2_regularizer(0.1), tf.constant_initializer(0.3)
    with tf.variable_scope("a", regularizer=penalty, initializer=start):
        h = tf.layers.batch_normalization(tf.layers.dense(x, 3), training=True)
        normed = contrib.batch_norm(h, scale=True)
        convolved = contrib.conv2d(im, 3, 3), tf.layers.conv2d(im, 2, 3)
        full = contrib.fully_connected(x, 2, normalizer_fn=contrib.batch_norm)
        w = tf.get_variable("w", [2])
    parts = [tf.reduce_mean(t) for t in (normed, *convolved, full, w)]
    return Program({"out": tf.add_n(parts)}, [(["out"], {x: values(5, 4), im: values(3, 6, 6, 2)})])


@program("one network twice, with AUTO_REUSE")
def reuse(tf: Any, moving_averages: Any) -> Program:
    def net(x: Any, train: bool) -> Any:
        with tf.variable_scope("net", reuse=tf.AUTO_REUSE):
            h = tf.layers.dense(x, 3, name="fc", use_bias=False)
            h = tf.layers.batch_normalization(h, training=train, name="bn")
            h = tf.nn.relu(tf.contrib.layers.batch_norm(h, is_training=train, scope="bn2"))
            with tf.variable_scope("inner"):
                return tf.layers.dense(h, 2)

    x = tf.placeholder(tf.float32, [None, 4])
    out, test = net(x, True), net(x, False)
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        step = tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_mean(tf.square(out - 1.0)))
    feed = {x: values(5, 4)}
    fetches = {"out": out, "test": test, "_step": step}
    return Program(fetches, [(["_step"], feed)] * 2 + [(["test"], feed)])


@program("names of nested scopes")
def nested_names(tf: Any, moving_averages: Any) -> Program:
    batch_norm = tf.contrib.layers.batch_norm
    x = tf.placeholder(tf.float32, [None, 4], "inp")
    made = []
    with tf.name_scope("ns"):
        made += [tf.identity(x, "a"), tf.layers.dense(x, 2)]
        with tf.name_scope("inner") as scope:
            made.append(tf.add(made[-1], 1.0, name="c"))
        with tf.name_scope(scope):
            made.append(tf.add(made[-1], 1.0, name="d"))
        with tf.name_scope(None):
            made.append(tf.add(made[-1], 1.0, name="e"))
        with tf.name_scope(None, "default", [x]):
            made.append(tf.nn.relu(made[-1]))
    with tf.variable_scope("v") as outer:
        made.append(tf.nn.relu(made[-1]))
        with tf.variable_scope("w"):
            made.append(tf.nn.relu(made[-1]))
            tf.get_variable("u", [1])
    with tf.variable_scope(outer):
        made.append(tf.nn.relu(made[-1]))
        tf.get_variable("u2", [1])
    with tf.variable_scope(outer, auxiliary_name_scope=False):
        made.append(tf.nn.relu(made[-1]))
    for _ in range(2):
        with tf.variable_scope(None, "dd"):
            made.append(tf.nn.relu(made[-1]))
            tf.get_variable("u", [1])
    with tf.variable_scope("v/w", reuse=True):
        made.append(tf.get_variable("u") * made[-1])
    made.append(batch_norm(made[-1]))
    made.append(batch_norm(made[-1], is_training=False))
    dynamic = tf.placeholder_with_default(True, [])
    made.append(batch_norm(made[-1], is_training=dynamic, updates_collections=None))
    made.append(
        batch_norm(tf.reshape(made[-1], [-1, 1, 1, 2]), is_training=dynamic, activation_fn=tf.nn.relu)
    )
    return Program({f"n{i}": t for i, t in enumerate(made)}, [(["n13"], {x: values(5, 4)})])


def _each_flag(tf: Any, layer: Any, variants: list[dict[str, Any]], flag: str) -> dict[str, Any]:
    """Return outputs of every variant for a placeholder, True and False."""
    modes = {"p": tf.placeholder(tf.bool, [], name="mode"), "t": True, "f": False}
    return {
        f"{mode}{i}": layer(f"{mode}{i}", **{flag: value}, **options)
        for i, options in enumerate(variants)
        for mode, value in modes.items()
    }


def _trained_and_evaluated(tf: Any, x: Any, outputs: dict[str, Any], keys: list[str]) -> Program:
    updates = [op for key in keys for op in tf.get_collection(key)]
    with tf.control_dependencies(updates):
        fetches = {**outputs, "_all": tf.no_op()}
    mode = tf.get_default_graph().get_tensor_by_name("mode:0")
    train = {x: values(4, 6, 6, 2), mode: True}
    test = {x: values(4, 6, 6, 2, seed=3), mode: False}
    steps = [(["_all", *outputs], train), (list(outputs), test), (["_all"], test)]
    return Program(fetches, steps, [k for k in keys if k != "update_ops"])


@program("variants of contrib.layers.batch_norm")
def variants_of_contrib(tf: Any, moving_averages: Any) -> Program:
    x, contrib = images(tf), tf.contrib.layers
    variants: list[dict[str, Any]] = [
        {"fused": False},
        {"fused": True},
        {"updates_collections": None},
        {"updates_collections": None, "fused": False},
        {"updates_collections": "mine"},
        {"zero_debias_moving_mean": True},
        {"renorm": True, "fused": False},
        {"scale": True, "param_regularizers": {"beta": contrib.l2_regularizer(0.1)}},
        {"outputs_collections": "o", "variables_collections": {"beta": ["bb"]}},
        {"trainable": False},
    ]

    def layer(scope: str, **options: Any) -> Any:
        return contrib.batch_norm(x, decay=0.7, scope=scope, **options)

    outputs = _each_flag(tf, layer, variants, "is_training")
    return _trained_and_evaluated(tf, x, outputs, ["update_ops", "mine", "o", "bb"][:2])


@program("variants of layers.batch_normalization")
def variants_of_layers(tf: Any, moving_averages: Any) -> Program:
    x = images(tf)
    clipping = {"rmin": 0.5, "rmax": 2.0, "dmax": 1.0}
    variants: list[dict[str, Any]] = [
        {},
        {"fused": False},
        {"center": False},
        {"scale": False, "momentum": 0.5},
        {"renorm": True},
        {"axis": 1},
        {"trainable": False},
        {
            "gamma_initializer": tf.random_uniform_initializer(),
            "beta_regularizer": tf.contrib.layers.l2_regularizer(0.2),
        },
        {"renorm": True, "renorm_clipping": clipping, "renorm_momentum": 0.8},
    ]

    def layer(name: str, **options: Any) -> Any:
        return tf.layers.batch_normalization(x, name=name, **options)

    outputs = _each_flag(tf, layer, variants, "training")
    mode = tf.get_default_graph().get_tensor_by_name("mode:0")
    outputs["rank2"] = tf.layers.batch_normalization(tf.reduce_mean(x, [1, 2]), training=mode)
    outputs["rank3"] = tf.layers.batch_normalization(tf.reduce_mean(x, 1), training=True)
    return _trained_and_evaluated(tf, x, outputs, ["update_ops"])
