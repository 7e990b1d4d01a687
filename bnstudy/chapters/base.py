"""What all chapters say alike of a study's tables."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from statistics import mode
from typing import Any, Generic, TypeVar

import pandas as pd

from bnstudy.analysis import page
from bnstudy.analysis.behind import Behind
from bnstudy.analysis.judged.verdicts import Judgement
from bnstudy.analysis.judged.wording import Language, in_language
from bnstudy.analysis.own_study import judge_own
from bnstudy.analysis.rules import Claim, Finding, Measured, Unit, Verdict
from bnstudy.analysis.saying import Writer
from bnstudy.analysis.slider import Frame, slider
from bnstudy.analysis.statistics import Amount, mean_interval
from bnstudy.analysis.tables import NotMeasuredError, Tables
from bnstudy.analysis.trail import follow
from bnstudy.analysis.words import Cited, Html, Markdown, Sources, write_amount, write_effect
from bnstudy.chapters import headlines
from bnstudy.chapters.asking import Asked
from bnstudy.chapters.claims import CLAIMS
from bnstudy.chapters.found import parts, plan_of
from bnstudy.chapters.kept import stale_of
from bnstudy.chapters.second_round import (
    behind,
    judgements,
    leading_doubts,
    machines_behind,
    writer_of,
)
from bnstudy.chapters.trained import around, described
from bnstudy.study.estimate import in_words, seconds
from bnstudy.study.frames import Frames
from bnstudy.study.plan import Study

AStudy = TypeVar("AStudy", bound=Study)


class Chapter(Generic[AStudy]):
    """What a chapter says of a study's tables.

    ``runs`` are the records behind the tables. ``others`` are the other recorded studies: a claim may rest on
    several, and all count in Holm's correction. ``asked``: what was answered from snapshots.
    """

    asked: Asked | None = None

    def __init__(
        self,
        tables: Tables,
        study: AStudy,
        runs: list[str],
        others: Mapping[str, Tables | Measured] | None = None,
    ) -> None:
        self.tables = tables
        self.study = study
        self.sources = Sources(study.name, runs)
        self.own = judge_own(self.claims(), self.sources, tables, others, incomplete=self.incomplete())
        self.verdicts: dict[str, Verdict] = self.own.verdicts

    def lead(self, language: Language = "en") -> Html:
        """Return what was found of each of the chapter's claims, in one sentence, and what to do.

        Of a claim that the second round has judged the sentence is that round's, where the study is as
        planned.
        """
        said = headlines.of(self.study.name)
        own = [
            verdict.claim for verdict in self.verdicts.values() if verdict.claim.chapter == self.study.name
        ]
        if said is None or not own:
            return Html("")
        judged = self._judged
        try:
            explored = said.explored(self.tables, Writer(self.sources, language))
        except (NotMeasuredError, KeyError):  # a parameter left an arm out
            explored = {}
        lines = []
        do = in_language(("Do this:", "怎么做："), language)
        for claim in own:
            found, advice = explored.get(claim.id, ""), headlines.advice(said, claim.id, "", language)
            if (judgement := judged.get(claim.id)) and judgement.findings:
                writer = writer_of(judgement, self.study.name, language)
                besides = around(self.study.name, claim.id, language, self._frames().root)
                doubts = leading_doubts(claim.id, writer)
                headline = headlines.confirmed(said, judgement, writer, *besides, doubts)
                found, advice = headline.found, headline.advice
            if found:
                lines.append(
                    f'<p class="lead-claim"><strong>{claim.id}.</strong> {found} '
                    f'<strong class="do">{do} {advice}</strong></p>'
                )
        return Html("".join(lines))

    def trained(self, language: Language = "en") -> Html:
        """Return what the second round's trainings show of the chapter's subject, beside its verdicts.

        Nothing, where the study isn't as planned: then its own runs are what the page is about.
        """
        if not self._as_planned:
            return Html("")
        return described(self.study.name, language, self._frames().root)

    @property
    def _as_planned(self) -> bool:
        """Whether the study has its defaults: verdicts and descriptions are of those."""
        return self.study == type(self.study)()

    @cached_property
    def _judged(self) -> dict[str, Judgement]:
        if not self._as_planned:
            return {}
        return {name: j for name, j in judgements().items() if j.verdict != "not measured yet"}

    def finding(self) -> str:
        """Return in words what the chapter's first figure shows."""
        return ""

    def you_see(self) -> Markdown:
        """Return what is to be seen in the chapter's first figure, as its second caption."""
        return Markdown(f"*You see:* {self.finding()}" if self.finding() else "")

    def claims(self) -> tuple[Claim, ...]:
        """Return the claims to judge, those of other chapters with them."""
        return CLAIMS

    def incomplete(self) -> str:
        """Return why the study, as it was run, decides none of its rules; nothing, if it does."""
        return ""

    def labels(self, axis: str) -> list[str]:
        """Return what the study's arms on an axis are called."""
        return list(self.study.axes()[axis])

    def how_many(self, found: Sequence[object]) -> str:
        """Return how many were found, and which: ``"2 (1, 10)"``."""
        which = ", ".join(f"{one:,}" if isinstance(one, int) else str(one) for one in found)
        return self.cite(len(found)) + (f" ({which})" if found else "")

    def cite(self, value: object) -> str:
        """Return a number as a link to the study's records; one that remembers its interval opens to it.

        What a rule's finding says opens to its formula and to the records that the rule read.
        """
        if isinstance(value, Amount):
            said = (f for v in self.verdicts.values() for f in v.findings if f.effect is value.interval)
            for finding in said:
                return self.own.cite(value, finding)
        return self.sources.cite(value if isinstance(value, str) else str(value))

    def measured(
        self,
        measure: Callable[[Tables], pd.Series[float]],
        unit: Unit = "points",
        *,
        formula: tuple[str, str] = ("", ""),
        contrast: str = "",
        points: str = "percentage points",
    ) -> Cited:
        """Return the mean of what a measure makes of the study's tables, with Student's interval.

        It opens to its seeds, to ``formula``, what is averaged in English and in Chinese, and to the records
        that the measure read. ``contrast`` names the two that it pairs, if it does: ``"A minus B"``.

        Raises:
            NotMeasuredError: the study lacks rows that the measure reads.
        """
        values, trail = follow(measure, self.tables)
        effect = replace(mean_interval(values), seeds=tuple(trail.seeds))
        read = set(trail.every_run()) & set(self.sources.runs)
        sources = Sources(self.study.name, sorted(read)) if read else self.sources
        behind = Behind(effect, unit, formula, contrast, trail=trail)
        return Cited(write_effect(effect, unit, points), sources, behind)

    def setting(self) -> str:
        """Return on what, how long and how often the study trained: its ``Measured`` of every answer."""
        study: Any = self.study
        amount = write_amount(study.train_size, study.epochs)
        return f"on {study.dataset}, {amount}, over {study.seeds} seeds"

    def behind(self, verdict: Verdict) -> Sources:
        """Return the records of all studies that a verdict rests on, as far as they are recorded."""
        runs = {run for finding in verdict.findings for run in self.own.sources_of(finding).runs}
        return Sources(self.study.name, sorted(runs) if runs else self.sources.runs)

    def glued(self) -> dict[str, page.Glued]:
        """Return what other pages quote: the verdicts that are this chapter's, and what made its records."""
        own = {n: verdict for n, verdict in self.verdicts.items() if verdict.claim.chapter == self.study.name}
        texts: dict[str, page.Glued] = {}
        for name, verdict in own.items():
            texts |= page.glued_verdicts({name: verdict}, self.behind(verdict))
        if self.study.name in parts("quoted"):
            # The numbers of the chapter's translations.
            module = importlib.import_module(f"bnstudy.chapters.{self.study.name}.quoted")
            texts |= module.quoted(self)
        texts[f"{self.study.name}_lead_zh"] = self.lead("zh")
        texts[f"{self.study.name}_trained_zh"] = self.trained("zh")
        made = page.machines(self._frames().records, self.sources, chinese=True)
        return texts | {
            f"{self.study.name}_machines": self.machines(),
            f"{self.study.name}_machines_zh": made,
        }

    def frames(self) -> Iterator[Frame]:
        """Yield the drawings of the chapter's slider, if it has one."""
        return iter(())

    def apart(self) -> Sequence[float]:
        """Return how far apart lies what each drawing of the slider compares, in their order."""
        return ()

    def slider(self, name: str, label: str) -> Html:
        """Return the chapter's drawings one at a time, moved by a control that ``label`` names.

        It opens where they are furthest apart, and of several such at the first.
        """
        apart = [-math.inf if math.isnan(far) else far for far in self.apart()]
        return slider(self.frames(), name, label, start=apart.index(max(apart)) if apart else 0)

    def rules_table(self) -> Html:
        """Return what decided each verdict, as a table."""
        return page.show(page.rules_table(self.verdicts, self.own.cite))

    def machines(self) -> page.Glued:
        """Return on what the records were made."""
        return page.machines(self._frames().records, self.sources)

    def records(self) -> Markdown:
        """Return which records are behind the chapter, and whose else its verdicts rest on."""
        listed = page.list_records(self.sources, stale_of(self._frames()))
        read = [f for v in self.verdicts.values() for f in v.findings if f.rule.study != self.study.name]
        own = {n for n, verdict in self.verdicts.items() if verdict.claim.chapter == self.study.name}
        judged = [j for name, j in self._judged.items() if name in own and j.findings]
        said = [listed, *(self._elsewhere(f) for f in read), *(self._judged_by(j) for j in judged)]
        return Markdown("\n\n".join(dict.fromkeys(said)))

    def _judged_by(self, judgement: Judgement) -> str:
        runs = behind(judgement)
        named = page.named_records(runs)
        counts = machines_behind(judgement).most_common()
        made = " and ".join(f"{count} on {device}" for device, count in counts)
        said = f"{judgement.claim.id} in the second round, {len(runs)} records"
        return f"{said}, trained {made}: {', '.join(named)}."

    def _elsewhere(self, finding: Finding) -> str:
        sources = self.own.sources_of(finding)
        return f"*{finding.rule.part.capitalize()}* rests on {sources.cite(f'{len(sources.runs)} records')}."

    def downloads(self) -> Markdown:
        """Return links to every table, which it writes beside the page that is being built."""
        return page.offer_csv(self.tables, self.sources)

    def again(self, **changes: Any) -> Markdown:
        """Return commands that run the chapter again, with ``changes`` and on digits, and what they cost.

        The cost is that of the recorded runs alike, on the machine of most of them.
        """
        name, records = self.study.name, self._frames().records
        plan = plan_of(name, changes)
        missing = {run.spec.name: run.spec for run in plan.runs() if run.spec.name not in records}
        machine = mode(record.provenance["device"] for record in records.values())
        took = seconds(list(missing.values()), records.values(), on=machine)
        cost = f"about {in_words(took)} of one core, and half of that on two" if took else "nobody knows what"
        return self.commands(
            changes,
            f"trains {self.cite(len(missing))} runs that this page has no record of: at the pace of those it "
            f"has, {self.cite(cost)}",
        )

    def commands(self, changes: Mapping[str, Any], what: str) -> Markdown:
        """Return the commands that ``again`` explains; ``what`` the first does."""
        command = f".venv/bin/papermill book/{self.study.name}.ipynb out.ipynb"
        settings = " ".join(f'-y "{key}: {json.dumps(value)}"' for key, value in changes.items())
        return Markdown(
            f"```console\n{command} {settings}\n{command} -p dataset digits\n```\n\nThe first {what}. "
            "It needs CIFAR-10, which `.venv/bin/bnstudy data fetch cifar10` downloads. "
            "The second trains the whole chapter on scikit-learn's digits, within ten minutes on two cores, "
            "and needs no download."
        )

    def _frames(self) -> Frames:
        if not isinstance(self.tables, Frames):
            raise TypeError(
                f"tables is {type(self.tables).__name__}; allowed here: Frames, with their records"
            )
        return self.tables
