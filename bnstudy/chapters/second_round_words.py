"""What the second round's page says, in the book's languages; ``{name}`` is where a number or a name goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bnstudy.analysis.judged.wording import Language


@dataclass(frozen=True)
class Words:
    """The words of one language.

    ``truths`` are what is true in simulated studies, by its English; ``hard`` the studies that are hard to
    judge, by their name in the recorded simulation; heads are those of tables.
    """

    judged: str
    by_test: str
    stop: str
    comma: str
    unfrozen: str
    froze: str
    when: str
    changed: str
    claim: str
    part: str
    narrow: str
    narrow_factor: str
    grade: str
    verified: str
    voteless: str
    reads: str
    topped_up: str
    may_be_topped_up: str
    both: str
    unmeasured: str
    found: str
    found_grade: str
    wide: str
    procedure: str
    worst: str
    false_heads: tuple[str, str, str]
    truths: Mapping[str, str]
    hard_heads: tuple[str, str, str]
    hard: Mapping[str, str]
    colon: str
    power_heads: tuple[str, str, str, str, str]
    power_answers: tuple[str, str]
    power_widths: tuple[str, str]
    all_told: str
    undecided: str
    of: str
    part_of: str
    named: str
    run_heads: tuple[str, str, str, str, str]
    chooses: str
    describes: str
    seeds: str
    recorded: str
    chosen: str
    provisional: str
    deviation: str
    no_deviation: str
    uncommitted: str
    alike: str
    unlike: str
    machines: str
    machine: str
    together: str
    apart: str


WORDS: dict[Language, Words] = {
    "en": Words(
        judged="Of {claims} claims {judged} are judged from confirmatory runs",
        by_test="; {named} needs none: a test of the code settles it",
        stop=". ",
        comma=", ",
        unfrozen="The rules are not frozen yet: until they are, no confirmatory run counts.",
        froze="Commit `{commit}` froze the rules on {date}.",
        when="%Y-%m-%d at %H:%M:%S UTC",
        changed=" Since then those of {named} changed: they have to be frozen again.",
        claim='**{id}** (<a href="{chapter}.html">{name}</a>): {said} **{verdict}.**',
        part=(
            "- **{name}**{voteless}: {said} Asked of *{quantity}*: {asked}.{grades} Why there: {why} "
            "From {reads}; measured once {width}. {found}"
        ),
        narrow="the half-width is {}",
        narrow_factor="the half-width is {}",
        grade=" Grade *{name}*: {said} Asked: {asked}.",
        verified="- **{name}**{voteless}: {said} Verified by test: **{answer}** (`{test}`).",
        voteless=" (no vote)",
        reads="`{study}`, {count} seeds ({first} to {last}; {more})",
        topped_up="topped up from {planned}",
        may_be_topped_up="at most {most} once topped up",
        both=" and ",
        unmeasured="Not measured yet.",
        found="Found: **{answer}**, {size}{grades}{wide} (expected beforehand: {expected}).",
        found_grade="; {name}: {answer}",
        wide="; wider than the target",
        procedure=(
            "Each of the K = {count} judged quantities has one interval, of level 1 − α/K with "
            "α = {alpha} ({level} %), so that all of them hold together; it decides "
            "every bound on the quantity. α is smaller than the {allowed} % of false answers that "
            "the book may have, since with skewed seeds such an interval misses more often than its level "
            "says: it was set where the simulation below keeps to what is allowed. The interval is "
            "Student's, with seeds and test images both as samples; of a yes or no of each seed it is the "
            "exact binomial, and of seeds with fewer than three different "
            "values the sign test's. A statement *holds* if the whole interval lies where it says, *doesn't "
            "hold* if the whole of it lies elsewhere, and else one *can't tell*: a claim is supported if all "
            "of its voting parts hold, refuted if none does and none is open, partly if at least one holds, "
            "and else open."
        ),
        worst=(
            "Where the book errs most, {share} of {studies} simulated studies have a "
            "false answer anywhere in it; allowed: {allowed} %."
        ),
        false_heads=("truth", "spread", "skewness {}"),
        truths={},
        hard_heads=("studies of", "false answers", "by the first round's way"),
        hard={
            "no spread, at a bound": "every seed exactly at a bound",
            "two values": "seeds of two values only",
            "rounded to half a standard deviation": "seeds rounded to half a standard deviation",
            "rounded to two standard deviations": "seeds rounded to two standard deviations",
            "seeds added": "seeds added for precision, at worst",
            "six equal epsilons": "six equal epsilons",
            "times cut off": "times cut off",
        },
        colon=": ",
        power_heads=("claim", "part", "asked", "expected", "told from"),
        power_answers=("holds / doesn't", "holds / doesn't, most seeds"),
        power_widths=("half-width", "half-width, most seeds"),
        all_told="With the most seeds every part is told in four of five studies.",
        undecided=(
            "If the values are what is expected, {count} parts are told in fewer than four of five studies "
            "even with the most seeds: {named}. Where a half-width stays above its target with the most "
            "seeds, the width that was reached stands beside the answer, and *can't tell* is an answer of "
            "that width."
        ),
        of="{part} of {all}",
        part_of="{claim}, *{part}*",
        named="; ",
        run_heads=("block", "decides", "seeds", "recorded", "trained by"),
        chooses="settings of the others",
        describes="nothing: descriptive",
        seeds="{first} to {last}",
        recorded="{part} of {all} runs",
        chosen="Learning rates and strengths are those that the recorded tuning runs chose.",
        provisional=(
            "Some settings in `bnstudy/blocks/chosen.py` are provisional until {named} are recorded in full "
            "and choose them. What other tuning runs had to choose is chosen."
        ),
        deviation="- {claim}: {reason} ({records})",
        no_deviation="No chapter names a deviation from the rules.",
        uncommitted=(
            " Of {all} records of these blocks {part} were made while the checkout had changes "
            "that weren't committed yet; each record holds a digest of the code that decides its numbers, "
            "as loaded: {alike}."
        ),
        alike="those of the same kind that were made from a commit have the same",
        unlike="not all of them have one that records made from a commit have",
        machines=(
            " Trained were {named}. Numbers are compared within a seed, and {said}: another device rounds "
            "otherwise and draws other noise, and from one seed PyTorch 2.12 draws other initial weights "
            "than 2.11."
        ),
        machine="{count} on {device} with PyTorch {torch}",
        together="all arms of a seed in a block were trained on one of them",
        apart="the arms of {count} seeds were trained on more than one of them",
    ),
    "zh": Words(
        judged="{claims} 条论断中，{judged} 条已由第二轮的（确认性）训练作出判定",
        by_test="；{named} 不需要训练，由代码测试判定",
        stop="。",
        comma="、",
        unfrozen="规则尚未冻结；冻结之前，任何确认性训练都不算数。",
        froze="规则由提交 `{commit}` 于 {date} 冻结。",
        when="%Y 年 %m 月 %d 日 %H:%M:%S（UTC）",
        changed="此后 {named} 的规则有改动，须重新冻结。",
        claim='**{id}**（<a href="{chapter}.html">{name}</a>）：{said}。**{verdict}。**',
        part=(
            "- **{name}**{voteless}：{said}所测的量：*{quantity}*；"
            "这一说法若成立，它应{asked}。{grades}界限的理由：{why}"
            "依据：{reads}；{width}，才算足够精确。{found}"
        ),
        narrow="置信区间半宽不超过 {}",
        narrow_factor="置信区间的端点与中心之比不超过 {}",
        grade="更远的界限（*{name}*）：{asked}。",
        verified="- **{name}**{voteless}：{said}由代码测试验证：**{answer}**（`{test}`）。",
        voteless="（不参与综合判定）",
        reads="训练组 `{study}`，{count} 个随机种子（{first} 至 {last}；{more}）",
        topped_up="由 {planned} 个追加而来",
        may_be_topped_up="追加一次后至多 {most} 个",
        both="、",
        unmeasured="尚未测量。",
        found="结果：**{answer}**，{size}{grades}{wide}（事先预期：{expected}）。",
        found_grade="；{name}：{answer}",
        wide="；区间宽于目标",
        procedure=(
            "受判定的量共 K = {count} 个，每个量有一个置信区间，置信水平为 1 − α/K，其中 α = {alpha}"
            "（即每个区间 {level} %）。水平取得这样高，是为了让所有区间能同时成立（Bonferroni 校正）；"
            "同一个量的各条界限，都由这一个区间判定。"
            "α 小于全书允许的错误回答率 {allowed} %，"
            "因为随机种子的值若分布有偏，这种区间不含真值的机会比水平所示的大："
            "α 的取值使下面的模拟不超出允许的限度。"
            "区间为 t 区间，随机种子和测试图像都作为样本；每个种子只有“是”与“否”的量，用精确的二项区间；"
            "各随机种子的取值不足三种的，用符号检验的区间。整个区间都在所说的一边，这个说法*成立*；"
            "整个区间都在另一边，*不成立*；否则*无法判断*。一条论断，参与综合判定的部分全部成立，判为成立；"
            "没有一个成立，也没有一个无法判断，判为不成立；至少有一个成立，判为部分成立；其余判为未定。"
        ),
        worst=(
            "在全书最容易出错的情形下，{studies} 次模拟研究中，有 {share} 至少在书中一处给出错误回答；"
            "允许的限度为 {allowed} %。"
        ),
        false_heads=("真实情形", "离散程度", "偏度 {}"),
        truths={
            "every quantity at its first bound": "每个量都恰在第一条界限上",
            "every quantity at its last bound": "每个量都恰在最后一条界限上",
            "no effect": "没有效应",
            "the smallest effect of interest": "最小有意义效应",
        },
        hard_heads=("怎样的研究", "错误回答", "按第一轮的做法"),
        hard={
            "no spread, at a bound": "各随机种子都恰在界限上",
            "two values": "各随机种子只取两个值",
            "rounded to half a standard deviation": "各随机种子的值舍入到半个标准差",
            "rounded to two standard deviations": "各随机种子的值舍入到两个标准差",
            "seeds added": "为提高精度而追加种子，最坏情形",
            "six equal epsilons": "六个 epsilon 实际上没有差别",
            "times cut off": "时间被截断",
        },
        colon="：",
        power_heads=("论断", "部分", "要求", "预期值", "可辨的距离"),
        power_answers=("成立 / 不成立", "种子最多时：成立 / 不成立"),
        power_widths=("半宽", "种子最多时：半宽"),
        all_told="随机种子最多时，每个部分能得出结论的概率都不低于八成。",
        undecided=(
            "如果各量的值与预期相同，即使随机种子最多，{count}能得出结论的概率不到八成：{named}。"
            "随机种子最多时半宽仍大于目标的，回答旁边注明实际达到的宽度；*无法判断*就是这一宽度下的回答。"
        ),
        of="{all} 个部分中有 {part} 个",
        part_of="{claim} *{part}*",
        named="；",
        run_heads=("训练组", "判定的论断", "随机种子", "已有记录", "训练命令"),
        chooses="为其他训练组选取设置",
        describes="不作判定，仅作描述",
        seeds="{first} 至 {last}",
        recorded="{part} / {all}",
        chosen="学习率和各种正则化强度，都是已有记录的选参训练所选定的。",
        provisional=(
            "`bnstudy/blocks/chosen.py` 里有些设置是暂定的，要等 {named} 的记录齐全，由它们选定。"
            "其余由选参训练决定的设置都已选定。"
        ),
        deviation="- {claim}：{reason}（{records}）",
        no_deviation="没有哪一章声明有偏离规则之处。",
        uncommitted=(
            "这些训练组的 {all} 份记录中，有 {part} 份训练时工作目录里有尚未提交的改动；"
            "每份记录都存有实际载入的、决定其数值的代码的摘要：{alike}。"
        ),
        alike="与同类的、由已提交代码得到的记录相同",
        unlike="其中有的与由已提交代码得到的记录不同",
        machines=(
            "这些记录中，{named}。比较都在同一随机种子之内进行，{said}："
            "换一种设备，舍入与噪声都会不同；同一随机种子，PyTorch 2.12 与 2.11 抽出的初始权重也不同。"
        ),
        machine="{count} 份在 {device}（PyTorch {torch}）上训练",
        together="而在一个训练组里，同一随机种子的各种设置都在同一种设备上训练",
        apart="其中有 {count} 个随机种子的各种设置是在不同设备上训练的",
    ),
}
