"""Programs in the shape of public repositories give what real TensorFlow gives, names included."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bnstudy.tf1 as tf
from bnstudy.tf1 import moving_averages
from tests.tf1_zoo import PROGRAMS, observe
from tests.tf1_zoo.harness import unpacked

FILE = Path(__file__).with_name("golden_tf1_programs.npz")


@pytest.fixture(scope="module")
def recorded() -> dict[str, tuple[dict[str, Any], dict[str, np.ndarray]]]:
    found = {}
    with np.load(FILE, allow_pickle=False) as archive:
        for number, entry in enumerate(archive["index"]):
            facts = json.loads(str(entry))
            layout = facts.pop("arrays")
            found[facts.pop("name")] = facts, unpacked(layout, archive[str(number)])
    return found


def test_every_program_is_recorded(recorded: dict[str, Any]) -> None:
    assert sorted(recorded) == sorted(PROGRAMS)
    assert len(PROGRAMS) >= 15


@pytest.mark.parametrize("name", PROGRAMS)
def test_equals_tensorflow(name: str, recorded: dict[str, Any]) -> None:
    expected_facts, expected = recorded[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tf.TrapWarning)
        facts, arrays = observe(tf, moving_averages, PROGRAMS[name])
    assert facts["collections"] == expected_facts["collections"]
    assert facts["fetches"] == expected_facts["fetches"]
    assert sorted(arrays) == sorted(expected)
    for key, value in expected.items():
        assert arrays[key].dtype == value.dtype, key
        np.testing.assert_allclose(arrays[key], value, rtol=2e-3, atol=2e-5, err_msg=key)


def test_a_wrong_value_is_noticed(recorded: dict[str, Any]) -> None:
    """One update more in one variable is outside of what the comparison allows."""
    name = next(n for n in PROGRAMS if "ry/" in n)
    _, expected = recorded[name]
    key = next(k for k in expected if k.startswith("0/") and k.endswith("moving_mean"))
    moved = 0.9 * expected[key] + 0.1 * expected[key] / 0.1
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(moved, expected[key], rtol=2e-3, atol=2e-5)
