"""What is said of C11 in one sentence, and what to do about it."""

from __future__ import annotations

import pandas as pd

from bnstudy.analysis.saying import Said, Writer
from bnstudy.analysis.tables import Tables, last_step, per_seed
from bnstudy.chapters.updates_collections.rules import accuracy_with

FOUND = {
    "seconds a step, in place over with the step": Said(
        "A step takes {} the time with <code>updates_collections=None</code>.",
        "设 <code>updates_collections=None</code> 时，一步所需的时间是默认设置的 {}。",
    )
}
ADVICE = {
    "C11": {
        "": Said(
            "See that the averages are updated: run <code>UPDATE_OPS</code> with the step, or set "
            "<code>updates_collections=None</code>.",
            "务必更新滑动平均：训练时执行 <code>UPDATE_OPS</code>，或者设 <code>updates_collections=None</code>。",
        )
    }
}


def explored(tables: Tables, write: Writer) -> dict[str, str]:
    """Return what forgetting the updates does to the accuracy."""
    there, never = (write.percent(reached(tables, arm)) for arm in ("in place", "never"))
    return {
        "C11": write.say(
            f"Forgetting <code>UPDATE_OPS</code> takes test accuracy from {there} to {never}. Training is the "
            "same bit for bit, in place or by <code>UPDATE_OPS</code>.",
            f"执行更新时，测试准确率为 {there}；忘记执行 <code>UPDATE_OPS</code> 则为 {never}。无论就地更新还是用 "
            "<code>UPDATE_OPS</code>，训练过程逐比特相同。",
        )
    }


def reached(tables: Tables, arm: str) -> pd.Series[float]:
    """Return an arm's test accuracy with its moving averages at the last step, by seed."""
    return per_seed(last_step(accuracy_with(tables["evaluation"], arm, "moving")), "accuracy")
