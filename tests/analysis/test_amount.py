"""How much data a study trained on, as its page says it."""

from __future__ import annotations

from bnstudy.analysis.words import write_amount


def test_images_and_passes_over_them_are_written_out():
    assert write_amount(None, 1) == "all images for 1 epoch"
    assert write_amount(25_600, 2) == "25,600 images for 2 epochs"
