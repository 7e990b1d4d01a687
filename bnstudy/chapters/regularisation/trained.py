"""Training on few images: where six arms end, how they get there, what the loss says, which strengths."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bnstudy.analysis.statistics import Amount, mean_interval
from bnstudy.analysis.tables import paired
from bnstudy.chapters.regularisation import figures_of_few as figures
from bnstudy.chapters.regularisation import strengths
from bnstudy.chapters.regularisation.few_images import (
    LEVELS,
    PLAIN,
    RULE,
    ahead,
    apart,
    at_epoch,
    at_levels,
    compared,
    ends,
    looks,
    of,
    stopped,
)
from bnstudy.chapters.regularisation.few_images_shown import (
    NAMES,
    accuracies,
    along_in_words,
    arms_in_words,
    courses_in_words,
    losses,
)
from bnstudy.chapters.regularisation.judged import EXTRAS
from bnstudy.chapters.regularisation.study import RegularisationStudy
from bnstudy.chapters.shown import Shown

BLOCK = "small_data"

NONE, BATCH = PLAIN["none"], PLAIN["batch"]


def described(shown: Shown) -> str:
    """Return where the arms end and how they get there, each with a figure, then losses and strengths."""
    wide = looks(shown)
    best, last = stopped(wide), ends(wide)
    say, images = shown.write.say, _images(shown)
    start = shown.phases["constant"]
    return "".join(
        (
            shown.drawing(
                figures.six_arms(best, last),
                f"trained-arms-{shown.language}",
                arms_in_words(shown, best, last),
                say(
                    f"Test accuracy after training on {images} images, without batch norm (above the line) and with "
                    "it (below). Small dots: seeds. Marks and bars: means and 95 % intervals (Student's t) where each "
                    "training's validation accuracy is best, as judged. Hollow: means at the end of training. The "
                    "verdicts rest on paired differences, which stand above.",
                    f"用 {images} 张图像训练后的测试准确率：点线以上的设置无批归一化，以下的有批归一化。小点为各随机种子；标记和误差线为均值和 "
                    "95% 置信区间（t 分布），取各次训练验证准确率最高之处，与判定一致。空心标记为训练结束时的均值。判定依据的是配对的差，见上文。",
                ),
            ),
            shown.seen(f"{_better(shown, best)} {_stopping(shown, best, last)}"),
            shown.drawing(
                figures.fitted(wide, last),
                f"trained-courses-{shown.language}",
                courses_in_words(shown, at_levels(wide)),
                say(
                    "Test accuracy against training accuracy. Lines: along training, of the networks without L2 and "
                    "dropout, a mark a look, means with 95 % intervals (Student's t). Single marks: the ends of the "
                    "others, whose training accuracy was looked at there alone.",
                    "测试准确率与训练准确率。折线：不加 L2 和 dropout 的网络在训练过程中的均值和 95% 置信区间（t 分布），每次评估一个点。"
                    "单个标记：其余设置训练结束时的结果，它们只在那时评估过训练准确率。",
                ),
            ),
            shown.seen(_at_equal_training(shown, wide)),
            shown.drawing(
                figures.along(wide, start),
                f"trained-along-{shown.language}",
                along_in_words(shown, wide),
                say(
                    "Test accuracy along training, by arm: means with 95 % intervals (Student's t). Right of the dotted "
                    "line the learning rate falls to zero.",
                    "各种设置在训练过程中的测试准确率：均值和 95% 置信区间（t 分布）。点线之后，学习率逐渐降到零。",
                ),
            ),
            shown.seen(_when(shown, wide)),
            shown.table(accuracies(shown, best, last)),
            f"<p>{_losses(shown, last)}</p>",
            shown.table(losses(shown)),
            strengths.described(shown),
        )
    )


def _images(shown: Shown) -> str:
    study: Any = shown.frames.study
    return f"{study.train_size:,}"


def _share(shown: Shown, values: pd.Series[float]) -> str:
    """Return a mean share by itself, ``"52.1 %"``; it opens to its interval."""
    found = mean_interval(values)
    return shown.write.cite(Amount.of(f"{100 * found.mean:.1f} %", found, "percent"))


def _points(shown: Shown, values: pd.Series[float]) -> str:
    return shown.write.points(values, mean_interval)


def _where(shown: Shown) -> str:
    """Return on how much data all that follows was measured."""
    images = _images(shown)
    return shown.write.say(f"On {images} images,", f"用 {images} 张图像训练：")


FIRST = {"C5": _where}


def _on_top(shown: Shown) -> str:
    """Return what is reached with batch norm alone, and with each of L2 and dropout on top."""
    best = stopped(looks(shown))
    alone, l2, dropout = (_share(shown, of(best, f"batch {extra}")) for extra in ("plain", *EXTRAS))
    return shown.write.say(
        f"On {_images(shown)} training images test accuracy is {alone} with batch norm alone, {l2} with L2 on top and "
        f"{dropout} with dropout, each stopped where it is best on held-out images.",
        f"用 {_images(shown)} 张图像训练，测试准确率：只用批归一化为 {alone}，批归一化加 L2 为 {l2}，批归一化加 dropout 为 {dropout}（都在验证准确率最高处停止）。",
    )


IN_SHORT = {"C5": _on_top}


def _better(shown: Shown, best: pd.DataFrame) -> str:
    """Return which of L2 and dropout is better by validation, and how far on test images."""
    write = shown.write
    seeds = write.cite(str(best["seed"].nunique()))
    wins = {}
    for norm in PLAIN:
        l2, dropout = (of(best, f"{norm} {extra}", "validation") for extra in EXTRAS)
        wins[norm] = write.cite(str(int((paired(dropout, l2) > 0).sum())))
    points = {norm: _points(shown, apart(best, f"{norm} dropout", f"{norm} L2")) for norm in PLAIN}
    return write.say(
        f"On the validation images dropout is better than L2 in {wins['batch']} of {seeds} seeds with batch norm, and "
        f"in {wins['none']} without it; on the test images it is {points['batch']} and {points['none']} points ahead.",
        f"在验证图像上，有批归一化时 {seeds} 个随机种子中有 {wins['batch']} 个是 dropout 优于 L2，无批归一化时有 {wins['none']} 个；"
        f"测试准确率之差（dropout 减 L2）分别为 {points['batch']} 和 {points['none']} 个百分点。",
    )


def _stopping(shown: Shown, best: pd.DataFrame, last: pd.DataFrame) -> str:
    """Return what stopping early is worth to batch norm alone, and each comparison at the end instead."""
    write = shown.write
    epochs = {arm: write.cite(f"{of(best, arm, 'epoch').median():.0f}") for arm in NAMES}
    lost = shown.lost(paired(of(best, BATCH), of(last, BATCH)))
    end = {
        extra: (
            _points(shown, apart(last, BATCH, f"none {extra}")),
            _points(shown, apart(last, f"batch {extra}", BATCH)),
        )
        for extra in EXTRAS
    }
    return write.say(
        f"Batch norm alone is best on them after {epochs[BATCH]} epochs (median over seeds), and loses {lost} points of "
        f"test accuracy from there to the end; with L2 on top it is best after {epochs['batch L2']}, with dropout after "
        f"{epochs['batch dropout']}. Without stopping early it would stand at {end['L2'][0]} points against L2 alone "
        f"and at {end['dropout'][0]} against dropout alone; L2 on top would add {end['L2'][1]}, dropout "
        f"{end['dropout'][1]}.",
        f"只用批归一化时，验证准确率在第 {epochs[BATCH]} 个 epoch（各种子的中位数）最高，从那时到训练结束，测试准确率的降幅为 {lost} 个百分点；"
        f"再加 L2 时在第 {epochs['batch L2']} 个 epoch 最高，再加 dropout 时在第 {epochs['batch dropout']} 个。如果不早停，测试准确率之差，"
        f"只用批归一化减只用 L2 为 {end['L2'][0]} 个百分点，减只用 dropout 为 {end['dropout'][0]} 个百分点；再加 L2 改变 "
        f"{end['L2'][1]} 个百分点，再加 dropout 改变 {end['dropout'][1]} 个百分点。",
    )


def _at_equal_training(shown: Shown, wide: pd.DataFrame) -> str:
    """Return how many pairs reach the judged training accuracy, where the others are compared, and the rest."""
    write = shown.write
    pairs, rungs = compared(wide), at_levels(wide)
    late, count = pairs[~pairs["held"]], write.cite(str(len(pairs)))
    held = write.cite(str(len(pairs) - len(late)))
    there, looked = f"{100 * RULE.level:g} %", str(RULE.held)
    said, zh = "", ""
    if len(late):
        low, middle = (write.cite(f"{100 * v:.2f} %") for v in (late["level"].min(), late["level"].median()))
        said = (
            " The others are compared at the highest training accuracy that both reach: "
            f"{middle} in the median, {low} at the lowest."
        )
        zh = f"其余各对在两者都达到的最高训练准确率处比较，中位数为 {middle}，最低为 {low}。"
    if len(late) and len(pairs) > 2:
        least = late.sort_values("level").iloc[0]
        lowest = write.cite(f"{100 * float(least['ahead']):+.1f}")
        others = _points(shown, pairs["ahead"].drop(least.name))
        said += f" That lowest pair is {lowest} points apart, and all others {others}."
        zh += f"最低的那一对测试准确率之差为 {lowest} 个百分点，除它以外各对为 {others} 个百分点。"
    listed, listed_zh = [], []
    for level in LEVELS:
        values = ahead(rungs, level)
        if len(values) < 2:
            listed.append(f"nothing at {level:.0%} (reached by fewer than two pairs)")
            listed_zh.append(f"训练准确率 {level:.0%} 处无从比较（达到的不足两对）")
            continue
        points, number = _points(shown, values), write.cite(str(len(values)))
        listed.append(f"{points} points at {level:.0%} ({number} pairs)")
        listed_zh.append(f"训练准确率 {level:.0%} 处 {points} 个百分点（{number} 对）")
    return write.say(
        f"Without L2 and dropout, {held} of {count} pairs of networks both hold a training accuracy of {there} for "
        f"{looked} looks in a row, where the verdict compares them.{said} On the way there test accuracy with batch "
        f"norm is ahead by {', '.join(listed)}.",
        f"不加 L2 和 dropout 时，{count} 对网络中有 {held} 对，两者的训练准确率都连续 {looked} 次评估达到 {there}，判定即在那时比较。{zh}"
        f"在此之前，训练准确率相同时的测试准确率之差（有批归一化减无批归一化）：{'；'.join(listed_zh)}。",
    )


def _when(shown: Shown, wide: pd.DataFrame) -> str:
    """Return what L2 and dropout add to batch norm after so long as the first round trained, and later."""
    write = shown.write
    rows = [
        at_epoch(wide, epoch)
        for epoch in (RegularisationStudy().small_epochs, shown.phases["constant"], shown.phases["annealed"])
    ]
    epochs = [f"{now['epoch'].max():.0f}" for now in rows]
    l2, dropout = ([_points(shown, apart(now, f"batch {e}", BATCH)) for now in rows] for e in EXTRAS)
    found = {e: [apart(now, f"batch {e}", BATCH).mean() for now in rows] for e in EXTRAS}
    slow = all(values[0] <= 0 < values[-1] for values in found.values())
    late = found["L2"][1] <= 0 < found["L2"][2]
    said = (
        "On top of batch norm neither pays at once. " if slow else "",
        "What L2 wins it wins while the rate falls. " if late else "",
    )
    zh = (
        "在批归一化之上，两者都不是马上见效。" if slow else "",
        "L2 的好处是在学习率下降时才出现的。" if late else "",
    )
    return write.say(
        f"{said[0]}After {epochs[0]} epochs, as long as the first round trained on so many images, dropout changes test "
        f"accuracy by {dropout[0]} points and L2 by {l2[0]}; after {epochs[1]}, before annealing, by {dropout[1]} and "
        f"{l2[1]}; after {epochs[2]}, annealed, by {dropout[2]} and {l2[2]}. {said[1]}The first round, at another rate "
        "and untuned strengths, stopped before that; its figures stand below.",
        f"{zh[0]}第 {epochs[0]} 个 epoch（第一轮用这么多图像时就训练到此为止），dropout 使测试准确率改变 {dropout[0]} 个百分点，L2 改变 "
        f"{l2[0]} 个百分点；第 {epochs[1]} 个 epoch（退火之前）为 {dropout[1]} 和 {l2[1]}；第 {epochs[2]} 个 epoch（退火之后）为 "
        f"{dropout[2]} 和 {l2[2]}。{zh[1]}第一轮的学习率不同，强度也未经调整，在此之前就停止了；它的图在下文。",
    )


def _losses(shown: Shown, last: pd.DataFrame) -> str:
    """Return what the loss says of the plain networks, before and after scaling by a temperature."""
    write = shown.write
    scaled = shown.frames["calibration"]
    scaled = scaled[scaled["split"] == "test"]
    ended = shown.frames["checkpoints"]
    ended = ended[(ended["split"] == "train") & (ended["step"] == ended["step"].max())]
    change = {
        value: write.number(paired(*(of(scaled, arm, value) for arm in (BATCH, NONE))))
        for value in ("loss", "scaled_loss")
    }
    warm = {arm: shown.bare(of(scaled, arm, "temperature")) for arm in (BATCH, NONE)}
    train = {arm: shown.bare(of(ended, arm, "loss")) for arm in (BATCH, NONE)}
    right = {arm: _share(shown, of(last, arm, "train")) for arm in (BATCH, NONE)}
    return write.say(
        f"Of loss there is no verdict: a network can be right more often and surer of its errors. At the end, without "
        f"L2 and dropout, the test loss with batch norm less that without is {change['loss']} nats, and "
        f"{change['scaled_loss']} once each network's logits are divided by the temperature that is best on held-out "
        f"images (negative is better). Those temperatures are {warm[BATCH]} with batch norm and {warm[NONE]} without: "
        "below one a network is less sure than it is right, above one it is surer. The training loss is "
        f"{train[BATCH]} with and {train[NONE]} without, at training accuracies of {right[BATCH]} and {right[NONE]}: with batch norm the "
        "logits are normalised too, and have no gamma to grow by.",
        f"损失不参与判定：一个网络可能答对得更多，答错时却也更自信。训练结束时，不加 L2 和 dropout，测试损失之差（有批归一化减无批归一化）为 "
        f"{change['loss']} nat；各网络的 logit 先除以在留出图像上最佳的温度，则为 {change['scaled_loss']} nat（负值表示损失更小）。"
        f"这个温度，有批归一化时为 {warm[BATCH]}（小于一，说明不够自信），无批归一化时为 {warm[NONE]}（大于一，说明过于自信）。训练损失"
        f"分别为 {train[BATCH]} 和 {train[NONE]}，训练准确率分别为 {right[BATCH]} 和 {right[NONE]}：有批归一化时 logit 也做归一化，又没有 "
        "gamma 可以放大。",
    )
