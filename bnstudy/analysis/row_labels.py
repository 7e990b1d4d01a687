"""Labels of several lines beside the rows of a figure."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from bnstudy.analysis.style import SMALL

LINE = 1.1 * SMALL  # from one line to the next, in points


def row_labels(axis: Axes, labels: Sequence[str]) -> None:
    """Label the rows 0, 1, ... of an axis at its left, each label's lines right-aligned.

    Every line is a text of its own. Matplotlib places the lines of one text by the widths that they have in
    its own font, and a browser that draws an SVG with another font would leave them ragged.
    """
    axis.set_yticks(range(len(labels)), [""] * len(labels))
    figure = axis.figure
    aside = -(mpl.rcParams["ytick.major.size"] + mpl.rcParams["ytick.major.pad"])
    for row, label in enumerate(labels):
        lines = label.split("\n")
        for i, line in enumerate(lines):
            above = LINE * ((len(lines) - 1) / 2 - i)
            place = ScaledTranslation(aside / 72, above / 72, figure.dpi_scale_trans)
            axis.text(
                0, row, line, transform=axis.get_yaxis_transform() + place, ha="right",
                va="center_baseline", fontsize=SMALL,
            )  # fmt: skip
