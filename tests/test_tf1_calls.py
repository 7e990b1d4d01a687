"""Each call and spelling has TensorFlow's name, type, static shape and value, or raises where it does."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

import bnstudy.tf1 as tf
from tests.tf1_calls import CALLS, look

RECORDED = json.loads(Path(__file__).with_name("golden_tf1_calls.json").read_text())


def test_every_call_is_recorded() -> None:
    assert list(RECORDED) == CALLS


@pytest.mark.parametrize("call", CALLS)
def test_equals_tensorflow(call: str) -> None:
    expected = dict(RECORDED[call])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tf.TrapWarning)
        found = look(tf, call)
    value, wanted = found.pop("value", None), expected.pop("value", None)
    assert found == expected
    if wanted is not None:
        np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=2e-4)
