"""The front page: what was found of each claim, how sure, and what to do, from records of both rounds."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Final, NamedTuple

from bnstudy.analysis import rules
from bnstudy.analysis.cards import ICONS, Card, Chip, Look, bars_html, cards_html, marked
from bnstudy.analysis.judged.parts import Words
from bnstudy.analysis.judged.verdicts import Answer, Judgement, Verdict
from bnstudy.analysis.judged.wording import (
    ANSWERS,
    VERDICTS,
    Language,
    in_language,
)
from bnstudy.analysis.saying import Headline, Writer
from bnstudy.analysis.tables import NotMeasuredError
from bnstudy.analysis.words import (
    LANGUAGES,
    Html,
    Sources,
    behind_finding,
    sources_of,
    write_claim,
    write_effect,
    write_label,
)
from bnstudy.chapters import front_scope, headlines
from bnstudy.chapters.claims import CLAIMS, recorded
from bnstudy.chapters.front_hero import BASIS, DOUBTED, OF_ANSWER, Bars, part_name
from bnstudy.chapters.judged import words
from bnstudy.chapters.kept import frames_of
from bnstudy.chapters.second_round import judgements, leading_doubts, writer_of
from bnstudy.chapters.trained import around, in_short
from bnstudy.records.spec import SpecError
from bnstudy.study.frames import Frames

_OF_VERDICT: Final[dict[Verdict, Look]] = {
    "supported": "holds",
    "partly": "partly",
    "refuted": "fails",
    "open": "open",
    "not measured yet": "missing",
}
_GROUPS: Final[dict[Look, tuple[str, str]]] = {
    "holds": ("Holds", "成立"),
    "partly": ("Holds in part", "部分成立"),
    "fails": ("Does not hold", "不成立"),
    "open": ("Left open", "未定"),
    "missing": ("Explored, not judged yet", "已有探索性结果，尚未判定"),
}


class Told(NamedTuple):
    """What the tutorial says, in a few words, and which parts of its claim ask that; none: all of them."""

    said: tuple[str, str]
    parts: tuple[str, ...] = ()


# What everybody who uses batch norm decides: the flag, the decay, the schedule, the updates, the rate, and
# what regularises beside it.
MOST_MET: Final[dict[str, tuple[Told, ...]]] = {
    "C10": (Told(("it must be False at test time", "测试时必须设为 False")),),
    "C7": (
        Told(("too small a decay hurts", "衰减率太小会有损失"), ("too small a decay costs accuracy",)),
        Told(
            ("too large a one overfits", "太大则容易过拟合"),
            ("what too large a decay loses is overfitting", "training images don't lose it"),
        ),
    ),
    "C6": (Told(("moving averages give better results", "滑动平均的效果更好")),),
    "C11": (Told(("None is a little slower", "设为 None 稍慢"), ("None is slower",)),),
    "C1": (Told(("internal covariate shift makes gradients explode", "梯度爆炸源于内部协变量偏移")),),
    "C5": (Told(("it can replace L2 and dropout", "可以取代正则化和 dropout")),),
}


class Front:
    """The front page's parts in one language.

    Raises:
        PreregistrationError: a record was not made for the frozen rules, and no chapter names it.
        RecordError: a record is damaged.
    """

    def __init__(self, language: Language = "en", data_dir: str | os.PathLike[str] = "") -> None:
        self.language = language
        self.data_dir = data_dir
        self.judged = judgements(data_dir)
        self.first = rules.judge(CLAIMS, recorded(data_dir=data_dir))

    def scope(self) -> Html:
        """Return the network, the data, the seeds, the epochs and the accuracy reached, in one line."""
        frames = self._frames("decay")
        if frames is None:
            return Html("")
        parts = (
            self._say(
                "The tutorial's network of five convolutions on CIFAR-10.",
                "教程中的五层卷积网络，数据为 CIFAR-10。",
            ),
            front_scope.judged(self.data_dir, self.language),
            front_scope.explored(frames, Writer(Sources("decay", frames.runs), self.language)),
        )
        said = ("" if self.language == "zh" else " ").join(parts)
        return Html(f'<p class="scope">{said}</p>')

    def todo(self) -> Html:
        """Return what to do, a line a claim that most models meet, with why, and how sure that is."""
        cards = {card.claim: card for card in self._every}
        lines = "".join(self._line(cards[claim]) for claim in MOST_MET if claim in cards)
        told = self._say(
            "In bold: what to do. At the end of a line: what the tutorial says, and the verdict on that.",
            "粗体是我们的建议；每条末尾是教程的说法（转述），以及对它的判定。",
        )
        worse = self._say(
            "<strong>Worse in <code>eval()</code> than in <code>train()</code>? Compute mean and variance anew over "
            'training images.</strong> If that isn\'t it: <a href="is_it_batch_norm.html">Is it batch norm?</a>',
            "<strong>一到 <code>eval()</code> 就比 <code>train()</code> 差？先用训练图像重新计算均值和方差。</strong>如果还是不行，见"
            '<a href="is_it_batch_norm.html">是批归一化的问题吗？</a>（英文）',
        )
        listed = f'<ul class="todo">{lines}<li class="todo-door">{worse}</li></ul>'
        return Html(f'<p class="todo-told">{told}</p>{listed}' if lines else "")

    def _line(self, card: Card) -> str:
        if not card.advice:
            return ""
        chapter = next(claim.chapter for claim in CLAIMS if claim.id == card.claim)
        why = in_short(chapter, card.claim, self.language, self.data_dir)
        return (
            f"<li><strong>{card.advice}</strong> {why} "
            f'<a class="todo-claim" href="#card-{card.claim.lower()}">{card.claim}{self._say(", ", "：")}'
            f"{self._say('; ', '；').join(self._told(card, told) for told in MOST_MET[card.claim])}</a></li>"
        )

    def _told(self, card: Card, told: Told) -> str:
        look, verdict = card.look, card.verdict
        judgement = self._judgement(card.claim)
        if judgement and told.parts:
            answers = {f.answer for f in judgement.findings if f.part.name in told.parts}
            if len(answers) == 1:
                (answer,) = answers
                look, verdict = OF_ANSWER[answer], in_language(ANSWERS[answer], self.language)
        said = in_language(told.said, self.language)
        return (
            f"{self._say('“', '')}{said}{self._say('”: ', '：')}"
            f'<span class="verdict {look}"><span aria-hidden="true">{ICONS[look]}</span> {verdict}</span>'
        )

    def hero(self) -> Html:
        """Return all claims and parts: each interval against its bound."""
        bars = Bars(self.judged, self.first, self.language, self.data_dir).all()
        told = self._say(
            "All parts of all claims: what was measured (with and without: batch norm) as a dot and its "
            "interval, against what had to be shown, the line in the middle. Compare a bar with the line, "
            "not with other bars: the scale is compressed. Rules were frozen before the runs; intervals are "
            "wide enough for all judged quantities together. No dot: a test of the code settles it.",
            "全部论断的各个部分：圆点和横线是所测的量及其置信区间（“有”“无”指有无批归一化，BN 即批归一化），"
            "中线是判定界限；“要求”是教程的说法若成立，这个量应满足的条件。"
            "横轴经过压缩，各区间只宜与中线比较，不宜互相比较。规则在运行前已冻结；置信水平取得更高，"
            "使全部受判定的量能同时成立，所以比各章的 95% 置信区间宽。没有圆点：由代码测试判定。",
        )
        if any(bar.part.endswith(DOUBTED) for bar in bars):
            told += self._say(
                f" {DOUBTED}: found since to rest on little; the claim's card says on what.",
                f"{DOUBTED}：判定之后发现依据单薄，见该论断的卡片。",
            )
        if any(bar.explored for bar in bars):
            told += self._say(
                " Hollow: first round, exploratory, against bounds since corrected, and so no answer.",
                "空心：第一轮的探索，其界限后来已修正，因此不算结论。",
            )
        ends = self._say_both(("the tutorial is wrong", "the tutorial is right"), ("教程不对", "教程说得对"))
        return Html(bars_html(bars, ends, told))

    def cards(self) -> Html:
        """Return a card a claim, grouped by what was found."""
        groups = [
            (in_language(title, self.language), [card for card in self._every if card.look == look])
            for look, title in _GROUPS.items()
        ]
        return Html(cards_html(groups, self._say("Do this:", "怎么做：")))

    def changed(self) -> Html:
        """Return which verdicts the second round changed; nothing before it judged any."""
        changes = [
            f"{claim.id}{self._say(': ', '：')}"
            f"{LANGUAGES[self.language].answers[self.first[claim.id].answer]} → "
            f"{in_language(VERDICTS[judgement.verdict], self.language)}"
            for claim in CLAIMS
            if (judgement := self._judgement(claim.id))
            and self.first[claim.id].answer not in (judgement.verdict, "not measured yet")
        ]
        if not changes:
            return Html("")
        told = self._say(
            "What the second round changed, from the first: ", "第二轮改变的结论（第一轮 → 第二轮）："
        )
        return Html(
            f'<p class="changed">{told}{self._say("; ", "；").join(changes)}{self._say(".", "。")}</p>'
        )

    def both(self) -> Html:
        """Return both rounds' verdicts, a row a claim."""
        words = LANGUAGES[self.language]
        heads = ("", words.claim, *self._say_both(("first round", "second round"), ("第一轮", "第二轮")))
        rows = [
            (
                f'<a href="{claim.chapter}.html">{claim.id}</a>',
                marked(write_claim(claim, self.language)),
                words.answers[self.first[claim.id].answer],
                in_language(VERDICTS[self._second(claim.id)], self.language),
            )
            for claim in CLAIMS
        ]
        head = "".join(f"<th>{title}</th>" for title in heads)
        body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
        return Html(
            f'<div class="both-rounds"><table class="table"><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )

    @cached_property
    def _every(self) -> list[Card]:
        return [self._card(claim) for claim in CLAIMS]

    def _card(self, claim: rules.Claim) -> Card:
        judgement = self._judgement(claim.id)
        said = write_claim(claim, self.language)
        href = f"{claim.chapter}.html"
        if judgement is None:
            headline = self._explored(claim)
            return Card(
                claim.id, said, href, "missing", in_language(VERDICTS["not measured yet"], self.language),
                self._basis("first"), headline.found, headline.advice, self._chips(self.judged.get(claim.id)),
            )  # fmt: skip
        headline = self._confirmed(claim, judgement)
        return Card(
            claim.id, said, href, _OF_VERDICT[judgement.verdict],
            in_language(VERDICTS[judgement.verdict], self.language),
            self._basis("second" if judgement.findings else "test"),
            headline.found, headline.advice, self._chips(judgement),
        )  # fmt: skip

    def _second(self, claim: str) -> Verdict:
        found = self.judged.get(claim)
        return found.verdict if found else "not measured yet"

    def _judgement(self, claim: str) -> Judgement | None:
        found = self.judged.get(claim)
        return None if found is None or found.verdict == "not measured yet" else found

    def _explored(self, claim: rules.Claim) -> Headline:
        missing = self._by_rule(claim)
        said = headlines.of(claim.chapter)
        frames = self._frames(claim.chapter) if said else None
        if said is None or frames is None:
            return missing
        try:
            found = said.explored(frames, Writer(Sources(claim.chapter, frames.runs), self.language))
        except NotMeasuredError:
            return missing
        if claim.id not in found:
            return missing
        return Headline(found[claim.id], headlines.advice(said, claim.id, "", self.language))

    def _by_rule(self, claim: rules.Claim) -> Headline:
        finding = self.first[claim.id].decisive()
        if finding is None:
            return Headline(LANGUAGES[self.language].answers["not measured yet"], "")
        sources = sources_of(finding, recorded(data_dir=self.data_dir)[finding.rule.study].runs)
        words = LANGUAGES[self.language]
        effect = write_effect(finding.effect, finding.rule.unit, words.points, words.times)
        label = write_label(finding.rule, self.language)
        cited = sources.cite(effect, behind_finding(finding))
        return Headline(f"{label}: {cited}", "")

    def _confirmed(self, claim: rules.Claim, judgement: Judgement) -> Headline:
        said = headlines.of(claim.chapter)
        if said is None:
            return Headline(in_language(VERDICTS[judgement.verdict], self.language), "")
        if not judgement.findings:
            return Headline(
                self._verified(judgement, words()[claim.id]),
                headlines.advice(said, claim.id, judgement.verdict, self.language),
            )
        writer = writer_of(judgement, claim.chapter, self.language, self.data_dir)
        besides = around(claim.chapter, claim.id, self.language, self.data_dir)
        doubts = leading_doubts(claim.id, writer, self.data_dir)
        return headlines.confirmed(said, judgement, writer, *besides, doubts)

    def _verified(self, judgement: Judgement, said: Words) -> str:
        space = "" if self.language == "zh" else " "
        return space.join(in_language(said.parts[v.name], self.language) for v in judgement.claim.verified)

    def _chips(self, judgement: Judgement | None) -> tuple[Chip, ...]:
        if judgement is None:  # a claim without rules of the second round
            return ()
        claim = judgement.claim
        parts: list[tuple[str, Answer | None]] = [
            (f.part.name, None if f.estimate.missing else f.answer) for f in judgement.findings
        ]
        parts += [(v.name, "holds" if v.holds else "doesn't hold") for v in claim.verified]
        return tuple(
            Chip(
                OF_ANSWER[answer] if answer else "missing",
                in_language(ANSWERS[answer] if answer else VERDICTS["not measured yet"], self.language),
                part_name(claim.id, name, self.language),
            )
            for name, answer in parts
        )

    def _frames(self, study: str) -> Frames | None:
        if study not in self._loaded:
            try:
                self._loaded[study] = frames_of(study, self.data_dir)
            except (SpecError, LookupError):
                self._loaded[study] = None
        return self._loaded[study]

    @cached_property
    def _loaded(self) -> dict[str, Frames | None]:
        return {}

    def _basis(self, kind: str) -> str:
        return in_language(BASIS[kind], self.language)

    def _say(self, en: str, zh: str) -> str:
        return zh if self.language == "zh" else en

    def _say_both(self, en: tuple[str, str], zh: tuple[str, str]) -> tuple[str, str]:
        return zh if self.language == "zh" else en
