"""What the chapter's own trainings show of C11 beside the second round's cost of a step."""

from __future__ import annotations

from bnstudy.chapters.shown import Shown
from bnstudy.chapters.updates_collections.headlines import explored

BLOCK = "updates_collections"


def _forgotten(shown: Shown) -> str:
    return shown.write.say("In the first round: ", "第一轮：") + explored(shown.frames, shown.write)["C11"]


BESIDE = {"C11": _forgotten}
