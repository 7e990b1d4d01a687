"""The sentences and tables of the chapter on decay's other settings: no number on the page is typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from itertools import zip_longest

import pandas as pd

from bnstudy.analysis.chinese import chinese
from bnstudy.analysis.judged.wording import VERDICTS, Language, in_language
from bnstudy.analysis.own_study import OwnVerdicts, judge_own
from bnstudy.analysis.page import Glued
from bnstudy.analysis.rules import Answer, Finding, Verdict
from bnstudy.analysis.statistics import Amount, Interval, bootstrap_interval
from bnstudy.analysis.tables import NotMeasuredError, Tables, in_percent, paired, seed_means
from bnstudy.analysis.words import LANGUAGES, Html, Markdown, write_effect, write_p
from bnstudy.chapters.base import Chapter
from bnstudy.chapters.decay.rules import PARTS, error_split, statistics_name
from bnstudy.chapters.decay_range import lost
from bnstudy.chapters.decay_range import rules as dr
from bnstudy.chapters.decay_range.study import CENTRE, DecayRangeStudy

Values = dict[str, "pd.Series[float]"]  # by setting, and in each by seed


class DecayRangeChapter(Chapter[DecayRangeStudy]):
    """What the chapter says of a study's tables.

    A setting at which a run diverged, and a contrast of decays that were not run, has no answer; the page
    says why. No verdict of the front page is decided here.
    """

    @cached_property
    def settings(self) -> list[str]:
        """The settings' labels, the centre's first."""
        return list(self.study.settings())

    @cached_property
    def same(self) -> OwnVerdicts:
        """C6's and C7's contrasts at every setting, as a family of questions of their own."""
        return judge_own(dr.same_answer(self.settings), self.sources, self.tables)

    @cached_property
    def causes(self) -> OwnVerdicts:
        """The two causes at every setting, as another family."""
        return judge_own(dr.causes(self.settings), self.sources, self.tables)

    @cached_property
    def fitting(self) -> dict[str, float]:
        """The largest decay that fits into the training, by setting; where there is none, no entry."""
        fitting = {}
        for setting in self.settings:
            try:
                fitting[setting] = dr.fitting_decay(dr.of_setting(self.tables, setting))
            except NotMeasuredError:
                continue
        return fitting

    def answer(self) -> Markdown:
        """Return the two sentences that answer the chapter's question, and what they rest on, in Markdown."""
        said = (
            f"**{self._verdict()}** {self._cause()}",
            self._ranges(),
            "<details><summary>By the first round's rules</summary>",
            self._by_rule(),
            self._lacking(),
            self._setting(),
            "</details>",
        )
        return Markdown("\n\n".join(filter(None, said)))

    def answer_in_chinese(self) -> Html:
        """Return what ``answer`` says, for the Chinese page: the same counts and ranges."""
        others = [setting for setting in self.settings if setting != CENTRE]
        lines, ranges = [], []
        for name, verdict in self.same.verdicts.items():
            at_centre = _by_setting(verdict).get(CENTRE)
            answer = LANGUAGES["zh"].answers[at_centre.answer if at_centre else "not measured yet"]
            said = [dr.agreement(verdict, setting, CENTRE) for setting in others]
            told = "，".join(
                f"{says}的有 {self.cite(said.count(kind))} 种"
                for kind, says in _SAYS_ZH.items()
                if kind in said
            )
            rest = f"；其余 {len(others)} 种设置中，{told}" if others else "，没有其他设置"
            lines.append(f"{name}：中心设置的回答为{answer}{rest}。")
            findings = sorted(verdict.findings, key=lambda f: f.effect.mean)
            if findings:
                rule = findings[0].rule
                ends = "，".join(
                    f"{self.cite(write_effect(f.effect, f.rule.unit, LANGUAGES['zh'].points))}"
                    f"（{chinese(f.rule.part) or f.rule.part}）"
                    for f in dict.fromkeys((findings[0], findings[-1]))
                )
                ranges.append(f"{chinese(rule.quantity)}，{chinese(rule.contrast)}：{ends}。")
        stale, overfits = (
            self.cite([f.answer for f in self.causes.verdicts[name].findings].count("supported"))
            for name in ("staleness", "overfitting")
        )
        cause = (
            f"{len(self.settings)} 种设置中，回看窗口不超过训练长度的最大衰减率使测试准确率下降，"
            f"能够断定原因是统计量滞后的有 {stale} 种，能够断定是过拟合的有 {overfits} 种。"
        )
        listed = "".join(
            f"<li>{line}效应最小与最大的两种设置：{between}</li>" if between else f"<li>{line}</li>"
            for line, between in zip_longest(lines, ranges, fillvalue="")
        )
        return Html(f"<p><strong>按第一轮的规则（探索性）：{cause}</strong></p><ul>{listed}</ul>")

    @cached_property
    def rows(self) -> dict[str, dict[str, str]]:
        """The settings by what they depart in, and there by the value they have."""
        return lost.rows_of(self.study)

    @cached_property
    def lost(self) -> pd.DataFrame:
        """Test accuracy that each decay loses against precise statistics, by setting and seed."""
        return lost.by_setting(self.tables)

    def finding(self, language: Language = "en") -> str:
        """Return what the mildest decay loses at most, and between what a large one's losses lie.

        Of settings without a diverged run; nothing, where there is none.
        """
        shown = lost.ends(self.lost, self._whole)
        if shown is None:
            return ""
        mildest, at, large, between = shown
        most = self._lost_at(mildest, at, language)
        ends = [self._lost_at(large, setting, language) for setting in between]
        return lost.in_words((mildest, most), (large, ends), language)

    def glued(self) -> dict[str, Glued]:
        """Return what other pages quote, with what is to be seen in the first figure for the Chinese page."""
        seen = self.finding("zh")
        said = Html(f"<em>你会看到：</em>{seen}" if seen else "")
        own: dict[str, Glued] = {
            f"{self.study.name}_seen_zh": said,
            f"{self.study.name}_answer_zh": self.answer_in_chinese(),
        }
        return super().glued() | own | self._second_round()

    def _second_round(self) -> dict[str, Glued]:
        """Return the second round's verdicts on the decay chapter's claims, in Chinese."""
        found: dict[str, Glued] = {}
        for claim in ("C6", "C7"):
            judgement = self._judged.get(claim)
            said = VERDICTS[judgement.verdict] if judgement else VERDICTS["not measured yet"]
            found[f"{claim}_second_zh"] = Html(in_language(said, "zh"))
        return found

    def loss_table(self) -> pd.DataFrame:
        """Return the test accuracy lost, in points, by decay, a column a setting: mean [95 % interval]."""
        lines = []
        for decay, of_decay in self.lost.groupby("decay"):
            line: dict[str, str] = {"decay": f"{decay:g}"}
            for setting in self.settings:
                written = in_percent(of_decay[of_decay["setting"] == setting].set_index("seed")["lost"])
                if isinstance(written, Amount):
                    written = Amount.of(written, written.interval, "points")
                line[setting] = written
            lines.append(line)
        return pd.DataFrame(lines, columns=["decay", *self.settings])

    def contrasts(self) -> dict[str, Values]:
        """Return the values behind C6's and C7's contrasts, by claim and setting; those measured alone."""
        return {name: self._values(verdict) for name, verdict in self.same.verdicts.items()}

    def losses(self) -> dict[str, Values]:
        """Return the values behind overfitting and staleness, by question and setting."""
        return {name: self._values(verdict) for name, verdict in self.causes.verdicts.items()}

    @cached_property
    def parts(self) -> pd.DataFrame:
        """The accuracy that each decay loses against precise statistics, in parts: setting, decay, part, …

        Of each run that came to its end, after its last step.
        """
        frames = [
            error_split(last).assign(setting=setting)
            for setting, last in dr.at_the_end(self.tables).groupby("setting", sort=False)
        ]
        columns = ["setting", "seed", "decay", "part", "loss_of_accuracy"]
        return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)

    def contrast_table(self) -> pd.DataFrame:
        """Return C6's and C7's contrast at each setting, their answers, and what they are at the centre."""
        lines = []
        for name, verdict in self.same.verdicts.items():
            values = self._values(verdict)
            findings = _by_setting(verdict)
            for setting in self.settings:
                line = {"contrast of": name, "setting": setting, **_write(findings.get(setting))}
                moved = "–"
                if setting != CENTRE and {setting, CENTRE} <= set(values):
                    moved = _interval(paired(values[setting], values[CENTRE]))
                line["minus the centre's"] = moved
                line["answer"] = findings[setting].answer if setting in findings else "not measured"
                line["as at the centre"] = (
                    "–" if setting == CENTRE else _SAYS[dr.agreement(verdict, setting, CENTRE)]
                )
                lines.append(line)
        return pd.DataFrame(lines)

    def cause_table(self) -> pd.DataFrame:
        """Return what the largest decay that fits loses at each setting, in parts, and by which cause."""
        found = {name: _by_setting(verdict) for name, verdict in self.causes.verdicts.items()}
        lines = []
        for setting in self.settings:
            line = {"setting": setting, "training steps": self._steps(setting)}
            line |= dict.fromkeys(("decay", *_LOSSES), "–")
            if setting in self.fitting:
                decay = self.fitting[setting]
                last = dr.of_setting(self.tables, setting)
                line["decay"] = f"{decay:g}"
                line |= {name: _interval(loss(last, decay)) for name, loss in _LOSSES.items()}
            for name, findings in found.items():
                line[f"{name}?"] = findings[setting].answer if setting in findings else "not measured"
            lines.append(line)
        return pd.DataFrame(lines)

    def table(self) -> pd.DataFrame:
        """Return test accuracy in percent by statistics, a column a setting: mean [95 % interval]."""
        last = dr.at_the_end(self.tables)
        test = last[last["split"] == "test"]
        cells: dict[tuple[str, str], dict[str, str]] = {}
        for setting in self.settings:
            of_setting = test[test["setting"] == setting]
            # Every setting was evaluated in the same ways, in the same order.
            for _, rows in of_setting.groupby(["statistics", "decay", "zero_debias"], dropna=False):
                row = rows.iloc[0]
                decay = "" if pd.isna(row["decay"]) else f"{row['decay']:g}"
                cell = cells.setdefault((statistics_name(row), decay), {})
                cell[setting] = in_percent(rows.set_index("seed")["accuracy"])
            seeds = of_setting["seed"].nunique()
            cells.setdefault(("seeds that came to their end", ""), {})[setting] = (
                f"{seeds} of {self.study.seeds}"
            )
        lines = [
            {"statistics": statistics, "decay": decay}
            | {setting: cell.get(setting, "–") for setting in self.settings}
            for (statistics, decay), cell in cells.items()
        ]
        return pd.DataFrame(lines)

    @cached_property
    def _whole(self) -> list[str]:
        """The settings of which every run came to its end."""
        diverged = self.tables["runs"].groupby("setting")["diverged"].sum()
        return [setting for setting in self.settings if diverged.get(setting, 1) == 0]

    def _lost_at(self, decay: float, setting: str, language: Language) -> str:
        """Return what a decay loses at a setting, and which: a link, with the setting in brackets."""
        lost = self._lost(decay, setting, in_language(("points", "个百分点"), language))
        return in_language((f"{lost} ({setting})", f"{lost}（{chinese(setting) or setting}）"), language)

    def _lost(self, decay: float, setting: str, points: str) -> str:
        def measure(tables: Tables) -> pd.Series[float]:
            return seed_means(dr.lost(dr.of_setting(tables, setting), decay))

        cited = self.measured(
            measure,
            formula=(
                f"test accuracy lost by decay {decay:g}, {setting}",
                f"衰减率 {decay:g} 时测试准确率的降幅，{chinese(setting) or setting}",
            ),
            contrast=f"precise statistics minus decay {decay:g}",
            points=points,
        )
        # What is called a loss needs no sign, unless it is none.
        return replace(cited, text=cited.text.replace("+", "")).html()

    def _verdict(self) -> str:
        """Return at how many settings beside the centre each contrast is known to have its answer."""
        others = [setting for setting in self.settings if setting != CENTRE]
        if not others:
            return "There is no setting but the centre."
        same = {
            name: [dr.agreement(verdict, setting, CENTRE) for setting in others].count("same")
            for name, verdict in self.same.verdicts.items()
        }
        known = (f"at {self.cite(count)} for {name}" for name, count in same.items())
        return (
            f"Of {len(others)} other settings, the centre's answer by the first round's rules, which are "
            f"exploratory, is known to hold {' and '.join(known)}."
        )

    def _by_rule(self) -> str:
        """Return each contrast's answers and each cause's, by setting, as a list in Markdown."""
        causes = {
            "accuracy lost to stale statistics": "staleness",
            "accuracy lost to overfitting, which widens the gap between training and test accuracy": (
                "overfitting"
            ),
        }
        lines = [f"{self._agreement(name)}." for name in self.same.verdicts]
        lines += [f"{said}: {self._told(name)}." for said, name in causes.items()]
        return "\n".join(f"- {line[0].upper()}{line[1:]}" for line in lines)

    def _agreement(self, claim: str) -> str:
        """Return at how many of the other settings a contrast has the centre's answer."""
        verdict = self.same.verdicts[claim]
        at_centre = _by_setting(verdict).get(CENTRE)
        text = f"{claim}'s contrast is {at_centre.answer if at_centre else 'not measured'} at the centre"
        others = [setting for setting in self.settings if setting != CENTRE]
        if not others:
            return f"{text}, and there is no other setting"
        said = [dr.agreement(verdict, setting, CENTRE) for setting in others]
        told = ", ".join(
            f"{says} at {self.cite(said.count(kind))}" for kind, says in _SAYS.items() if kind in said
        )
        return f"{text} and, of {len(others)} other settings, {told}"

    def _cause(self) -> str:
        """Return at how many settings a large decay overfits, and at how many its statistics are stale."""
        stale, overfits = (
            self.cite([f.answer for f in self.causes.verdicts[name].findings].count("supported"))
            for name in ("staleness", "overfitting")
        )
        return (
            f"Of {len(self.settings)} settings, the largest decay that fits the training is shown to lose "
            f"test accuracy to stale statistics at {stale} and to overfitting at {overfits}."
        )

    def _told(self, cause: str) -> str:
        """Return at how many settings a cause is answered with yes, no, open or not at all."""
        answers = [f.answer for f in self.causes.verdicts[cause].findings]
        answers += ["not measured yet"] * (len(self.settings) - len(answers))
        return ", ".join(
            f"{says} at {self.cite(answers.count(answer))}"
            for answer, says in _YES_OR_NO.items()
            if answer in answers
        )

    def _ranges(self) -> str:
        """Return between which settings' effects each contrast lies, as a list in Markdown, if any do."""
        lines = []
        for claim, verdict in self.same.verdicts.items():
            findings = sorted(verdict.findings, key=lambda f: f.effect.mean)
            if not findings:
                continue
            contrast = findings[0].rule
            ends = " to ".join(
                f"{self.cite(write_effect(f.effect, f.rule.unit))} ({f.rule.part})"
                for f in dict.fromkeys((findings[0], findings[-1]))
            )
            lines.append(f"- {claim}: {contrast.quantity}, {contrast.contrast}: {ends}.")
        return "\n".join(["From the smallest effect to the largest:", "", *lines]) if lines else ""

    def _lacking(self) -> str:
        """Return what could not be measured, and why, as a list in Markdown; empty if all was."""
        reasons = {**self.same.lacking, **self.causes.lacking}
        return OwnVerdicts({}, reasons, {}).sentences()

    def _values(self, verdict: Verdict) -> Values:
        return {f.rule.part: f.rule.measure(self.tables) for f in verdict.findings}

    def _steps(self, setting: str) -> str:
        last = dr.at_the_end(self.tables)
        steps = last[last["setting"] == setting]["step"]
        return f"{steps.max():,}" if len(steps) else "–"

    def _setting(self) -> str:
        return (
            f"Measured {self.setting()}. The centre is "
            f"a learning rate of {self.study.learning_rate:g} and a batch size of {self.study.batch_size}; "
            "each other setting departs from it in one of the two."
        )


_LOSSES: dict[str, Callable[[pd.DataFrame, float], pd.Series[float]]] = {
    "lost on test images": dr.lost,
    "lost on training images": partial(dr.lost, split="train"),
    **{part: partial(dr.lost_to, part) for part in PARTS},
}

_SAYS: dict[dr.Agreement, str] = {
    "same": "the same",
    "another": "another",
    "open": "undecided",
    "not measured": "not measured",
}

_SAYS_ZH: dict[dr.Agreement, str] = {
    "same": "与它相同",
    "another": "与它不同",
    "open": "无法断定是否相同",
    "not measured": "没有测量",
}

_YES_OR_NO: dict[Answer, str] = {
    "supported": "yes",
    "refuted": "no",
    "open": "open",
    "not measured yet": "not measured",
}


def _by_setting(verdict: Verdict) -> dict[str, Finding]:
    return {finding.rule.part: finding for finding in verdict.findings}


def _write(finding: Finding | None) -> dict[str, str]:
    return {
        "effect [95 %]": _points(finding.effect) if finding else "–",
        "p against the bound, after Holm": write_p(finding.p) if finding else "–",
    }


def _interval(values: pd.Series[float]) -> str:
    return _points(bootstrap_interval(values))


def _points(interval: Interval) -> str:
    """Write an effect in percentage points, which the page names once for all cells of a table."""
    return interval.percent(signed=True).replace(" percentage points", "")
