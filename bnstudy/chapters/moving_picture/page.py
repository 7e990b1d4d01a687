"""The moving picture as a piece of a page: it moves with script, and is a still figure without."""

from __future__ import annotations

import json
import os
from html import escape
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt

from bnstudy.analysis import moving_average as ma
from bnstudy.analysis.slider import inline_svg
from bnstudy.analysis.words import Html, Markdown, Sources
from bnstudy.chapters.moving_picture import figures
from bnstudy.chapters.moving_picture.words import WORDS
from bnstudy.records.sealed import read_sealed
from bnstudy.study.run import default_data_dir

FILE = Path("bench", "moving_picture.json")
COMMAND = ".venv/bin/python benchmarks/moving_picture.py --json data/bench/moving_picture.json"

# What the script reads of the recorded result.
SHOWN = ("mean", "variance", "epsilon", "low", "high", "histogram_steps", "histograms")

# The decay that the picture opens with, at the step where its average is farthest behind.
OPENS_WITH = 0.99

# The decay beside it in the caption: TensorFlow's default.
LARGE = 0.999


def recorded(data_dir: str | os.PathLike[str] = "") -> dict[str, Any]:
    """Return the recorded result: one channel's batch moments, and histograms of what batch norm was given.

    Raises:
        FileNotFoundError: there is none; the message has the command that records one.
        ValueError: it is damaged.
    """
    path = Path(data_dir or default_data_dir()) / FILE
    if not path.exists():
        raise FileNotFoundError(f"no file {path}; record it with: {COMMAND}")
    return read_sealed(path)


def figure(name: str = "moving-picture", language: str = "en", data_dir: str | os.PathLike[str] = "") -> Html:
    """Return the picture as one piece of HTML; ``name`` is its id, and begins the ids within.

    With script one plays it, moves the step and the decay, and divides the initial value out; the averages of
    that decay are computed from the recorded batch moments, as the layer does. Without, a still figure shows.

    Raises:
        FileNotFoundError, ValueError: as ``recorded``.
    """
    result = recorded(data_dir)
    words = WORDS[language]
    still = figures.still(result, words)
    drawing = inline_svg(still, f"{name}-still", words.still.format(**_numbers(result)))
    plt.close(still)
    steps = len(result["mean"])
    data = {**{key: result[key] for key in SHOWN}, "words": words.script}
    # "</" must not end the element that holds it.
    embedded = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return Html(
        f'<div class="moving-picture" id="{name}" data-needs="moving_average moving_picture">'
        f'<div class="still">{drawing}</div><div class="live" hidden>'
        f'<p><button type="button" class="play">{escape(words.script["play"])}</button></p>'
        f'<p><label for="{name}-step">{escape(words.step)} <output for="{name}-step"></output></label>'
        f'<input type="range" id="{name}-step" class="step" min="1" max="{steps}" step="1" '
        f'value="{figures.farthest_behind(result, OPENS_WITH)}"></p>'
        f'<p><label for="{name}-decay">{escape(words.decay)} <output for="{name}-decay"></output></label>'
        f'<input type="range" id="{name}-decay" class="decay" min="0" max="100" step="1" '
        f'value="{figures.position(OPENS_WITH)}"></p>'
        f'<p><label><input type="checkbox" class="debias"> {escape(words.debias)}</label></p>'
        f'<svg class="drawing" role="img"></svg><p class="seen"></p></div>'
        f'<script type="application/json">{embedded}</script></div>'
    )


def seen(language: str = "en", data_dir: str | os.PathLike[str] = "") -> Markdown:
    """Return what is to be seen in the picture, as its caption, with the numbers of its last step.

    Raises:
        FileNotFoundError, ValueError: as ``recorded``.
    """
    result = recorded(data_dir)
    return Markdown(WORDS[language].seen.format(**_numbers(result)))


def made(language: str = "en", data_dir: str | os.PathLike[str] = "") -> Markdown:
    """Return what was recorded, with what, and the command that records it again.

    Raises:
        FileNotFoundError, ValueError: as ``recorded``.
    """
    result = recorded(data_dir)
    spec = result["spec"]
    return Markdown(
        WORDS[language].made.format(
            **{key: result[key] for key in ("channel", "channels", "block", "device")},
            steps=len(result["mean"]),
            batch=spec["batch_size"],
            dataset={"cifar10": "CIFAR-10"}.get(spec["dataset"], spec["dataset"]),
            file=FILE.name,
            command=COMMAND,
        )
    )


def sources(page: str) -> Sources:
    """Return what the picture's numbers come from, cited on ``page``."""
    return Sources(page, [FILE.name])


def _numbers(result: dict[str, Any]) -> dict[str, str]:
    steps = len(result["mean"])
    numbers = {
        "steps": f"{steps:,}",
        "first": f"{result['mean'][0]:.2f}",
        "mean": f"{result['mean'][-1]:.2f}",
    }
    for name, decay in (("usual", OPENS_WITH), ("large", LARGE)):
        off = figures.off(result, decay)
        numbers |= {
            f"{name}_decay": f"{decay:g}",
            f"{name}_mean": f"{figures.averages(result['mean'], decay, 0.0)[-1]:.2f}",
            f"{name}_off": f"{off[-1]:.1f}",
            f"{name}_most": f"{off.max():.1f}",
            f"{name}_step": str(figures.farthest_behind(result, decay)),
            f"{name}_left": f"{100 * ma.initial_weight(decay, steps):.2g}",
        }
    return numbers
