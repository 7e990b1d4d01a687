"""The pictures with their captions as pieces of the page, and the numbers that captions and answers quote."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from html import escape

from matplotlib import pyplot as plt

from bnstudy.analysis.judged.wording import Language
from bnstudy.analysis.slider import inline_svg
from bnstudy.analysis.words import Html, Markdown
from bnstudy.chapters.moving_picture import page as moving_picture
from bnstudy.chapters.ten_minutes import pictures
from bnstudy.chapters.ten_minutes.lesson import CHANNEL, SHOWN, Lesson
from bnstudy.chapters.ten_minutes.words import PICTURES

GAMMA, BETA = 2.0, 1.0

DRAWN = {
    "axes": pictures.axes,
    "gamma_and_beta": lambda lesson: pictures.gamma_and_beta(lesson, GAMMA, BETA),
    "company": pictures.company,
    "updates": pictures.updates,
    "scatter": pictures.scatter,
    "hurts": pictures.hurts,
}


class TenMinutes:
    """What the page shows and says."""

    def __init__(self) -> None:
        self.lesson = Lesson()

    @cached_property
    def numbers(self) -> Mapping[str, str]:
        """Every number that the page quotes, by name, as it is written."""
        lesson = self.lesson
        before = lesson.given[:, CHANNEL]
        gamma, beta, off = lesson.undoing
        among, alone = lesson.company
        scatter = lesson.scatter
        accuracies = {**lesson.update_accuracies, **lesson.hurts}
        share = {name: f"{100 * accuracy:.0f} %" for name, accuracy in accuracies.items()}
        return {
            "channel": str(CHANNEL + 1),
            "shown": str(SHOWN),
            "shape": " × ".join(map(str, lesson.axes.shape)),
            "means": f"{lesson.axes.means:,}",
            "values": f"{lesson.axes.values:,}",
            "dense_shape": " × ".join(map(str, lesson.dense_axes.shape)),
            "dense_means": f"{lesson.dense_axes.means:,}",
            "dense_values": f"{lesson.dense_axes.values:,}",
            "before_mean": f"{float(before.mean()):.2f}",
            "before_std": f"{float(before.std(correction=0)):.2f}",
            "set_gamma": f"{GAMMA:g}",
            "set_beta": f"{BETA:g}",
            "gamma": f"{gamma:.3f}",
            "beta": f"{beta:.3f}",
            "undone": f"{off:.0e}",
            "unmoved": f"{lesson.unmoved:.0e}",
            "lowest": f"{min(among):.1f}",
            "highest": f"{max(among):.1f}",
            "alone": f"{alone:.1f}",
            "of_three": f"{lesson.of_one_value[0]:g}",
            "of_thousand": f"{lesson.of_one_value[1]:g}",
            "torch_decay": f"{lesson.torch_decay:g}",
            "started": f"{100 * lesson.started:.1f} %",
            "run": share["updates run"],
            "forgotten": share["updates forgotten"],
            "by_the_batch": share["forgotten, but by the test batch"],
            "recalibrated": share["forgotten, recalibrated"],
            "weights_apart": f"{lesson.weights_apart:g}",
            "quarter": f"{scatter[8] / scatter[32]:.2f}",
            "whole": f"{scatter[2] / scatter[128]:.1f}",
            "averages": share["moving averages"],
            "pairs": share["batches of 2"],
            "sorted": share[f"batches of {SHOWN}, sorted by class"],
            "shuffled": share[f"batches of {SHOWN}"],
        }

    def picture(self, name: str, language: Language = "en") -> Html:
        """Return one of ``DRAWN`` with its caption. Its labels are put into Chinese where they are shown.

        Raises:
            ValueError: there is no such picture.
        """
        if name not in DRAWN:
            raise ValueError(f"name is {name!r}; allowed: {', '.join(map(repr, DRAWN))}")
        figure = DRAWN[name](self.lesson)
        anchor = f"picture-{name.replace('_', '-')}"
        said = PICTURES[language][name]
        drawing = inline_svg(figure, anchor, said.text)
        plt.close(figure)
        seen = escape(said.seen.format(**self.numbers))
        return Html(
            f'<figure class="picture" id="{anchor}" data-needs="ten_minutes">'
            f'<div class="drawn">{drawing}</div><figcaption>{seen}</figcaption></figure>'
        )

    def chinese(self, report: str) -> dict[str, Html | Markdown]:
        """Return what the Chinese page quotes beside the numbers, by name.

        ``report``: the doctor's on the network whose updates were forgotten, as HTML. It is in English there,
        and marked as such.
        """
        shown: dict[str, Html | Markdown] = {name: self.picture(name, "zh") for name in DRAWN}
        shown["moving"] = self.moving("zh")
        shown["made"] = moving_picture.made("zh")
        shown["report"] = Html(f'<div lang="en">{report}</div>')
        return {f"ten_minutes_{name}_zh": piece for name, piece in shown.items()}

    def moving(self, language: Language = "en") -> Html:
        """Return the moving picture with its caption."""
        seen = escape(moving_picture.seen(language))
        drawing = moving_picture.figure(language=language)
        return Html(f'<figure class="picture">{drawing}<figcaption>{seen}</figcaption></figure>')
