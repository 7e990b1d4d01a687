"""Programs whose training is what is special: penalties, averaged weights and losses, targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.tf1_zoo.harness import Program, classes, images, program, values


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


@program("optimizers over clipped gradients")
def clipped_gradients(tf: Any, moving_averages: Any) -> Program:
    x = tf.placeholder(tf.float32, [None, 4])
    train = tf.train
    makers = [
        lambda: train.AdamOptimizer(tf.placeholder_with_default(0.1, [])),
        lambda: train.MomentumOptimizer(0.1, tf.constant(0.9)),
        lambda: train.RMSPropOptimizer(0.1, momentum=0.5, centered=True),
        lambda: train.GradientDescentOptimizer(
            train.exponential_decay(0.1, train.get_or_create_global_step(), 1, 0.5)
        ),
        lambda: train.MomentumOptimizer(0.1, 0.9, use_nesterov=True),
    ]
    steps = {}
    for i, make in enumerate(makers):
        with tf.variable_scope(f"s{i}"):
            v, b = tf.get_variable("v", [4, 2]), tf.Variable(tf.zeros([2]))
            loss = tf.reduce_mean(tf.square(tf.matmul(x, v) + b - 1.0))
            optimizer = make()
            pairs = [
                (tf.clip_by_value(g, -0.1, 0.1), u) for g, u in optimizer.compute_gradients(loss, [v, b])
            ]
            counted = train.get_or_create_global_step() if i == 3 else None
            steps[f"_s{i}"] = optimizer.apply_gradients(pairs, global_step=counted)
    return Program(steps, [([key], {x: values(5, 4)}) for key in steps] * 2)
