"""The pictures of "Batch norm in ten minutes", each drawn from what the lesson computes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from bnstudy.analysis.style import ARMS, NEUTRAL, SMALL, legend_above, panels, plain_ticks, sample
from bnstudy.chapters.ten_minutes.lesson import CHANNEL, Lesson, histogram

BATCH, MOVING = ARMS["batch statistics"], ARMS["moving averages"]

IMAGES, MAPS = 6, 5  # of the batch and of the channels, as many as are drawn


def axes(lesson: Lesson) -> Figure:
    """Draw some images' maps of some channels, and a frame around those that share one mean."""
    given = lesson.given[:IMAGES, :MAPS].numpy()
    figure, grid = panels(4.1, IMAGES, MAPS + 1)
    # A grey as dark as the value is far from its channel's middle, the same for all images of a channel.
    low, high = (np.quantile(given, q, axis=(0, 2, 3)) for q in (0.02, 0.98))
    for row in range(IMAGES):
        grid[row, 0].imshow(lesson.train.x[row, 0].numpy(), cmap="Greys", interpolation="nearest")
        for channel in range(MAPS):
            grid[row, channel + 1].imshow(
                given[row, channel],
                cmap="Greys",
                interpolation="nearest",
                vmin=low[channel],
                vmax=high[channel],
            )
    for axis in grid.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    titles = ("image", *(f"ch. {channel + 1}" for channel in range(MAPS)))
    for axis, title in zip(grid[0], titles, strict=True):
        axis.set_title(title, fontsize=SMALL)
    for row in range(IMAGES):
        frame = Rectangle((0, 0), 1, 1, transform=grid[row, CHANNEL + 1].transAxes, fill=False, clip_on=False)
        frame.set(edgecolor=BATCH, linewidth=3)
        grid[row, CHANNEL + 1].add_patch(frame)
    grid[0, CHANNEL + 1].title.set(color=BATCH, fontweight="bold")
    return figure


def gamma_and_beta(lesson: Lesson, gamma: float, beta: float) -> Figure:
    """Draw one channel's values before batch norm, behind it, and with a gamma and beta."""
    drawn = (
        ("before", lesson.given, NEUTRAL),
        ("normalised", lesson.normalised(), BATCH),
        (f"times gamma {gamma:g}, plus beta {beta:g}", lesson.normalised(gamma, beta), MOVING),
    )
    edges = np.linspace(-5, 7, 61)
    figure, rows = panels(4.2, len(drawn), sharex=True)
    for axis, (title, values, colour) in zip(rows, drawn, strict=True):
        channel = values[:, CHANNEL]
        axis.stairs(histogram(channel, edges), edges, color=colour, fill=True, alpha=0.35)
        axis.axvline(float(channel.mean()), color=colour, lw=2)
        axis.set(yticks=[])
        axis.spines["left"].set_visible(False)
        axis.set_title(title, fontsize=SMALL + 1, loc="left", color=colour)
    rows[-1].set_xlabel("value")
    return figure


def company(lesson: Lesson) -> Figure:
    """Draw one image's output among other images, in training mode, and its output in evaluation."""
    among, alone = lesson.company
    figure, axis = panels(2.7)
    axis.plot(range(1, len(among) + 1), among, "o", color=BATCH, ms=5)
    axis.axhline(alone, color=MOVING, lw=2)
    axis.set(xlabel="batch that the image is in", ylabel="its own class's logit")
    handles = [sample("training mode", BATCH, "o", ls=""), sample("evaluation mode", MOVING)]
    legend_above(figure, handles)
    return figure


def updates(lesson: Lesson) -> Figure:
    """Draw test accuracy with update operations run, forgotten, and made good."""
    return _accuracies(lesson.update_accuracies)


def hurts(lesson: Lesson) -> Figure:
    """Draw test accuracy by what normalises and how test batches are made."""
    return _accuracies(lesson.hurts)


def scatter(lesson: Lesson) -> Figure:
    """Draw how far batch means scatter by batch size, and the line of one over the square root."""
    sizes, found = zip(*lesson.scatter.items(), strict=True)
    figure, axis = panels(2.9)
    axis.set(xscale="log", yscale="log")
    expected = found[0] * (sizes[0] / np.array(sizes)) ** 0.5
    axis.plot(sizes, expected, "--", color=NEUTRAL, lw=1.2)
    axis.plot(sizes, found, "o", color=BATCH, ms=6)
    axis.set_xticks(sizes)
    axis.set_yticks([0.01, 0.02, 0.05])
    plain_ticks(axis.xaxis)
    plain_ticks(axis.yaxis)
    axis.set(xlabel="batch size", ylabel="scatter of batch means\n(standard deviations)")
    handles = [sample("measured", BATCH, "o", ls=""), sample("one over the root", NEUTRAL, ls="--")]
    legend_above(figure, handles)
    return figure


def _accuracies(found: dict[str, float]) -> Figure:
    """Draw accuracies as bars, a row each, each with its number."""
    figure, axis = panels(0.62 * len(found) + 0.5)
    colours = [BATCH if "batch" in name else MOVING for name in found]
    axis.barh(range(len(found)), list(found.values()), height=0.32, color=colours, alpha=0.8)
    for row, (name, accuracy) in enumerate(found.items()):
        axis.text(0, row - 0.24, name, va="bottom", fontsize=SMALL)
        axis.text(accuracy + 0.01, row, f"{100 * accuracy:.0f} %", va="center", fontsize=SMALL)
    axis.set(yticks=[], xlim=(0, 1.12), ylim=(len(found) - 0.6, -0.75), xlabel="test accuracy")
    axis.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure
