"""What is said of C1 in one sentence, and what to do about it."""

from __future__ import annotations

from bnstudy.analysis.saying import Said, Writer
from bnstudy.analysis.tables import Tables
from bnstudy.chapters.explosion.rules import endings

FOUND = {
    "share of seeds that diverge, one layer a step in turn": Said(
        "With one layer updated a step, and so no shift inside it, {} of the seeds diverged.",
        "每步只更新一层（一步之内没有偏移）时，发散的随机种子占 {}。",
    ),
    "largest gradient norm, fresh over frozen noise": Said(
        "Fresh noise of 4 times the published amount, which shifts layers' inputs, made the largest gradient {} that "
        "of frozen noise.",
        "加入噪声，量为文献的 4 倍：每次前向都重新抽取（使各层输入的分布偏移）时，最大梯度是噪声固定不变时的 {}。",
    ),
}
ADVICE = {
    "C1": {
        "supported": Said(
            "Keep the layers' inputs steady where rates are high.",
            "学习率较大时，应让各层输入的分布保持稳定。",
        ),
        "refuted": Said(
            "Use batch norm so that higher learning rates survive; covariate shift inside a step isn't what makes "
            "trainings explode.",
            "要用更大的学习率，就用批归一化；没有它，学习率一大训练就发散，但原因不是一步之内的内部协变量偏移。",
        ),
        "": Said(
            "Use batch norm so that higher learning rates survive; that internal covariate shift is why isn't shown.",
            "要用更大的学习率，就用批归一化；原因是否在于内部协变量偏移，尚无证据。",
        ),
    }
}


def explored(tables: Tables, write: Writer) -> dict[str, str]:
    """Return how many trainings diverged with batch norm and without."""
    ended = endings(tables)
    count = {}
    for arm in ("none", "batch"):
        runs = ended[ended["arm"] == arm]
        if runs.empty:
            return {}
        count[arm] = {"diverged": write.count(runs[runs["end"] == "diverged"]), "runs": write.count(runs)}
    none, batch = count["none"], count["batch"]
    return {
        "C1": write.say(
            f"{none['diverged']} of {none['runs']} trainings without batch norm diverged, and "
            f"{batch['diverged']} of {batch['runs']} with it. Whether a shift of distributions is the cause, the "
            "first round could not tell.",
            f"无批归一化的 {none['runs']} 次训练中有 {none['diverged']} 次发散，有批归一化的 {batch['runs']} 次中有 "
            f"{batch['diverged']} 次。原因是否在于分布偏移，第一轮无法判断。",
        )
    }
