"""What a chapter says of the claims that its own study bears on, also where the study lacks an arm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from bnstudy.analysis.rules import Claim, Finding, Measured, Rule, Verdict, judge, measure
from bnstudy.analysis.statistics import Amount
from bnstudy.analysis.tables import NotMeasuredError, Tables
from bnstudy.analysis.words import Markdown, Sources, behind_finding, sources_of, write_finding


@dataclass(frozen=True)
class OwnVerdicts:
    """Verdicts on the claims that a chapter's study bears on, by id, and what is lacking to decide the rest.

    ``lacking`` has the reason for each rule without a finding, by its claim's id and its part. ``sources``
    are the records behind the findings, by study.
    """

    verdicts: dict[str, Verdict]
    lacking: dict[str, str]
    sources: dict[str, Sources]

    def answers(self) -> str:
        """Return every claim's answer: ``"C4 is supported, C13 is refuted"``."""
        return ", ".join(f"{name} is {verdict.answer}" for name, verdict in self.verdicts.items())

    def answer(self, *more: str) -> Markdown:
        """Return what each rule found, and ``more``, folded, in Markdown; empty parts are left out."""
        return Markdown(self.folded(self.sentences(), *more))

    def folded(self, *parts: str) -> str:
        """Return parts in Markdown folded under the verdicts; empty parts are left out."""
        title = f"<details><summary>By the first round's rules: {self.answers()}</summary>"
        return "\n\n".join(filter(None, (title, *parts, "</details>")))

    def sentences(self) -> str:
        """Return each rule's finding, and each reason for which there is none, as a list in Markdown."""
        found = [
            f"- {name}, *{f.rule.part}*, {write_finding(f, self._citing(f))}"
            for name, verdict in self.verdicts.items()
            for f in verdict.findings
        ]
        return "\n".join(
            found + [f"- {part} can't be measured: {why}." for part, why in self.lacking.items()]
        )

    def cite(self, text: str, finding: Finding) -> str:
        """Return a number that a finding says as a link to its records, which opens to what is behind it."""
        behind = behind_finding(finding)
        if isinstance(text, Amount):  # of the two intervals, the one that is said
            behind = replace(behind, interval=text.interval)
        return self.sources_of(finding).cite(text, behind)

    def _citing(self, finding: Finding) -> Callable[[Amount], str]:
        """Return what cites the effects that a finding says: its own, and its premise's."""
        said = [f for f in (finding, finding.premise) if f is not None]
        return lambda text: self.cite(text, next(f for f in said if f.effect is text.interval))

    def sources_of(self, finding: Finding) -> Sources:
        """Return the records behind a finding: those that it was read from, or all of its study."""
        return sources_of(finding, self.sources[finding.rule.study].runs)


def judge_own(
    claims: Iterable[Claim],
    sources: Sources,
    tables: Tables,
    others: Mapping[str, Tables | Measured] | None = None,
    *,
    incomplete: str = "",
) -> OwnVerdicts:
    """Judge those of ``claims`` that a study bears on, by its ``tables`` and by those of ``others``.

    ``sources`` are the study's own records. Holm's correction is over the rules of all claims. A rule whose
    rows ``tables`` lack, as where a parameter leaves its arm out or a run of it diverged, leaves its claim
    not measured, and counts as if it had p = 1. So do all of the study's rules where ``incomplete``
    says why it decides none, and those of a study that isn't recorded.

    Raises:
        NotMeasuredError: one of the other studies lacks rows that a rule reads.
    """
    study = sources.page  # a study's page has its name
    studies = {**(others or {}), study: tables}
    behind = {name: Sources(name, getattr(found, "runs", [])) for name, found in studies.items()}
    measurable: list[Claim] = []
    lacking: dict[str, str] = {}
    own: list[str] = []
    for claim in claims:
        reasons = [_lacks(rule, study, studies, incomplete) for rule in claim.rules]
        measurable.append(_without(claim, reasons))
        if any(rule.study == study for rule in claim.rules):
            own.append(claim.id)
            parts = (f"{claim.id}, *{rule.part}*," for rule in claim.rules)
            lacking |= {part: why for part, why in zip(parts, reasons, strict=True) if why}
    judged = judge(measurable, studies)
    return OwnVerdicts({name: judged[name] for name in own}, lacking, {**behind, study: sources})


def _lacks(rule: Rule, study: str, studies: Mapping[str, Tables | Measured], incomplete: str) -> str:
    """Return why a rule has no finding; ``""``: it has one."""
    if rule.study not in studies:
        return f"the study `{rule.study}` is not recorded"
    if rule.study != study:
        return ""
    if incomplete:
        return incomplete
    try:
        for needed in (rule, rule.premise):
            if needed is not None:
                measure(needed, studies[study])
    except NotMeasuredError as error:
        return str(error)
    return ""


def _without(claim: Claim, reasons: list[str]) -> Claim:
    """Return a claim whose rules that have a reason read a study that isn't there."""
    rules = (
        replace(rule, study=f"{rule.study}, in full") if why else rule
        for rule, why in zip(claim.rules, reasons, strict=True)
    )
    return replace(claim, rules=tuple(rules))
