"""How much data a study trained on, in words."""

from __future__ import annotations


def write_images(train_size: int | None) -> str:
    """Return ``"25,600 images"``, or ``"all images"`` for None."""
    return "all images" if train_size is None else f"{train_size:,} images"


def write_amount(train_size: int | None, epochs: int) -> str:
    """Return images and passes over them: ``"all images for 2 epochs"``."""
    return f"{write_images(train_size)} for {epochs} epoch{'s' if epochs > 1 else ''}"
