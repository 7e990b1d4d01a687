"""What the regularisation chapter calls its arms."""

from __future__ import annotations

from bnstudy.analysis.style import WITHOUT

# How the page and its figures call each arm.
NAMES = {
    "none": WITHOUT,
    "l2": "L2",
    "dropout": "dropout",
    "batch": "batch norm",
    "batch + l2": "batch norm, L2",
    "batch + dropout": "batch norm, then dropout",
    "dropout + batch": "dropout, then batch norm",
}
