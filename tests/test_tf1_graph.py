"""tf1's graph: names, collections, sharing, schedules, traps and versions."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bnstudy.tf1 as tf
from bnstudy.tf1 import memory
from tests import golden

X = np.random.default_rng(0).normal(1.0, 2.0, (6, 3, 3, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def fresh_graph() -> Iterator[None]:
    with tf.Graph().as_default():
        yield


def started() -> tf.Session:
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    return session


PUBLIC = golden.load(str(Path(__file__).with_name("golden_public.npz")))
LAYERS = [case for case in PUBLIC if case.info["api"] == "batch_norm"]


@pytest.mark.parametrize("case", LAYERS, ids=lambda c: c.name)
def test_graph_facts_are_tensorflows(case: golden.Case) -> None:
    """Names, types, collections and the choice of path, beside the numbers of test_tensorflow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tf.TrapWarning)
        built = golden.BatchNormGraph(case)
    facts = case.info["graph"]
    variables = built.variables()
    model = {name for name, v in variables.items() if v in tf.model_variables()}
    assert model == set(facts["model_variables"])
    for name, variable in variables.items():
        assert variable.dtype.name == facts["variable_dtypes"][name]
        if name != "w":
            assert variable.name == facts["tf_variable_names"][name]
    trainable = {name for name, v in variables.items() if v in tf.trainable_variables()}
    assert trainable == set(facts["trainable_variables"])
    assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == facts["n_update_ops"]
    losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    assert [loss.name for loss in losses] == facts["reg_loss_names"]
    fused = any(
        name.split("/")[-1].startswith("FusedBatchNorm") for name in tf.get_default_graph().operations
    )
    assert fused is facts["fused_op_in_graph"]
    for key, expected in facts["outputs_collections"].items():
        assert [t.aliases for t in tf.get_collection(key)] == expected["aliases"]
    for key, expected in facts["variables_collections"].items():
        by_variable = {v: name for name, v in variables.items()}
        assert sorted(by_variable[v] for v in tf.get_collection(key)) == sorted(expected)
    assert next(iter(built.outputs.values())).dtype.name == facts["out_dtype"]


def test_a_wrong_value_is_noticed() -> None:
    case = next(c for c in PUBLIC if c.name == "defaults.all_defaults")
    case = golden.Case(case.info, dict(case.arrays))
    case.computed = golden.replay(case)
    assert max(ratio for _, _, ratio in golden.differences(case)) < 1.0
    case.computed["0/var/moving_mean"] = case.computed["0/var/moving_mean"] + 1e-3
    del case.computed["1/out"]
    outside = {key for key, _, ratio in golden.differences(case) if ratio > 1.0}
    assert outside == {"0/var/moving_mean", "1/out"}


PATHS = {
    "slim_fused": {"updates_collections": None},
    "slim_plain": {"updates_collections": None, "fused": False},
    "layer_fused": {},
    "layer_plain": {"fused": False},
}


@settings(max_examples=60, deadline=None)
@given(
    path=st.sampled_from(sorted(PATHS)),
    rank=st.integers(2, 5),
    nchw=st.booleans(),
    decay=st.floats(0.0, 1.0),
    epsilon=st.sampled_from([1e-4, 1e-3, 0.3]),
    scale=st.booleans(),
    center=st.booleans(),
    kind=st.sampled_from(["python", "placeholder", "variable", "constant"]),
    seed=st.integers(0, 2**31),
)
def test_every_path_equals_a_float64_recomputation(
    path: str,
    rank: int,
    nchw: bool,
    decay: float,
    epsilon: float,
    scale: bool,
    center: bool,
    kind: str,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    shape = rng.integers(2, 5, rank)
    x = rng.normal(1.0, 2.0, shape).astype(np.float32)
    channel = 1 if nchw else rank - 1
    c, axes = int(shape[channel]), tuple(a for a in range(rank) if a != channel)
    gamma, beta = rng.normal(size=(2, c)).astype(np.float32)
    with tf.Graph().as_default(), warnings.catch_warnings():
        warnings.simplefilter("ignore", tf.TrapWarning)
        source = tf.placeholder(tf.float32, [None if a == 0 else int(s) for a, s in enumerate(shape)])
        flags: dict[str, Any] = {
            "python": True,
            "constant": tf.constant(True),
            "placeholder": tf.placeholder(tf.bool, []),
            "variable": tf.Variable(True, trainable=False),
        }
        flag = flags[kind]
        out = tf.batch_norm(
            source,
            decay=decay,
            epsilon=epsilon,
            scale=scale,
            center=center,
            is_training=flag,
            data_format="NCHW" if nchw else "NHWC",
            param_initializers={
                "gamma": tf.constant_initializer(gamma),
                "beta": tf.constant_initializer(beta),
            },
            **PATHS[path],
        )
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        feed = {source: x, **({flag: True} if kind == "placeholder" else {})}
        with started() as session:
            got, _ = session.run((out, updates), feed)
            moving = {v.op.name.split("/")[-1]: session.run(v) for v in tf.model_variables()}
        fused = any("FusedBatchNorm" in name for name in tf.get_default_graph().operations)
    exact = x.astype(np.float64)
    mean, variance = exact.mean(axes), exact.var(axes)
    view = [-1 if a == channel else 1 for a in range(rank)]
    expected = (exact - mean.reshape(view)) / np.sqrt(variance.reshape(view) + epsilon)
    expected = expected * (gamma.reshape(view) if scale else 1.0) + (beta.reshape(view) if center else 0.0)
    count = x.size // c
    bessel = count / max(count - 1, 1) if fused else 1.0
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(moving["moving_mean"], (1 - decay) * mean, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        moving["moving_variance"], decay + (1 - decay) * variance * bessel, rtol=1e-3, atol=1e-5
    )


def test_update_ops_need_to_be_run_and_in_place_does_not() -> None:
    lazy = tf.batch_norm(tf.constant(X), decay=0.5, scope="lazy")
    eager = tf.batch_norm(tf.constant(X), decay=0.5, scope="eager", updates_collections=None)
    means = {v.op.name: v for v in tf.model_variables() if v.op.name.endswith("moving_mean")}
    with started() as session:
        session.run([lazy, eager])
        values = session.run(means)
        assert not values["lazy/moving_mean"].any()
        np.testing.assert_allclose(values["eager/moving_mean"], 0.5 * X.mean((0, 1, 2)), rtol=1e-4)
        session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        np.testing.assert_allclose(session.run(means["lazy/moving_mean"]), 0.5 * X.mean((0, 1, 2)), rtol=1e-4)


def test_fetching_only_the_gradient_moves_in_place_averages_once() -> None:
    x = tf.constant(X)
    out = tf.batch_norm(x, decay=0.5, updates_collections=None, scope="bn")
    gradient = tf.gradients(tf.reduce_sum(out * out), x)[0]
    with started() as session:
        session.run([gradient, out])
        np.testing.assert_allclose(session.run("bn/moving_mean:0"), 0.5 * X.mean((0, 1, 2)), rtol=1e-4)


def test_make_template_shares_one_set_of_variables() -> None:
    def layer(x: Any, training: bool) -> Any:
        inner = tf.batch_norm(x, is_training=training)
        return tf.batch_norm(inner, decay=0.5, is_training=training, updates_collections=None)

    net = tf.make_template("net", layer)
    train, test = net(tf.constant(X), training=True), net(tf.constant(X[:1]), training=False)
    assert [v.op.name for v in net.variables] == [
        f"net/{scope}/{name}"
        for scope in ("BatchNorm", "BatchNorm_1")
        for name in ("beta", "moving_mean", "moving_variance")
    ]
    assert len(tf.global_variables()) == 6
    assert [v.op.name for v in net.trainable_variables] == [
        "net/BatchNorm/beta",
        "net/BatchNorm_1/beta",
    ]
    with started() as session:
        before = session.run(test)
        session.run(train)
        assert np.abs(session.run(test) - before).max() > 0.01
    second = tf.make_template("net", layer)
    second(tf.constant(X), training=True)
    assert second.variables[0].op.name == "net_1/BatchNorm/beta"
    assert len(net.variables) == 6


def test_a_template_may_not_make_new_variables_later() -> None:
    sizes = iter([3, 4])
    net = tf.make_template("net", lambda: tf.get_variable(f"v{next(sizes)}", [2]))
    net()
    with pytest.raises(ValueError, match="Variable net/v4 does not exist"):
        net()


def test_variable_scopes_name_and_share() -> None:
    with tf.variable_scope("outer"):
        first = tf.batch_norm(tf.constant(X), scope="bn")
        with pytest.raises(ValueError, match="Variable outer/bn/beta already exists, disallowed"):
            tf.batch_norm(tf.constant(X), scope="bn")
    with tf.variable_scope("outer", reuse=True) as scope:
        tf.batch_norm(tf.constant(X), scope="bn")
        with pytest.raises(ValueError, match="Variable outer/new/beta does not exist"):
            tf.batch_norm(tf.constant(X), scope="new")
    assert first.name.startswith("outer/bn/")
    assert len(tf.global_variables()) == 3
    assert [v.name for v in scope.trainable_variables()] == ["outer/bn/beta:0"]
    assert tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope="other") == []
    with tf.variable_scope(scope, reuse=True):
        assert tf.get_variable("bn/beta", [3]).name == "outer/bn/beta:0"
    with tf.variable_scope("s"):
        tf.get_variable("v", [2])
        tf.get_variable_scope().reuse_variables()
        with pytest.raises(ValueError, match=r"specified shape \(3,\) and found shape \(2,\)"):
            tf.get_variable("v", [3])
        with pytest.raises(ValueError, match="specified dtype float64 and found dtype float32"):
            tf.get_variable("v", [2], tf.float64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {
                "param_regularizers": {"gamma": tf.contrib.layers.l2_regularizer(0.1)},
                "scale": True,
                **PATHS["slim_plain"],
            },
            r"param_regularizers \['gamma'\] are dropped",
        ),
        ({"fused": True, "renorm": True}, "fused=True is ignored"),
        ({"fused": True, "batch_weights": tf.constant([1.0] * 6)}, "fused=True is ignored"),
        ({"trainable": False}, "trainable=False freezes the moving averages"),
        (
            {"trainable": False, "updates_collections": None},
            "trainable=False does not stop the moving averages",
        ),
        ({"decay": 1.5}, "decay is 1.5, outside 0 to 1"),
        ({"epsilon": -10.0}, "epsilon is -10.0, not above 0"),
        ({"renorm_clipping": {"rmax": 2.0}}, "renorm_clipping is ignored without renorm"),
        ({"renorm": True, "renorm_clipping": {"rmin": 2.0, "rmax": 0.5}}, "rmax wins"),
        (
            {"param_initializers": {"bias": tf.zeros_initializer()}},
            r"param_initializers has \['bias'\]",
        ),
        ({"param_initializers": {"gamma": tf.zeros_initializer()}}, "the call makes no gamma"),
        ({"zero_debias_moving_mean": True, "decay": 1.0}, "0/0, NaN"),
        ({"is_training": "yes", "updates_collections": None}, "any non-empty text means training"),
        ({"is_training": None}, "learning phase"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_traps_are_warned_of(options: dict[str, Any], message: str) -> None:
    if "batch_weights" in options:
        options = {**options, "batch_weights": tf.constant([1.0] * 6)}
    with pytest.warns(tf.TrapWarning, match=message) as caught:
        tf.batch_norm(tf.constant(X), **options)
    assert caught[0].filename == __file__


def test_an_honest_call_is_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options in PATHS.values():
            tf.batch_norm(tf.constant(X), scale=True, **options)


def test_versions_differ_by_name() -> None:
    def variance_after_a_step(**options: Any) -> np.ndarray:
        with tf.Graph().as_default():
            tf.batch_norm(tf.constant(X), decay=0.0, scope="bn", **options)
            with started() as session:
                session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
                found: np.ndarray = session.run("bn/moving_variance:0")
                return found

    population, count = X.astype(np.float64).var((0, 1, 2)), X.size // 3
    np.testing.assert_allclose(variance_after_a_step(), population * count / (count - 1), rtol=1e-4)
    with tf.emulate("1.3"):
        np.testing.assert_allclose(variance_after_a_step(), population, rtol=1e-4)
        with pytest.raises(ValueError, match="not currently supported for fused"):
            tf.batch_norm(tf.constant(X), renorm=True, fused=True)
    with tf.emulate("1.4"), warnings.catch_warnings():
        warnings.simplefilter("ignore", tf.TrapWarning)
        tf.batch_norm(tf.constant(X), trainable=False)
        assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 2
    with pytest.raises(ValueError, match=r"name is '2\.0'; allowed"), tf.emulate("2.0"):  # type: ignore[arg-type]
        pass


def test_old_renorm_starts_as_plain_batch_norm() -> None:
    with tf.emulate("1.12"):
        old = tf.batch_norm(tf.constant(X), renorm=True, scope="old")
    new = tf.batch_norm(tf.constant(X), renorm=True, scope="new")
    plain = tf.batch_norm(tf.constant(X), fused=False, scope="plain")
    names = {v.op.name for v in tf.model_variables()}
    assert {"old/renorm_mean_weight", "old/renorm_stddev_weight", "new/moving_stddev"} <= names
    assert "old/moving_stddev" not in names
    with started() as session:
        a, b, c = session.run([old, plain, new])
    np.testing.assert_allclose(a, b, atol=1e-5)
    assert np.abs(c - b).max() > 0.1


def test_epsilon_of_the_fused_operation_has_a_floor_in_old_versions() -> None:
    def output(version: Any) -> Any:
        with tf.emulate(version):
            return tf.batch_norm(tf.constant(X * 1e-3), epsilon=1e-6)

    outputs = [output("1.15"), output("2.12")]
    with started() as session:
        clamped, exact = session.run(outputs)
    assert np.abs(clamped - exact).max() > 0.1


def test_clipping_may_be_a_schedule() -> None:
    rmax = tf.placeholder(tf.float32, [])
    out = tf.batch_norm(tf.constant(X), renorm=True, renorm_clipping={"rmax": rmax, "dmax": 0.0})
    with started() as session:
        one, two = (session.run(out, {rmax: value}) for value in (1.0, 1.5))
    np.testing.assert_allclose(two, 1.5 * one, rtol=1e-4, atol=1e-5)


def test_sessions_hold_their_own_values() -> None:
    v = tf.Variable(1.0)
    add = v.assign_add(1.0)
    one, two = started(), started()
    one.run(add)
    assert (one.run(v), two.run(v)) == (2.0, 1.0)
    with pytest.raises(tf.FailedPreconditionError, match="uninitialized value Variable"):
        tf.Session().run(v)


def test_a_snapshot_is_of_the_start_and_a_read_is_of_now() -> None:
    v = tf.Variable(1.0)
    add = v.assign_add(1.0)
    with tf.control_dependencies([add]):
        late = v.read_value()
    with started() as session:
        assert session.run([v.value(), late]) == [1.0, 2.0]


def test_placeholders_are_checked() -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    with tf.Session() as session:
        with pytest.raises(ValueError, match=r"Cannot feed value of shape \(2, 4\)"):
            session.run(x, {x: np.zeros((2, 4))})
        with pytest.raises(tf.errors.InvalidArgumentError, match="must feed a value"):
            session.run(x)
    with pytest.raises(TypeError, match="does not match type float32"):
        tf.placeholder(tf.float32, []) + tf.constant(1)


def test_a_saved_model_comes_back(tmp_path: Path) -> None:
    out = tf.batch_norm(tf.constant(X), updates_collections=None, scope="bn")
    saver = tf.train.Saver()
    with started() as session:
        session.run(out)
        path = saver.save(session, tmp_path / "model", global_step=3)
        mean = session.run("bn/moving_mean:0")
    assert path.endswith("model-3")
    with tf.Session() as session:
        saver.restore(session, path)
        assert np.array_equal(session.run("bn/moving_mean:0"), mean)


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    window=st.integers(1, 3),
    step=st.integers(1, 3),
    padding=st.sampled_from(["SAME", "VALID"]),
    seed=st.integers(0, 2**31),
)
def test_relu_and_pooling_in_the_other_order_are_the_same(
    size: tuple[int, int], window: int, step: int, padding: str, seed: int
) -> None:
    """Bit for bit, with derivatives, ties and zeros; fetching the ReLU keeps the order as written."""
    if padding == "VALID":
        size = max(size[0], window), max(size[1], window)
    rng = np.random.default_rng(seed)
    value = rng.integers(-2, 3, (2, *size, 2)).astype(np.float32)
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [None, *size, 2])
        rectified = tf.nn.relu(x * 1.0)
        pooled = tf.nn.max_pool(rectified, [1, window, window, 1], [1, step, step, 1], padding)
        weights = rng.normal(size=[2, *(int(d) for d in pooled.get_shape()[1:])]).astype(np.float32)
        gradient = tf.gradients(tf.reduce_sum(pooled * weights), x)[0]
        with tf.Session() as session:
            fast = session.run([pooled, gradient], {x: value})
            plain = session.run([pooled, gradient, rectified], {x: value})
    np.testing.assert_array_equal(fast[0], plain[0])
    np.testing.assert_array_equal(fast[1], plain[1])
    np.testing.assert_array_equal(plain[2], np.maximum(value, 0.0))


def test_a_session_keeps_freed_memory_where_the_c_library_can() -> None:
    assert memory.keep_freed() is (platform.libc_ver()[0] == "glibc")


def test_values_are_dropped_after_their_last_reader_and_fetches_are_kept() -> None:
    """Nothing that a later step reads is gone, whatever is fetched beside it."""
    x = tf.placeholder(tf.float32, [None, 3])
    w = tf.Variable(np.eye(3, dtype=np.float32))
    steps = [tf.matmul(x, w)]
    for _ in range(4):
        steps.append(tf.nn.relu(steps[-1]) + steps[0])
    gradients = tf.gradients(tf.reduce_sum(steps[-1]), [w, steps[0], x])
    with started() as session:
        feed = {x: X[:, 0, 0]}
        together = session.run([*steps, *gradients, x, w], feed)
        apart = [session.run(t, feed) for t in [*steps, *gradients, x, w]]
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_array_equal(one, other)
