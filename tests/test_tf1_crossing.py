"""A trained article network goes to PyTorch and back: weights, averages, decay, epsilon, Bessel."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import bnstudy.tf1 as tf
from bnstudy import BatchNorm
from bnstudy.train.network import ArticleNet
from tests.article_listing import Listing, batch_norm_fixed

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(4, 32, 32, 3)).astype(np.float32)
LABELS = np.eye(10, dtype=np.float32)[[0, 3, 3, 7]]


@pytest.fixture(autouse=True)
def fresh_graph() -> Iterator[None]:
    with tf.Graph().as_default(), warnings.catch_warnings():
        warnings.simplefilter("ignore", tf.TrapWarning)
        tf.set_random_seed(1)
        yield


def evaluated(network: nn.Module) -> np.ndarray:
    with torch.no_grad():
        return network.eval()(torch.from_numpy(IMAGES).permute(0, 3, 1, 2)).numpy()


@pytest.mark.parametrize("version", ["1.3", "1.15"])
def test_a_trained_article_network_goes_and_comes_back(version: Any) -> None:
    with tf.emulate(version):
        listing = Listing(batch_norm_fixed, learning_rate=1e-2)
    feed = {listing.x: IMAGES, listing.y: LABELS}
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        listing.fit(session, iter([(IMAGES, LABELS)] * 2))
        network = ArticleNet(decay=0.5, epsilon=0.1)
        assert tf.to_network(network) is network
        expected = session.run(listing.logits, feed)
        np.testing.assert_allclose(evaluated(network), expected, rtol=1e-4, atol=1e-5)
        layers = network.norm_layers()
        assert {(n.decay, n.epsilon, n.fused) for n in layers} == {(0.9, 0.001, version == "1.15")}
        # One step of averages more on both sides: decay and Bessel's correction show.
        session.run(listing.train.assign(True))
        session.run(listing.logits, feed)
        session.run(listing.train.assign(False))
        with torch.no_grad():
            network.train()(torch.from_numpy(IMAGES).permute(0, 3, 1, 2))
        for n, layer in enumerate(layers):
            scope = "BatchNorm" if n == 0 else f"BatchNorm_{n}"
            found = session.run(f"{scope}/moving_variance:0")
            np.testing.assert_allclose(layer.moving_variance.numpy(), found, rtol=1e-4, atol=1e-6)
        session.run(tf.global_variables_initializer())
        tf.from_network(network)
        np.testing.assert_allclose(
            session.run(listing.logits, feed), evaluated(network), rtol=1e-4, atol=1e-5
        )


def small(**options: Any) -> Any:
    x = tf.placeholder(tf.float32, [None, 4, 4, 2])
    w = tf.get_variable("w", [3, 3, 2, 3])
    out = tf.nn.conv2d(x, w, [1, 1, 1, 1], "SAME")
    return tf.batch_norm(out, is_training=False, **{"scope": "bn", **options})


def network(*more: nn.Module, bias: bool = False, out: int = 3, **options: Any) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, out, 3, padding=1, bias=bias), BatchNorm(out, **options), *more)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (lambda: network(nn.Conv2d(3, 3, 1, bias=False)), "the network has 2 convolutions, the graph 1"),
        (lambda: network(bias=True), "the network has 1 biases, the graph 0"),
        (lambda: network(BatchNorm(3)), "the network has 2 batch-norm layers, the graph 1"),
        (lambda: network(scale=True), "'bn' has a gamma in the network alone"),
        (lambda: network(center=False), "'bn' has a beta in the graph alone"),
        (lambda: network(out=4), r"w has shape \[3, 3, 2, 3\], and its tensor .* \[4, 2, 3, 3\]"),
        (lambda: network(nn.Linear(3, 2)), r"\['2.weight', '2.bias'\] are of layers that don't cross over"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_set(target: Any, message: str) -> None:
    small()
    made = target()
    before = [p.clone() for p in made.parameters()]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for cross in (tf.to_network, tf.from_network):
            with pytest.raises(ValueError, match=message):
                cross(made)
    assert all(torch.equal(a, b) for a, b in zip(before, made.parameters(), strict=True))


@pytest.mark.parametrize("option", [{"decay": 0.5}, {"epsilon": 0.1}, {"fused": False}])
def test_a_graph_with_other_settings_takes_no_network(option: dict[str, Any]) -> None:
    small(**{"decay": 0.9, **option})
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        with pytest.raises(
            ValueError, match=f"{next(iter(option))} is .* in the network and .* in the graph's 'bn'"
        ):
            tf.from_network(network(decay=0.9, fused=True))


def test_calls_that_share_variables_and_differ_are_refused() -> None:
    first = small(decay=0.9)
    tf.batch_norm(first, is_training=False, scope="bn", reuse=True, decay=0.5)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        with pytest.raises(ValueError, match="share 'bn' and differ"):
            tf.to_network(network())
