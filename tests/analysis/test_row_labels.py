"""Row labels in the SVG that a browser gets, which it may draw with another font than matplotlib's."""

from __future__ import annotations

import io

import matplotlib
import pytest
from bs4 import BeautifulSoup
from matplotlib import pyplot as plt

from bnstudy.analysis.style import row_labels

matplotlib.use("agg")


def test_every_line_is_a_text_that_ends_where_the_others_end():
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        drawn, axis = plt.subplots(figsize=(4, 3), layout="constrained")
        axis.set_ylim(2.5, -0.5)
        row_labels(axis, ["alpha,\nbeta\nagainst gamma", "one line", "last\nof all"])
        drawn.savefig(buffer, format="svg")
        plt.close(drawn)
    lines = ["alpha,", "beta", "against gamma", "one line", "last", "of all"]
    svg = buffer.getvalue()
    parsed = BeautifulSoup(svg[svg.index("<svg") :], "html.parser")
    texts = {e.string.strip(): e for e in parsed.find_all("text")}
    places = {line: (float(texts[line]["x"]), float(texts[line]["y"])) for line in lines}
    # The browser measures the text, whatever its font, and puts its end there.
    assert all("text-anchor: end" in texts[line]["style"] for line in lines)
    assert len({x for x, _ in places.values()}) == 1
    heights = [places[line][1] for line in lines]
    assert heights == sorted(heights)
    # A row's lines are an even distance apart, and lie about its tick.
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1])
    assert heights[3] - heights[1] == pytest.approx((heights[4] + heights[5]) / 2 - heights[3], abs=0.01)
