"""What the second round's probes saw beside the verdicts: by layer, by dose of noise, and a yardstick."""

from __future__ import annotations

import pandas as pd

from bnstudy.analysis.chinese import chinese
from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.tables import paired
from bnstudy.blocks.shift import HALF_RATE
from bnstudy.chapters.covariate_shift import seen, seen_figures
from bnstudy.chapters.covariate_shift.judged import NOT_GAUSSIAN
from bnstudy.chapters.covariate_shift.seen_figures import TRAININGS
from bnstudy.chapters.shown import Shown, in_points, ratio

BLOCK = "shift"

PUBLISHED = 1.0
LOGITS = "conv5"


def described(shown: Shown) -> str:
    """Return shift and drift by layer, the shape of normalised values, and what noise does."""
    return "".join((_layers(shown), _shape(shown), _noise(shown)))


def _layers(shown: Shown) -> str:
    say = shown.write.say
    moved, angle = seen.drift(shown.frames), seen.cosine(shown.frames)
    return "".join(
        (
            shown.drawing(
                seen_figures.by_layer(moved, angle),
                f"trained-layers-{shown.language}",
                _layers_in_words(shown, moved, angle),
                say(
                    "How far a training step moves what each convolution is given (top), and the cosine of its "
                    "gradients before and after the earlier layers' update (bottom), means over probed steps. Bars: "
                    "95 % intervals over seeds (Student's t; of the logarithm above).",
                    "一步训练使各卷积层的输入移动多远（上），以及前面各层更新前后本层梯度夹角的余弦（下），对各测量步取平均。"
                    "误差线：随机种子之间的 95% 置信区间（t 分布；上图取对数计算）。",
                ),
            ),
            shown.seen(_first_and_last(shown, moved, angle)),
            f"<p>{_yardstick(shown, angle)}</p>",
            shown.table(layers_table(shown, moved, angle)),
        )
    )


def layers_table(shown: Shown, moved: pd.DataFrame, angle: pd.DataFrame) -> pd.DataFrame:
    """Return drift's ratio and the cosines by training and layer: mean [95 % interval]."""
    say = shown.write.say
    lines = []
    for training, name in TRAININGS.items():
        for layer in sorted(moved["layer"].unique()):
            apart = paired(*(_of(moved, training, arm, layer) for arm in ("none", "batch")))
            line = {
                say("training", "训练"): name,
                say("layer", "层"): layer,
                say("moved, without over with batch norm", "移动距离之比（无 BN / 有 BN）"): ratio(apart),
            }
            for arm, head in (
                ("none", say("cosine, without", "余弦（无 BN）")),
                (HALF_RATE, say("cosine, without, half the rate", "余弦（无 BN，学习率减半）")),
                ("batch", say("cosine, with", "余弦（有 BN）")),
            ):
                line[head] = mean_interval(_of(angle, training, arm, layer)).plain(3)
            lines.append(line)
    return pd.DataFrame(lines)


def _first_and_last(shown: Shown, moved: pd.DataFrame, angle: pd.DataFrame) -> str:
    layers = sorted(moved["layer"].unique())
    ends = layers[0], layers[-1]
    said: dict[str, list[str]] = {"en": [], "zh": []}
    for training, name in TRAININGS.items():
        far, turned = [], []
        for layer in ends:
            far.append(
                shown.write.cite(ratio(paired(*(_of(moved, training, a, layer) for a in ("none", "batch")))))
            )
            turned.append(
                shown.write.number(paired(*(_of(angle, training, a, layer) for a in ("batch", "none"))))
            )
        said["en"].append(
            f"with {name} a step moves what {ends[0]} is given {far[0]} times as far without batch norm, and what "
            f"{ends[1]} is given {far[1]} times; the cosine changes by {turned[0]} in {ends[0]} and by {turned[1]} in "
            f"{ends[1]} with it"
        )
        said["zh"].append(
            f"用 {name} 时，一步更新使 {ends[0]} 的输入移动的距离，无批归一化是有批归一化的 {far[0]} 倍，{ends[1]} 则是 {far[1]} 倍；"
            f"余弦之差（有批归一化减无批归一化）在 {ends[0]} 为 {turned[0]}，在 {ends[1]} 为 {turned[1]}"
        )
    return shown.write.say("; ".join(said["en"]) + ".", "；".join(said["zh"]) + "。")


def _changed(shown: Shown, angle: pd.DataFrame, arm: str, training: str) -> str:
    """Return by how much an arm's cosine differs from that without batch norm."""
    return shown.write.number(_apart(angle, arm, training))


def _apart(angle: pd.DataFrame, arm: str, training: str) -> pd.Series[float]:
    return paired(*(_over_layers(angle, training, a) for a in (arm, "none")))


def _yardstick(shown: Shown, angle: pd.DataFrame) -> str:
    changed = {
        (training, arm): _changed(shown, angle, arm, training)
        for training in TRAININGS
        for arm in (HALF_RATE, "batch")
    }
    seeds = shown.write.cite(str(angle["seed"].nunique()))
    return shown.write.say(
        f"A yardstick for the cosine ({seeds} seeds, mean over convolutions 2 to 5): halving the learning rate of the "
        f"network without batch norm changes it by {changed['sgd', HALF_RATE]} with SGD and by "
        f"{changed['adam', HALF_RATE]} with Adam; batch norm changes it by {changed['sgd', 'batch']} and by "
        f"{changed['adam', 'batch']}.",
        f"批归一化使梯度的余弦改变 {changed['sgd', 'batch']}（SGD）和 {changed['adam', 'batch']}（Adam）；作为参照，"
        f"把无批归一化网络的学习率减半，使它改变 {changed['sgd', HALF_RATE]}（SGD）和 {changed['adam', HALF_RATE]}（Adam）。"
        f"均为 {seeds} 个随机种子、第 2～5 个卷积层的平均。",
    )


def _halving(shown: Shown) -> str:
    angle = seen.cosine(shown.frames)
    sgd, adam = (shown.bare(_apart(angle, HALF_RATE, training)) for training in ("sgd", "adam"))
    more = [
        abs(_apart(angle, HALF_RATE, training).mean()) > abs(_apart(angle, "batch", training).mean())
        for training in ("sgd", "adam")
    ]
    en, zh = {2: ("more: ", "，比批归一化带来的变化还大"), 0: ("less: ", "，不及批归一化带来的变化")}.get(
        sum(more), ("", "")
    )
    layers = sorted(angle["layer"].unique())
    first, last = (shown.bare(_pooled(angle, layer)) for layer in (layers[0], layers[-1]))
    return shown.write.say(
        f"Halving the learning rate does {en}{sgd} (SGD), {adam} (Adam). By layer batch norm's is {first} ({layers[0]}) "
        f"to {last} ({layers[-1]}).",
        f"作为参照：无批归一化时仅把学习率减半，这个余弦就改变 {sgd}（SGD）和 {adam}（Adam）{zh}。各层差别很大："
        f"批归一化使它在 {layers[0]} 改变 {first}，在 {layers[-1]} 改变 {last}。",
    )


def _pooled(angle: pd.DataFrame, layer: str) -> pd.Series[float]:
    """Return by how much the cosine in a layer differs with batch norm, mean over the trainings, by seed."""
    of_layer = angle[angle["layer"] == layer]
    with_, without = (
        of_layer[of_layer["arm"] == arm].groupby("seed")["value"].mean() for arm in ("batch", "none")
    )
    return paired(with_, without)


def _at_the_end(shown: Shown) -> str:
    """Return the logits' distance to a Gaussian at the last probed step."""
    table = seen.shape(shown.frames)
    table = table[table["layer"] == LOGITS]
    by_step = table.groupby("step")["value"].mean()
    rises = by_step.iloc[-1] > by_step.iloc[-2]
    last = table[table["step"] == by_step.index[-1]]
    distance = shown.write.number(last.groupby("seed")["value"].mean())
    steps = shown.write.cite(f"{by_step.index[-1]}")
    en, zh = (", and rising,", "已升到") if rises else ("", "为")
    return shown.write.say(
        f"The verdict is on means over {steps} steps, half an epoch: at their end{en} that of the logits is "
        f"{distance} (asked: below {NOT_GAUSSIAN:g}). Standardising alone doesn't change a distribution's shape.",
        f"判定依据的是前 {steps} 步（半个 epoch）中各测量步的平均；到最后一步，logit 的 KS 距离{zh} {distance}（对平均值的要求：低于 "
        f"{NOT_GAUSSIAN:g}）。标准化本身不改变分布的形状。",
    )


BESIDE = {"C2": _halving, "C3": _at_the_end}


def _layers_in_words(shown: Shown, moved: pd.DataFrame, angle: pd.DataFrame) -> str:
    say = shown.write.say
    said = []
    for training, name in TRAININGS.items():
        for arm, en, zh in (("none", "without batch norm", "无批归一化"), ("batch", "with it", "有批归一化")):
            distance = 2 ** _over_layers(moved, training, arm).mean()
            cosine = _over_layers(angle, training, arm).mean()
            said.append(
                say(
                    f"{name} {en} {distance:.2g} and {cosine:.2f}",
                    f"{name} {zh} {distance:.2g} 和 {cosine:.2f}",
                )
            )
    listed = say("; ", "；").join(said)
    return say(
        f"Points by layer; distance moved and cosine, means over layers: {listed}.",
        f"散点图，每层一组点；移动距离和余弦，对各层取平均：{listed}。",
    )


def _shape(shown: Shown) -> str:
    say = shown.write.say
    table = seen.shape(shown.frames)
    return "".join(
        (
            shown.drawing(
                seen_figures.shape(table, NOT_GAUSSIAN),
                f"trained-shape-{shown.language}",
                _shape_in_words(shown, table),
                say(
                    "Kolmogorov's distance of each layer's normalised values, standardised, to a Gaussian, mean over "
                    "units. Dotted: the distance from which on they are called not Gaussian. Dashed: a Gaussian "
                    "sample of the same size. Bands: 95 % intervals over seeds (Student's t).",
                    "各层归一化后的值（再标准化）与高斯分布的 KS 距离（Kolmogorov–Smirnov 距离，即两个分布函数的最大差），对各单元取平均。"
                    "点线：距离达到此值，就不再算高斯分布。"
                    "虚线：样本量相同的高斯样本。色带：随机种子之间的 95% 置信区间（t 分布）。",
                ),
            ),
            shown.seen(_shape_in_short(shown, table)),
        )
    )


def _shape_in_short(shown: Shown, table: pd.DataFrame) -> str:
    write = shown.write
    by_seed = table.groupby(["layer", "seed"])["value"].mean()
    means = by_seed.groupby("layer").mean()
    hidden = means.drop(LOGITS)
    nearest, farthest = str(hidden.idxmin()), str(hidden.idxmax())
    said = {layer: write.number(by_seed[layer]) for layer in (nearest, farthest, LOGITS)}
    drawn = write.cite(f"{table['sample'].mean():.3f}")
    return write.say(
        f"By layer, over all probed steps and both optimisers, the hidden layers' distance goes from {said[nearest]} "
        f"({nearest}) to {said[farthest]} ({farthest}); that of the logits is {said[LOGITS]}. A Gaussian sample of "
        f"that size has {drawn}.",
        f"对所有测量步和两种优化器取平均，隐藏层的 KS 距离从 {said[nearest]}（{nearest}）到 {said[farthest]}（{farthest}），"
        f"logit 层为 {said[LOGITS]}。样本量相同的高斯样本为 {drawn}。",
    )


def _shape_in_words(shown: Shown, table: pd.DataFrame) -> str:
    means = table.groupby("layer")["value"].mean()
    listed = shown.write.say(", ", "，").join(f"{layer} {value:.3f}" for layer, value in means.items())
    return shown.write.say(
        f"Lines over training steps, one a layer; means: {listed}.",
        f"随训练步数变化的折线图，每层一条线；平均：{listed}。",
    )


def _noise(shown: Shown) -> str:
    say = shown.write.say
    runs = seen.noise(shown.frames)
    return "".join(
        (
            shown.drawing(
                seen_figures.noise(runs),
                f"trained-noise-{shown.language}",
                _noise_in_words(shown, runs),
                say(
                    "Noise behind every batch norm, drawn anew at each pass (which shifts the layers' distributions) "
                    "or frozen (which doesn't), by its amount: relative shift with the noise of the next pass, largest "
                    "gradient norm, test accuracy at the end of half an epoch. Level lines: networks without noise. "
                    "Bands: 95 % intervals over seeds (Student's t).",
                    "在每次批归一化之后加噪声：或每次前向传播重新抽取（重抽噪声，使各层的分布偏移），或只抽取一次、此后不变（固定噪声，"
                    "不产生偏移）。横轴为噪声的量。自上而下：相对偏移（计入下一次前向传播的噪声）、最大梯度范数、训练半个 epoch 后的测试准确率。"
                    "水平线为不加噪声的网络。"
                    "色带：随机种子之间的 95% 置信区间（t 分布）。",
                ),
            ),
            shown.seen(_published_noise(shown, runs)),
            shown.table(noise_table(shown, runs)),
        )
    )


def noise_table(shown: Shown, runs: pd.DataFrame) -> pd.DataFrame:
    """Return fresh against frozen noise by training and dose: mean [95 % interval], and who diverged."""
    say = shown.write.say
    lines = []
    for training, name in TRAININGS.items():
        for dose in sorted(runs["dose"].dropna().unique()):
            pair = [_run(runs, training, f"{kind} {dose:g}") for kind in seen.NOISES]
            apart = {q: paired(*(half[q] for half in pair)) for q in ("shift", "gradient", "accuracy")}
            lines.append(
                {
                    say("training", "训练"): name,
                    say("amount of noise", "噪声的量"): f"{dose:g}",
                    say("relative shift, fresh over frozen", "相对偏移之比（重抽 / 固定）"): ratio(
                        apart["shift"]
                    ),
                    say("largest gradient, fresh over frozen", "最大梯度之比（重抽 / 固定）"): ratio(
                        apart["gradient"]
                    ),
                    say(
                        "test accuracy, fresh minus frozen, points", "测试准确率之差（重抽减固定，百分点）"
                    ): in_points(apart["accuracy"]),
                    say("diverged, fresh and frozen", "发散的训练数（重抽 / 固定）"): " / ".join(
                        str(int(half["diverged"].sum())) for half in pair
                    ),
                }
            )
    return pd.DataFrame(lines)


def _published_noise(shown: Shown, runs: pd.DataFrame) -> str:
    write = shown.write
    said = []
    for training, name in TRAININGS.items():
        noisy, plain = (_run(runs, training, arm) for arm in (f"fresh {PUBLISHED:g}", "none"))
        shift = shown.times(mean_interval(paired(noisy["shift"], plain["shift"])))
        gain = write.points(paired(noisy["accuracy"], plain["accuracy"]), mean_interval)
        said.append(
            write.say(
                f"with {name} {shift} times the relative shift of the network without batch norm, and {gain} points "
                "of test accuracy against it",
                f"用 {name} 时，相对偏移是后者的 {shift} 倍，测试准确率之差（前者减后者）为 {gain} 个百分点",
            )
        )
    return write.say(
        f"Batch norm with fresh noise of the published amount has, {'; '.join(said)}.",
        f"批归一化之后加重抽噪声（与 Santurkar 等人所用的量相同），与无批归一化的网络相比：{'；'.join(said)}。",
    )


def _noise_in_words(shown: Shown, runs: pd.DataFrame) -> str:
    said = []
    for (training, kind, dose), group in runs[runs["kind"] != ""].groupby(["training", "kind", "dose"]):
        accuracy = 100 * group["accuracy"].mean()
        shift, name = 2 ** group["shift"].mean(), TRAININGS[str(training)]
        said.append(
            shown.write.say(
                f"{name}, {kind} {dose:g}: {shift:.2f}, {accuracy:.1f} %",
                f"{name}，{chinese(f'{kind} noise')} {dose:g}：{shift:.2f}，{accuracy:.1f} %",
            )
        )
    listed = shown.write.say("; ", "；").join(said)
    return shown.write.say(
        f"Curves by amount of noise; relative shift and test accuracy: {listed}.",
        f"随噪声的量变化的折线图；相对偏移和测试准确率：{listed}。",
    )


def _run(runs: pd.DataFrame, training: str, arm: str) -> pd.DataFrame:
    """Return an arm's runs by seed; what no probe saw, as where a run diverged before, is left out."""
    return runs[(runs["training"] == training) & (runs["arm"] == arm)].set_index("seed")


def _of(table: pd.DataFrame, training: str, arm: str, layer: str) -> pd.Series[float]:
    chosen = (table["training"] == training) & (table["arm"] == arm) & (table["layer"] == layer)
    return table[chosen].set_index("seed")["value"]


def _over_layers(table: pd.DataFrame, training: str, arm: str) -> pd.Series[float]:
    chosen = (table["training"] == training) & (table["arm"] == arm)
    return table[chosen].groupby("seed")["value"].mean()
