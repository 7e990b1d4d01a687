"""The chapters' doubts of judged answers (``bnstudy.analysis.doubt``).

A chapter that has some has a file ``doubts.py`` with ``DOUBTS``. The frozen answer stands; beside it stands
what the same judge says of the same quantity without what is doubted, with an interval as wide.
"""

from __future__ import annotations

import importlib
from functools import cache

from bnstudy.analysis.doubt import Doubt
from bnstudy.analysis.judged.parts import Quantity
from bnstudy.chapters.found import parts


@cache
def doubts() -> tuple[Doubt, ...]:
    """Return every chapter's doubts."""
    modules = (importlib.import_module(f"bnstudy.chapters.{chapter}.doubts") for chapter in parts("doubts"))
    return tuple(doubt for module in modules for doubt in module.DOUBTS)


@cache
def asked_again() -> dict[str, Quantity]:
    """Return the quantities of all doubts by name."""
    return {doubt.quantity.name: doubt.quantity for doubt in doubts()}
