"""What the chapter's own trainings show of C11 beside the second round's cost of a step."""

from __future__ import annotations

from bnstudy.chapters.shown import Shown
from bnstudy.chapters.updates_collections.headlines import explored, reached

BLOCK = "updates_collections"


def _forgotten(shown: Shown) -> str:
    return shown.write.say("In the first round: ", "第一轮：") + explored(shown.frames, shown.write)["C11"]


BESIDE = {"C11": _forgotten}


def _falls(shown: Shown) -> str:
    there, never = (
        shown.write.cite(f"{100 * reached(shown.frames, arm).mean():.1f} %") for arm in ("in place", "never")
    )
    return shown.write.say(
        f"Where they are forgotten, test accuracy falls from {there} to {never} (first round).",
        f"执行更新时测试准确率为 {there}，忘记更新则为 {never}（第一轮）。",
    )


IN_SHORT = {"C11": _falls}
