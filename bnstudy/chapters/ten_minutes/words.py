"""What is to be seen in each picture of the page, by language; ``{name}`` is where a number goes."""

from __future__ import annotations

from typing import NamedTuple

from bnstudy.analysis.judged.wording import Language


class Said(NamedTuple):
    """What a picture shows, for those who don't see it, and its caption."""

    text: str
    seen: str


_ENGLISH = {
    "axes": Said(
        "Digits in a column, and beside each its maps of five channels. A frame runs around one channel's "
        "maps of all images.",
        "You see: six images of a batch and what a convolution makes of them, a channel a column. The "
        "framed maps of channel {channel}, of all images and at all positions, share one mean and one "
        "variance: {values} values in this batch of {shown}. There are {means} such means, one a channel.",
    ),
    "gamma_and_beta": Said(
        "Three histograms one below the other: before batch norm, normalised, and stretched and moved.",
        "You see: channel {channel} comes in with mean {before_mean} and standard deviation {before_std}; "
        "batch norm makes them 0 and 1; gamma and beta, which are learned, make the standard deviation "
        "{set_gamma} and the mean {set_beta} here. The form of the histogram stays.",
    ),
    "company": Said(
        "Dots at different heights, one for each batch that the image was in, and one level line.",
        "You see: the same image, the same weights. In training mode the output depends on the other images "
        "of the batch, from {lowest} to {highest}; in evaluation mode it is {alone}, whatever else is in "
        "the batch.",
    ),
    "updates": Said(
        "Four bars of test accuracy: updates run, forgotten, forgotten and normalised by the batch, "
        "forgotten and recalibrated.",
        "You see: with the updates run the network gets {run} of the test images right, with the updates "
        "forgotten {forgotten}. The weights are the same: normalised by the test batch they get "
        "{by_the_batch}, and with statistics taken anew {recalibrated}.",
    ),
    "scatter": Said(
        "Points that fall along a line as batches grow, both axes on a log scale.",
        "You see: the larger the batch, the less its mean depends on which images are in it. From batches "
        "of 2 to batches of 128 the scatter falls to one part in {whole}; the line falls with the square "
        "root of the batch size.",
    ),
    "hurts": Said(
        "Four bars of test accuracy: moving averages, shuffled test batches, pairs of images, and batches "
        "sorted by class.",
        "You see: the network in evaluation mode ({averages}), and the same network never switched to it: in "
        "shuffled batches of {shown} ({shuffled}), in pairs of images ({pairs}), and in batches sorted by "
        "class ({sorted}). What sets a class apart is then the same in the whole batch, and is taken away "
        "with its mean.",
    ),
}

_CHINESE = {
    "axes": Said(
        "一列手写数字图像，每张旁边是它的五个通道；其中一个通道在所有图像上的部分加了框。",
        "你会看到：一批中的六张图像，以及卷积层由它们算出的结果，每列一个通道。"
        "加框的是通道 {channel}：所有图像、所有位置上的值共用一个均值和一个方差，"
        "这一批 {shown} 张图像共有 {values} 个值。这样的均值有 {means} 个，每个通道一个。",
    ),
    "gamma_and_beta": Said(
        "上下排列的三个直方图：批归一化之前，归一化之后，缩放和平移之后。",
        "你会看到：通道 {channel} 输入时均值为 {before_mean}，标准差为 {before_std}；"
        "批归一化把它们变成 0 和 1；gamma 和 beta 由训练学得，"
        "在这里把标准差变成 {set_gamma}，把均值变成 {set_beta}。直方图的形状不变。",
    ),
    "company": Said(
        "高低不同的点，同一张图像所在的每一批各一个；另有一条水平线。",
        "你会看到：图像相同，权重也相同。训练模式下，输出取决于同批的其他图像，"
        "在 {lowest} 到 {highest} 之间；评估模式下总是 {alone}，与同批的其他图像无关。",
    ),
    "updates": Said(
        "四个测试准确率的横条：执行了更新；忘了更新；忘了更新，改用测试批的统计量；忘了更新，之后重新校准。",
        "你会看到：执行了更新的网络，测试准确率为 {run}；忘了更新的，为 {forgotten}。两者的权重相同："
        "后者改用测试批的统计量做归一化，为 {by_the_batch}；重新校准统计量之后，为 {recalibrated}。",
    ),
    "scatter": Said(
        "批越大，点越低，沿一条直线下降；两轴都是对数坐标。",
        "你会看到：批越大，批均值就越不取决于批里是哪些图像。批大小从 2 增加到 128，"
        "批均值的波动缩小为原来的 1/{whole}；直线按批大小的平方根下降。",
    ),
    "hurts": Said(
        "四个测试准确率的横条：滑动平均，打乱的测试批，每批两张图像的测试批，按类别排序的测试批。",
        "你会看到：评估模式下，网络的测试准确率为 {averages}；同一个网络若忘了切换，"
        "在打乱的、批大小为 {shown} 的测试批上为 {shuffled}，每批两张图像时为 {pairs}，"
        "按类别排序时为 {sorted}。排序时，整批图像都有这一类的特征，它进了批均值，也就随均值一起被减掉了。",
    ),
}

PICTURES: dict[Language, dict[str, Said]] = {"en": _ENGLISH, "zh": _CHINESE}
