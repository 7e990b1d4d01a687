"""What a chapter says of the claims that its own study decides, also where the study lacks an arm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from bnstudy.analysis.cite import Sources
from bnstudy.analysis.claims import CLAIMS, Claim, NotMeasuredError, Rule, Verdict, judge
from bnstudy.analysis.claims.words import write_finding
from bnstudy.analysis.tables import Tables


@dataclass(frozen=True)
class OwnVerdicts:
    """Verdicts on a chapter's claims, by id, and what their study lacks to decide the rest of the rules.

    ``lacking`` has the reason for each rule that could not be measured, by its claim's id and its part.
    """

    verdicts: dict[str, Verdict]
    lacking: dict[str, str]

    def sentences(self, sources: Sources) -> str:
        """Return each rule's finding, and each reason for which there is none, as a list in Markdown."""
        found = [
            f"- {name}, *{f.rule.part}*, {write_finding(f, sources.cite)}"
            for name, verdict in self.verdicts.items()
            for f in verdict.findings
        ]
        return "\n".join(
            found + [f"- {part} can't be measured: {why}." for part, why in self.lacking.items()]
        )


def judge_own(
    chapter: str, study: str, tables: Tables, others: Mapping[str, Tables] | None = None
) -> OwnVerdicts:
    """Judge the claims of ``chapter`` by its ``study``, and by the ``others`` that are recorded.

    Holm's correction is over the rules of all claims. A rule whose rows ``tables`` lack, as where a parameter
    leaves its arm out or a run of it diverged, leaves its claim not measured, and counts as if it had p = 1.

    Raises:
        NotMeasuredError: one of the other studies lacks rows that a rule reads.
    """
    lacking: dict[str, str] = {}
    claims = [_without_unmeasurable(claim, study, tables, lacking) for claim in CLAIMS]
    judged = judge(claims, {**(others or {}), study: tables})
    return OwnVerdicts({c.id: judged[c.id] for c in claims if c.chapter == chapter}, lacking)


def judge_apart(claims: Iterable[Claim], study: str, tables: Tables) -> OwnVerdicts:
    """Judge questions of one study that decide no claim of the article, as a family of their own.

    Holm's correction is over their rules alone. A rule whose rows ``tables`` lack counts as if it had p = 1.
    """
    lacking: dict[str, str] = {}
    measurable = [_without_unmeasurable(claim, study, tables, lacking) for claim in claims]
    return OwnVerdicts(judge(measurable, {study: tables}), lacking)


def _without_unmeasurable(claim: Claim, study: str, tables: Tables, lacking: dict[str, str]) -> Claim:
    """Return a claim whose rules that ``tables`` can't answer read a study that isn't there."""
    rules: list[Rule] = []
    for rule in claim.rules:
        if rule.study == study:
            try:
                rule.measure(tables)
            except NotMeasuredError as error:
                lacking[f"{claim.id}, *{rule.part}*,"] = str(error)
                rule = replace(rule, study=f"{study}, in full")
        rules.append(rule)
    return replace(claim, rules=tuple(rules))
