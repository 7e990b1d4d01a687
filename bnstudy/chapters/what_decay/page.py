"""The page "What decay should I use?": the calculator, the same answers as tables, and what was recorded."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from html import escape

import pandas as pd

from bnstudy.analysis import moving_average as ma
from bnstudy.analysis.statistics import Interval
from bnstudy.analysis.words import Html, Markdown, Sources
from bnstudy.chapters.what_decay.losses import Loss, Setting, recorded_losses
from bnstudy.chapters.what_decay.words import WORDS, Words

PAGE = "what_decay"

# The defaults of tf.contrib.layers.batch_norm and, as a decay, of torch.nn.BatchNorm2d.
TENSORFLOW, PYTORCH = 0.999, 0.9

DECAYS = (0.0, 0.5, 0.9, 0.97, 0.99, 0.997, 0.999, 0.9999)
STEPS = (200, 1000, 5000, 20_000)


class WhatDecay:
    """What the page says, from the records in a folder.

    Raises:
        NotRecordedError: a run that it reads is not recorded.
    """

    def __init__(self, data_dir: str | os.PathLike[str] = "", language: str = "en") -> None:
        self.language = language
        self.words: Words = WORDS[language]
        self.losses, runs = recorded_losses(data_dir)
        self.sources = Sources(PAGE, sorted(set(runs)))

    def answer(self) -> Markdown | Html:
        """Return the answer in three sentences, with what the two frameworks' defaults lost.

        In Chinese it is HTML: another page quotes it, and there Markdown would be shown as it is written.
        """
        ends = _ends(self.losses)
        ranges = {
            name: _range([loss.plain.mean for loss in ends if loss.decay == decay])
            for name, decay in (("torch", PYTORCH), ("tf", TENSORFLOW))
        }
        said = self.words.answer.format(
            trainings=self.sources.cite(str(len({loss.setting for loss in ends}))),
            pytorch=f"{PYTORCH:g}",
            tensorflow=f"{TENSORFLOW:g}",
            lost_pytorch=self.sources.cite(ranges["torch"]),
            lost_tensorflow=self.sources.cite(ranges["tf"]),
        )
        if self.language == "en":
            return Markdown(said)
        return Html(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", said))

    def calculator(self, name: str = "decay-calculator") -> Html:
        """Return the calculator as one piece of HTML; ``name`` is its id, and begins the ids within.

        It is hidden until ``what_decay.js`` shows it: without script, the page's tables are the answers.
        """
        words = self.words
        start = _start(self.losses)
        data = {"losses": [loss.as_dict() for loss in self.losses], "words": words.script}

        def field(key: str, value: str, mode: str) -> str:
            return (
                f'<label for="{name}-{key}">{escape(words.inputs[key])}</label>'
                f'<input id="{name}-{key}" name="{key}" inputmode="{mode}" autocomplete="off" '
                f'value="{value}" aria-describedby="{name}-error">'
            )

        schedules = "".join(
            f'<label><input type="radio" name="schedule" value="{key}"'
            f"{' checked' if key == start.setting.schedule else ''}> {escape(said)}</label>"
            for key, said in words.schedules.items()
        )
        answers = "".join(
            f'<div><dt>{escape(said)}</dt><dd data-answer="{key}"></dd></div>'
            for key, said in words.outputs.items()
        )
        head = "".join(f'<th scope="col">{escape(said)}</th>' for said in words.columns)
        # "</" must not end the element that holds it.
        embedded = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
        return Html(
            f'<div class="decay-calculator" id="{name}" data-needs="moving_average what_decay" hidden><form>'
            f'<div class="fields"><p>{field("steps", str(start.setting.steps), "numeric")}</p>'
            f"<p>{field('batch', str(start.setting.batch_size), 'numeric')}</p>"
            f"<p>{field('decay', f'{start.decay:g}', 'decimal')}</p>"
            f"<p>{field('momentum', f'{1 - start.decay:.12g}', 'decimal')}</p></div>"
            f'<p><label for="{name}-slide">{escape(words.inputs["slide"])}</label>'
            f'<input type="range" id="{name}-slide" name="slide" min="0" max="100" step="1"></p>'
            f"<fieldset><legend>{escape(words.inputs['schedule'])}</legend>{schedules}</fieldset></form>"
            f'<p class="refused" id="{name}-error" role="alert"></p>'
            f'<div class="found"><dl>{answers}</dl><p class="forgets"></p>'
            f'<p class="nearest" aria-live="polite"></p><p class="apart"></p>'
            f'<div class="table" tabindex="0" role="group" aria-label="{escape(words.table)}">'
            f"<table><caption>{escape(words.table)}</caption><thead><tr>{head}</tr></thead>"
            f'<tbody></tbody></table></div><p><a class="keeps" href="#">{escape(words.link)}</a></p></div>'
            f'<script type="application/json">{embedded}</script></div>'
        )

    def answers(self) -> pd.DataFrame:
        """Return the formulas' values for some decays and lengths of training."""
        words = self.words
        rows = []
        for decay in DECAYS:
            row = {
                words.columns[0]: f"{decay:g}",
                words.columns[1]: f"{1 - decay:.12g}",
                words.outputs["half"]: words.steps.format(n=_plain(ma.half_life(decay))),
            }
            for steps in STEPS:
                left = 100 * ma.initial_weight(decay, steps)
                said = words.below if left < 0.01 else f"{left:.3g} %"
                row[words.left_after.format(n=f"{steps:,}")] = said
            rows.append(row)
        return pd.DataFrame(rows)

    def recorded(self) -> pd.DataFrame:
        """Return what each decay lost at the end of each recorded training: a row a training."""
        rows: dict[Setting, dict[str, str]] = {}
        for loss in _ends(self.losses):
            setting = loss.setting
            row = rows.setdefault(setting, {self.words.training: self._name(setting)})
            row[f"{loss.decay:g}"] = loss.plain.percent().replace(" %", "")
        # What one study alone has, the chapter on decay shows as a curve.
        studies: dict[float, set[str]] = {}
        for loss in self.losses:
            studies.setdefault(loss.decay, set()).add(loss.setting.study)
        decays = sorted(decay for decay, found in studies.items() if len(found) > 1)
        table = pd.DataFrame(list(rows.values()))
        return table[[self.words.training, *(f"{decay:g}" for decay in decays)]].fillna("–")

    def records(self) -> Markdown:
        """Return how many records are behind the page, and the chapters that list them."""
        pages = dict.fromkeys(loss.setting.page for loss in self.losses)
        links = ", ".join(f'<a href="{page}.html#records">{page.replace("_", " ")}</a>' for page in pages)
        return Markdown(self.words.records.format(count=len(self.sources.runs), pages=links))

    def _name(self, setting: Setting) -> str:
        return self.words.setting.format(
            batch=setting.batch_size,
            steps=f"{setting.steps:,}",
            schedule=self.words.schedules[setting.schedule],
            rate=f"{setting.learning_rate:g}",
        )


def _start(losses: Sequence[Loss]) -> Loss:
    """Return what the calculator opens with: the decay chapter's last step with TensorFlow's default."""
    there = [loss for loss in losses if loss.setting.schedule == "constant" and loss.setting.study == "decay"]
    last = max(loss.setting.steps for loss in there)
    return min(
        (loss for loss in there if loss.setting.steps == last), key=lambda loss: abs(loss.decay - TENSORFLOW)
    )


def _ends(losses: Sequence[Loss]) -> list[Loss]:
    """Return those after the last step of their training."""

    def training(setting: Setting) -> Setting:
        return replace(setting, steps=0)

    last: dict[Setting, int] = {}
    for loss in losses:
        key = training(loss.setting)
        last[key] = max(last.get(key, 0), loss.setting.steps)
    return [loss for loss in losses if loss.setting.steps == last[training(loss.setting)]]


def _range(means: Sequence[float]) -> str:
    low, high = (
        Interval(value, value, value, 1).percent().split(" %")[0] for value in (min(means), max(means))
    )
    return f"{low} – {high}" if low != high else low


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
