"""The chapters' headlines: what was found of a claim in one sentence, and what to do about it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

from bnstudy.analysis.judged.verdicts import Answer, Finding, Judgement, Verdict
from bnstudy.analysis.judged.wording import Language
from bnstudy.analysis.saying import Headline, Said, Writer
from bnstudy.analysis.tables import Tables


class Headlines(Protocol):
    """A chapter's ``headlines.py``.

    ``FOUND`` has a sentence for each judged quantity by its name, with ``{}`` where its estimate stands; where
    the sentence depends on the answer to the quantity's part, one for each answer, or for every other answer
    under ``""``. ``ADVICE`` has what to do, by claim and verdict, or for every other verdict under ``""``. Where
    a verdict alone doesn't say what to do, ``advised(judgement)`` does, by its parts, or gives None.
    """

    FOUND: Mapping[str, Said | Mapping[Answer | str, Said]]
    ADVICE: Mapping[str, Mapping[Verdict | str, Said]]

    def explored(self, tables: Tables, write: Writer) -> dict[str, str]:
        """Return what the chapter's own study shows of each of its claims; nothing of what it lacks."""


def of(chapter: str) -> Headlines | None:
    """Return a chapter's headlines, if it has any."""
    module = f"bnstudy.chapters.{chapter}.headlines"
    try:
        return cast(Headlines, importlib.import_module(module))
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        return None


def advice(said: Headlines, claim: str, verdict: Verdict | str, language: Language) -> str:
    """Return what to do about a claim, by what was found of it."""
    choices = said.ADVICE[claim]
    return str(getattr(choices.get(verdict, choices[""]), language))


def confirmed(
    said: Headlines,
    judgement: Judgement,
    write: Writer,
    first: str = "",
    beside: str = "",
    doubts: Sequence[str] = (),
) -> Headline:
    """Return what the second round found of a claim: a sentence for each quantity that votes, once.

    ``first`` and ``beside`` are what its trainings show besides, and no verdict rests on: they come before
    and after; ``doubts`` what was found of it since.
    """
    findings = {f.part.quantity.name: f for f in judgement.findings if f.part.votes}
    sentences = [
        first,
        *(
            str(getattr(_sentence(said, finding), write.language)).format(write.estimate(finding.estimate))
            for finding in findings.values()
        ),
        *doubts,
        beside,
    ]
    space = "" if write.language == "zh" else " "
    name = judgement.claim.id
    by_parts: Callable[[Judgement], Said | None] = getattr(said, "advised", lambda judgement: None)
    do = by_parts(judgement)
    return Headline(
        space.join(filter(None, sentences)),
        str(getattr(do, write.language)) if do else advice(said, name, judgement.verdict, write.language),
    )


def _sentence(said: Headlines, finding: Finding) -> Said:
    found = said.FOUND[finding.part.quantity.name]
    return found if isinstance(found, Said) else found.get(finding.answer, found[""])
