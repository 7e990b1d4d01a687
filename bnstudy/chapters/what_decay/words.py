"""What the calculator says, in the book's languages; ``{name}`` is where a number goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """The words of one language.

    ``script`` are those that ``what_decay.js`` fills in.
    """

    answer: str
    inputs: Mapping[str, str]
    schedules: Mapping[str, str]
    outputs: Mapping[str, str]
    columns: tuple[str, str, str, str]
    table: str
    link: str
    steps: str
    below: str
    left_after: str
    training: str
    records: str
    setting: str
    script: Mapping[str, str]


WORDS = {
    "en": Words(
        answer=(
            "**Start with {pytorch} (momentum 0.1, PyTorch's default).** The memory of a decay d, about "
            "1 / (1 − d) steps, has to be short against your training, and your weights should hardly move over "
            "it. At the end of training, in {trainings} recorded settings, {pytorch} lost {lost_pytorch} points "
            "of test accuracy against precise statistics of the same weights, TensorFlow's default "
            "({tensorflow}) {lost_tensorflow}."
        ),
        inputs={
            "steps": "Training steps",
            "batch": "Batch size",
            "decay": "TensorFlow's decay",
            "momentum": "PyTorch's momentum",
            "slide": "Decay, from the last batch alone to a long memory",
            "schedule": "Learning rate",
        },
        schedules={"constant": "constant", "annealed": "annealed to zero"},
        outputs={
            "half": "Half-life",
            "left": "Weight left on the initial value",
            "age": "Mean age of the average",
            "equal": "As steady as a mean of",
        },
        columns=("decay", "PyTorch's momentum", "points lost [95 %]", "the same, start divided out"),
        table="Test accuracy lost there, in percentage points, by decay",
        link="Link to this page with these inputs",
        steps="{n} steps",
        below="below 0.01 %",
        left_after="start left after {n} steps",
        training="training, and learning rate",
        records="{count} records, which these chapters list: {pages}.",
        setting="batches of {batch}, {steps} steps, {schedule}, {rate}",
        script={
            "steps": "{n} steps ({images} images)",
            "ago": "{n} steps ({images} images) ago",
            "batches": "{n} batches ({images} images)",
            "below": "below 0.01 %",
            "percent": "{n} %",
            "forgets": "After {steps} steps a decay of {decay} (momentum {momentum}) leaves the initial "
            "value less than 1 %; a larger decay leaves it more.",
            "nearest": "Nearest recorded training: decay {decay} after {steps} steps with batches of "
            "{batch}, learning rate {rate}, {schedule}. It lost {plain} points of test accuracy against "
            "precise statistics of the same weights",
            "debiased": "; with the initial value's weight divided out, {debiased}",
            "end": " (mean of {seeds} seeds, 95 % interval).",
            "also": " As near, at learning rate {rate}: {plain}.",
            "records": "The chapter with its records",
            "same": "It has your inputs.",
            "apart": "Yours has {list}.",
            "ratio_steps": "{ratio} times the steps",
            "ratio_batch": "batches {ratio} times as large",
            "ratio_back": "an average that looks back {ratio} times as far",
            "left": " Its initial value had {there} left, yours has {here}.",
            "far": " That is far: take the direction from it, not the size.",
            "and": "; ",
            "none": "No training of this schedule is recorded.",
            "bad": "{name} is {value}; allowed: {allowed}.",
            "whole": "a whole number from 1 to 1,000,000,000",
            "share": "a number from 0 to below 1",
            "part": "a number above 0, up to 1",
        },
    ),
    "zh": Words(
        answer=(
            "**先用 {pytorch}（即 PyTorch 的默认 momentum 0.1）。**"
            "衰减率 d 大约记住 1 / (1 − d) 步；它的记忆应比整个训练短得多，而且在它记住的这段时间里，权重几乎不变。"
            "在 {trainings} 种有记录的训练设置下，训练结束时与同一组权重的精确统计量相比，测试准确率的降幅："
            "用 {pytorch} 为 {lost_pytorch} 个百分点，"
            "用 TensorFlow 的默认值（{tensorflow}）为 {lost_tensorflow} 个百分点。"
        ),
        inputs={
            "steps": "训练步数",
            "batch": "批大小",
            "decay": "TensorFlow 的 decay",
            "momentum": "PyTorch 的 momentum",
            "slide": "衰减率：从只看最后一批，到记忆很长",
            "schedule": "学习率调度",
        },
        schedules={"constant": "恒定学习率", "annealed": "学习率退火到零"},
        outputs={
            "half": "半衰期",
            "left": "初始值剩余的权重",
            "age": "所含批的平均年龄",
            "equal": "等效平均批数",
        },
        columns=("衰减率", "PyTorch 的 momentum", "准确率降幅（百分点）[95% 置信区间]", "偏差修正后的降幅"),
        table="同一训练设置下，各衰减率的测试准确率降幅（百分点）",
        link="包含当前输入的链接",
        steps="{n} 步",
        below="低于 0.01 %",
        left_after="{n} 步后初始值剩余的权重",
        training="训练设置",
        records="{count} 条记录，列于以下章节：{pages}。",
        setting="批大小 {batch}，{steps} 步，{schedule}（{rate}）",
        script={
            "steps": "{n} 步（{images} 张图像）",
            "ago": "{n} 步（{images} 张图像）之前",
            "batches": "{n} 批（{images} 张图像）",
            "below": "低于 0.01 %",
            "percent": "{n} %",
            "forgets": "{steps} 步之后，衰减率 {decay}（momentum {momentum}）使初始值剩余的权重低于 1 %；"
            "衰减率更大，剩余的更多。",
            "nearest": "最接近的有记录的训练：衰减率 {decay}，{steps} 步，批大小 {batch}，"
            "{schedule}，学习率 {rate}。"
            "与同一组权重的精确统计量相比，测试准确率的降幅为 {plain} 个百分点",
            "debiased": "；偏差修正后为 {debiased}",
            "end": "（{seeds} 个随机种子的均值，95% 置信区间）。",
            "also": "同样接近的还有学习率 {rate} 的训练：{plain}。",
            "records": "相应章节及其记录",
            "same": "与你的输入相同。",
            "apart": "你的训练：{list}。",
            "ratio_steps": "步数是它的 {ratio} 倍",
            "ratio_batch": "批大小是它的 {ratio} 倍",
            "ratio_back": "滑动平均回看的步数是它的 {ratio} 倍",
            "left": "初始值剩余的权重，它为 {there}，你的为 {here}。",
            "far": "两者相差较大：结果只可参考方向，不可参考大小。",
            "and": "；",
            "none": "没有这种学习率调度的训练记录。",
            "bad": "{name}为 {value}；允许：{allowed}。",
            "whole": "1 到 1,000,000,000 的整数",
            "share": "0 到 1（不含）的数",
            "part": "大于 0、不超过 1 的数",
        },
    ),
}
