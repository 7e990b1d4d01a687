"""What carries C6's sign at a constant rate: checkpoints at which the last batch is short."""

from __future__ import annotations

from dataclasses import replace

from bnstudy.analysis.doubt import Doubt
from bnstudy.analysis.judged.design import CONSTANT_PHASE, END, LAST_STEPS, STEPS_PER_EPOCH
from bnstudy.analysis.judged.parts import Quantity
from bnstudy.analysis.saying import Said
from bnstudy.chapters.decay.judged import ANNEALED_LAST, CONSTANT_LAST
from bnstudy.records.spec import RunSpec

BATCH = RunSpec().batch_size
# Of CIFAR-10's training images, what whole batches leave for the last of an epoch.
REST = 50_000 - (STEPS_PER_EPOCH - 1) * BATCH

WHOLE = tuple(epoch for epoch in CONSTANT_PHASE if epoch % 1)
SHORT = len(CONSTANT_PHASE) - len(WHOLE)


def _at(quantity: Quantity, epochs: tuple[float, ...]) -> Quantity:
    contrast = replace(quantity.estimate, epochs=epochs)  # type: ignore[type-var]
    return replace(quantity, name=f"{quantity.name}, of whole batches", estimate=contrast)


DOUBTS = (
    Doubt(
        "C6",
        "constant rate, against the last batch",
        _at(CONSTANT_LAST, WHOLE),
        Said(
            f"Found since: {SHORT} of the first's {len(CONSTANT_PHASE)} last batches had {REST} images, not {BATCH}; without "
            "them it is {found}, {answer}.",
            f"判定之后发现：恒定学习率下的 {len(CONSTANT_PHASE)} 个评估点中，有 {SHORT} 个的最后一批是一个 epoch 剩下的 {REST} 张图像，"
            f"而不是 {BATCH} 张；去掉它们，减最后一批的差为 {{found}}，{{answer}}。",
        ),
    ),
    Doubt(
        "C6",
        "annealed, against the last batch",
        _at(ANNEALED_LAST, tuple(epoch for epoch in LAST_STEPS if epoch not in END)),
        Said(
            f"Found since: at one of the {len(LAST_STEPS)} steps the last batch has {REST} images, not {BATCH}; without "
            "it decay 0.9 leads by {found}, {answer}.",
            f"判定之后发现：{len(LAST_STEPS)} 步中有一步的最后一批只有 {REST} 张图像，而不是 {BATCH} 张；去掉这一步，差为 "
            "{found}，{answer}。",
        ),
        leads=False,
    ),
)
