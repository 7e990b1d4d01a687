"""Arms of one figure have colours that who sees no red or no green can tell apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_hex

from bnstudy.chapters.decay_range.figures import POINTS_LOST
from bnstudy.chapters.regularisation.figures import COLOURS
from bnstudy.chapters.regularisation.page import NAMES

# Machado, Oliveira & Fernandes 2009, in linear RGB, at full severity.
SEEN_BY = {
    "everybody": np.eye(3),
    "deuteranopes": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopes": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = TO_XYZ.sum(axis=1)


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = TO_XYZ @ rgb / WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one: str, other: str, eye: str) -> float:
    seen = [lab(np.clip(np.asarray(SEEN_BY[eye]) @ linear(colour), 0, 1)) for colour in (one, other)]
    return float(np.linalg.norm(seen[0] - seen[1]))


def closest(colours: dict[str, str], eye: str) -> tuple[float, str, str]:
    return min((distance(colours[a], colours[b], eye), a, b) for a, b in combinations(colours, 2))


@pytest.mark.parametrize("eye", SEEN_BY)
def test_the_arms_of_regularisation_can_be_told_apart(eye: str) -> None:
    # Two of CIELAB's units are what an eye can tell side by side; marks lie apart.
    apart, one, other = closest({arm: COLOURS[arm] for arm in NAMES}, eye)
    assert apart > 12, (eye, one, other)


def lightness(colours: str, eye: str) -> np.ndarray:
    seen = [np.asarray(SEEN_BY[eye]) @ linear(to_hex(colormaps[colours](i / 20))) for i in range(21)]
    return np.array([lab(np.clip(rgb, 0, 1))[0] for rgb in seen])


@pytest.mark.parametrize("eye", SEEN_BY)
def test_the_order_of_a_map_is_seen_by_its_lightness(eye: str) -> None:
    steps = np.diff(lightness(POINTS_LOST, eye))
    assert (steps < 0).all()
    # Evenly: no step is more than three times as large as another.
    assert steps.min() / steps.max() < 3
    assert not (np.diff(lightness("RdYlGn", eye)) < 0).all()


def test_two_greens_would_be_found() -> None:
    once = {"batch + l2": "#2e8b7a", "none": "#666666"}
    assert closest(once, "everybody")[0] > 12
    assert closest(once, "deuteranopes")[0] < 12
