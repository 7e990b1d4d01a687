"""What the moving picture says, in the book's languages; ``{name}`` is where a number goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """The words of one language.

    ``script`` are those that ``moving_picture.js`` fills in, ``still`` describes the figure without script,
    ``seen`` is the caption.
    """

    step: str
    decay: str
    debias: str
    still: str
    seen: str
    made: str
    script: Mapping[str, str]


WORDS = {
    "en": Words(
        step="Step",
        decay="Decay",
        debias="divide the initial values out (zero-debias, of mean and variance)",
        still=(
            "Two panels. Above, the batch mean of one channel over {steps} training steps and moving "
            "averages of decay 0.9, 0.99 and 0.999, which follow the later the larger the decay. Below, what "
            "batch norm would give out at the last step with each of them: the larger the decay, the farther "
            "from zero."
        ),
        seen=(
            "You see: in {steps} steps the channel's mean travels from {first} to {mean}, and the averages "
            "follow late. One of decay {usual_decay} is up to {usual_most} of the batch's standard "
            "deviations behind (step {usual_step}); one of decay {large_decay} ends at {large_mean}, "
            "{large_off} standard deviations off, with {large_left} % of its initial value left."
        ),
        made=(
            "Channel {channel} of {channels} in block {block} of the tutorial's network, over the first "
            "{steps} steps on {dataset} with batches of {batch}; chosen because its mean travels farthest in "
            "terms of its own spread. Recorded are the batch's mean and variance at every step and a "
            "histogram at every second; the averages of any decay follow from them exactly, as in the layer. "
            "Made on: {device}. `{file}` is made again by `{command}`."
        ),
        script={
            "play": "Play",
            "pause": "Pause",
            "step": "{step} of {steps}",
            "decay": "{decay} (PyTorch's momentum {momentum}), half-life {half} steps",
            "mean": "mean",
            "variance": "variance",
            "batch": "batch",
            "moving": "moving average",
            "before": "before batch norm",
            "after": "after batch norm",
            "training": "training: by the batch",
            "evaluation": "evaluation: by the averages",
            "steps": "training step",
            "seen": "At step {step} the batch's mean is {mean} and the moving one {moving}, {off} of the "
            "batch's standard deviations apart. {left} In evaluation the output has mean {out_mean} and "
            "standard deviation {out_std}, where training has 0 and 1.",
            "left": "The initial value has {left} % of the weight.",
            "debiased": "The initial value is divided out.",
        },
    ),
    "zh": Words(
        step="进度",
        decay="衰减率",
        debias="偏差修正（zero-debias，均值和方差都做）",
        still=(
            "两幅图。上图：一个通道的批均值在 {steps} 个训练步中的变化，"
            "以及衰减率为 0.9、0.99、0.999 的滑动平均，衰减率越大，滞后越多。"
            "下图：最后一步时用各滑动平均归一化后的输出，衰减率越大，离零越远。"
        ),
        seen=(
            "你会看到：{steps} 步内，该通道的均值从 {first} 移到 {mean}，滑动平均则滞后于它。"
            "衰减率 {usual_decay} 的最多落后批标准差的 {usual_most} 倍（第 {usual_step} 步）；"
            "衰减率 {large_decay} 的最后停在 {large_mean}，相差 {large_off} 倍，"
            "初始值剩余的权重为 {large_left} %。"
        ),
        made=(
            "教程网络第 {block} 个模块 {channels} 个通道中的第 {channel} 个，{dataset}，批大小 {batch}，"
            "最初的 {steps} 步；选这个通道，是因为相对于自身的离散程度，它的均值移动得最远。"
            "记录的是每一步的批均值与批方差，以及每两步一次的直方图；任何衰减率的滑动平均都由此精确算出，与层中的算法相同。"
            "机器：{device}。用 `{command}` 可重新生成 `{file}`。"
        ),
        script={
            "play": "播放",
            "pause": "暂停",
            "step": "第 {step} 步，共 {steps} 步",
            "decay": "{decay}（PyTorch 的 momentum 为 {momentum}），半衰期 {half} 步",
            "mean": "均值",
            "variance": "方差",
            "batch": "批",
            "moving": "滑动平均",
            "before": "批归一化之前",
            "after": "批归一化之后",
            "training": "训练：用本批统计量",
            "evaluation": "评估：用滑动平均",
            "steps": "训练步数",
            "seen": "第 {step} 步时批均值为 {mean}，滑动平均为 {moving}，相差批标准差的 {off} 倍。{left}"
            "评估时输出的均值为 {out_mean}，标准差为 {out_std}；训练时分别为 0 和 1。",
            "left": "初始值剩余的权重为 {left} %。",
            "debiased": "已做偏差修正。",
        },
    ),
}
