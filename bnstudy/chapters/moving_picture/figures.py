"""The still figure of the moving picture, for pages without script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bnstudy.analysis.style import ARMS, SMALL, decay_colour, legend_above, panels, sample
from bnstudy.chapters.moving_picture.words import Words

DECAYS = (0.9, 0.99, 0.999)


def position(decay: float) -> int:
    """Return where a decay is on the script's slider: a hundredth of a decade of ``1 - decay`` is 0.25."""
    return round(-25 * math.log10(1 - decay))


def averages(values: Sequence[float], decay: float, start: float) -> list[float]:
    """Return the moving average after each of some values: ``average -= (average - value) * (1 - decay)``."""
    found, average = [], start
    for value in values:
        average -= (average - value) * (1 - decay)
        found.append(average)
    return found


def off(result: dict[str, Any], decay: float) -> Any:
    """Return by how many of the batch's standard deviations the moving mean is off, after every step."""
    means, variances = np.array(result["mean"]), np.array(result["variance"])
    return np.abs(np.array(averages(result["mean"], decay, 0.0)) - means) / np.sqrt(variances)


def farthest_behind(result: dict[str, Any], decay: float) -> int:
    """Return the step at which it is most."""
    return int(np.argmax(off(result, decay))) + 1


def still(result: dict[str, Any], words: Words) -> Figure:
    """Draw the batch mean with averages that follow it, and what comes out with each at the last step."""
    said = words.script
    means, variances = result["mean"], result["variance"]
    steps = np.arange(1, len(means) + 1)
    figure, (above, below) = panels(5.6, 2)
    above.plot(steps, means, ".", color=ARMS["batch statistics"], ms=2)
    edges = np.linspace(result["low"], result["high"], len(result["histograms"][-1]) + 1)
    counts = np.array(result["histograms"][-1])
    below.stairs(counts, _normalised(edges, means[-1], variances[-1], result), color=ARMS["batch statistics"])
    for decay in DECAYS:
        mean, variance = averages(means, decay, 0.0), averages(variances, decay, 1.0)
        above.plot(steps, mean, color=decay_colour(decay), lw=1.6)
        out = _normalised(edges, mean[-1], variance[-1], result)
        below.stairs(counts, out, color=decay_colour(decay), lw=1.6)
    above.set(xlabel=said["steps"], ylabel=said["mean"])
    below.set(xlabel=said["after"], yticks=[])
    handles = [sample(said["batch"], ARMS["batch statistics"])]
    handles += [sample(f"{words.decay} {decay:g}", decay_colour(decay)) for decay in DECAYS]
    legend_above(figure, handles, fontsize=SMALL)
    return figure


def _normalised(edges: Any, mean: float, variance: float, result: dict[str, Any]) -> Any:
    return (edges - mean) / math.sqrt(variance + result["epsilon"])
