"""What is to be seen in each picture of the page; ``{name}`` is where a number goes."""

from __future__ import annotations

from typing import NamedTuple


class Said(NamedTuple):
    """What a picture shows, for those who don't see it, and its caption."""

    text: str
    seen: str


PICTURES = {
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
