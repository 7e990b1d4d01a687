"""How trainings end at a rate at which updating all layers at once diverges, and what else prevents it."""

from __future__ import annotations

import pandas as pd

from bnstudy.analysis.statistics import share_interval
from bnstudy.chapters.explosion import by_rate, figures
from bnstudy.chapters.explosion.figures import ENDS
from bnstudy.chapters.explosion.rules import how_ended, largest_norms, write_median
from bnstudy.chapters.shown import Shown

BLOCK = "in_turn"

# Each arm in English and in Chinese: what is updated when, or what the network is like.
ARMS = {
    "at once": ("no norm, all layers at once", "无批归一化，各层同时更新"),
    "in turn": ("no norm, one layer a step", "无批归一化，每步一层"),
    "He": ("no norm, He's initialisation", "无批归一化，He 初始化"),
    "group": ("group norm", "组归一化"),
    "batch": ("batch norm", "批归一化"),
}
ENDS_ZH = {"trained": "训练成功", "at chance": "停在随机猜测水平", "dead": "失活", "diverged": "发散"}


def described(shown: Shown) -> str:
    """Return which arms diverged, a figure of how every seed ended, and a table."""
    ended = how_ended(shown.frames)
    names = {arm: en for arm, (en, _) in ARMS.items()}
    return "".join(
        (
            shown.drawing(
                figures.endings_by_arm(ended, names),
                f"trained-endings-{shown.language}",
                _in_words(shown, ended),
                shown.write.say(
                    "How each seed's training ended, by what is updated when and what the network is like. The "
                    "first half of the verdict rests on the second row alone, with the judge's wider interval. In the "
                    "table, test accuracy is the median over the seeds that did not diverge, the largest gradient norm "
                    "that over all seeds.",
                    "各随机种子的训练如何结束；每行一种更新方式或网络构造。判定的前一半只依据第二行，并且用置信水平更高的区间，"
                    "所以比下表的 95% 置信区间宽。下表的测试准确率是没有发散的随机种子的中位数，最大的梯度范数是全部随机种子的中位数。",
                ),
            ),
            shown.seen(_sentences(shown, ended)),
            shown.table(table(shown, ended)),
            by_rate.described(shown),
        )
    )


def _diverge(shown: Shown) -> str:
    ended = how_ended(shown.frames)
    write, rate = shown.write, f"{shown.frames.study.model_dump()['rate']:g}"
    gone = ended[ended["diverged"] == 1]
    count = {arm: write.count(gone[gone["arm"] == arm]) for arm in ARMS}
    runs = ended["seed"].nunique()
    return write.say(
        f"With SGD at rate {rate}, {count['at once']} of {runs} trainings diverge without batch norm and "
        f"{count['batch']} with it. Where only one layer is updated a step, no layer's update shifts another's inputs "
        f"inside that step, and still {count['in turn']} of {runs} diverge.",
        f"用 SGD、学习率 {rate} 各训练 {runs} 次：无批归一化有 {count['at once']} 次发散，有批归一化有 {count['batch']} 次。"
        f"若每步只更新一层，同一步里就没有哪一层的更新会改变其他层的输入，无批归一化的 {runs} 次训练中却仍有 {count['in turn']} 次发散。",
    )


IN_SHORT = {"C1": _diverge}


def table(shown: Shown, ended: pd.DataFrame) -> pd.DataFrame:
    """Return each arm's seeds by how they ended, where they diverged, and medians over the seeds."""
    say = shown.write.say
    largest = largest_norms(shown.frames)
    lines = []
    for arm in ARMS:
        runs = ended[ended["arm"] == arm]
        steps = runs["blew_up_at"].dropna().astype(int)
        whole = runs[runs["diverged"] == 0]
        diverged = int((runs["end"] == "diverged").sum())
        lines.append(
            {say("training", "训练"): say(*ARMS[arm])}
            | {say(said, ENDS_ZH[end]): int((runs["end"] == end).sum()) for end, said in ENDS.items()}
            | {
                say("diverged, 95 %", "发散的比例 [95% 置信区间]"): share_interval(
                    diverged, len(runs)
                ).percent(),
                say("diverged at step", "在第几步发散"): _span(steps),
                say("largest gradient norm", "最大的梯度范数"): write_median(
                    runs["run"].map(largest), "{:.3g}"
                ),
                say("test accuracy, %", "测试准确率（%）"): write_median(100 * whole["accuracy"], "{:.1f}"),
            }
        )
    return pd.DataFrame(lines)


def _sentences(shown: Shown, ended: pd.DataFrame) -> str:
    write = shown.write
    seeds = write.cite(str(ended["seed"].nunique()))
    gone = ended[ended["diverged"] == 1]
    count = {arm: write.count(gone[gone["arm"] == arm]) for arm in ARMS}
    rate = f"{shown.frames.study.model_dump()['rate']:g}"
    return write.say(
        f"SGD at rate {rate}, {seeds} seeds. Without normalization, {count['at once']} diverge when all layers are "
        f"updated at once, and {count['in turn']} when one layer is updated a step, in turn. No layer's update then "
        "meets an earlier layer's, so that the internal covariate shift of a step is zero by definition: what "
        "diverges there diverges without it. From step to step a layer's inputs still change. Of what else might prevent it: with He's initialisation and no "
        f"normalization {count['He']} diverge, with group norm {count['group']}, with batch norm "
        f"{count['batch']}. A training that doesn't diverge may still have died.",
        f"SGD，学习率 {rate}，{seeds} 个随机种子。无批归一化时，各层同时更新有 {count['at once']} 个发散；每步只更新一层、轮流进行，"
        f"有 {count['in turn']} 个发散。这样没有哪一层的更新会遇上前面各层的更新，按定义一步之内不存在内部协变量偏移，因此此处的发散与它无关；各步之间，层的输入仍会改变。"
        f"其他办法：无批归一化而用 He 初始化，{count['He']} 个发散；用组归一化，{count['group']} 个发散；用批归一化，"
        f"{count['batch']} 个发散。没有发散的训练也可能已经失活（logit 恒为零）。",
    )


def _in_words(shown: Shown, ended: pd.DataFrame) -> str:
    say = shown.write.say
    said = []
    for arm, names in ARMS.items():
        ends = ended[ended["arm"] == arm]["end"]
        counts = [
            say(f"{(ends == end).sum()} {words}", f"{ENDS_ZH[end]} {(ends == end).sum()} 个")
            for end, words in ENDS.items()
        ]
        said.append(f"{say(*names)}{say(': ', '：')}{say(', ', '，').join(counts)}")
    return say(f"Bars by training. {'; '.join(said)}.", f"条形图，每行一种训练。{'；'.join(said)}。")


def _span(steps: pd.Series[int]) -> str:
    if steps.empty:
        return "–"
    first, last = steps.min(), steps.max()
    return f"{first}" if first == last else f"{first}–{last}"
