"""Sphinx extension: the table of the claims, from the chapters' rules and the verdicts that they glue."""

from __future__ import annotations

import os
import posixpath
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from bnstudy.analysis.rules import Claim
from bnstudy.analysis.words import LANGUAGES, write_claim
from bnstudy.chapters.claims import CLAIMS
from bnstudy.chapters.front import Front
from bnstudy.chapters.once import ONCE


class VerdictTable(SphinxDirective):
    """``{verdicts}``: a row a claim; what its chapter glued, or that it isn't measured yet."""

    option_spec = {"language": lambda value: directives.choice(value, tuple(LANGUAGES))}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """Write the table as Markdown and let the page's own parser read it."""
        self.language = self.options.get("language", "en")
        words = LANGUAGES[self.language]
        lines = [f"| | {words.claim} | {words.verdict} | {words.effect} |", "|---|---|---|---|"]
        lines += [self._row(claim) for claim in CLAIMS]
        table = nodes.container(classes=["verdicts"])
        self.state.nested_parse(StringList(lines, source=self.env.docname), self.content_offset, table)
        return [table]

    def _row(self, claim: Claim) -> str:
        said = write_claim(claim, self.language)
        chapter = self._from_here(f"{claim.chapter}.ipynb")
        translated = f"{self.language}/{claim.chapter}"
        there = f"book/{translated}" in self.env.found_docs
        link = self._from_here(f"{translated}.md") if there else chapter
        if f"book/{claim.chapter}" not in self.env.found_docs:
            missing = LANGUAGES[self.language].answers["not measured yet"]
            return f"| {claim.id} | {said} | [{missing}]{{.unmeasured}} | – |"
        verdict, effect, rule = (
            f"{{glue:}}`{chapter}::{claim.id}_{what}_{self.language}`"
            for what in ("verdict", "effect", "rule")
        )
        return f"| [{claim.id}]({link}) | {said} | {verdict} | {effect} {rule} |"

    def _from_here(self, file: str) -> str:
        """Return the path of a file of ``book/`` as seen from the page."""
        return posixpath.relpath(f"book/{file}", posixpath.dirname(self.env.docname))


class FrontPart(SphinxDirective):
    """``{front} hero``: a part of the front page, from records of both rounds; nothing if there is none."""

    required_arguments = 1
    option_spec = {"language": lambda value: directives.choice(value, tuple(LANGUAGES))}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """Return the part as HTML, made once a language and build."""
        part = directives.choice(self.arguments[0], ("todo", "scope", "hero", "cards", "changed", "both"))
        data = Path(self.env.srcdir, "data")
        html = getattr(_front(self.options.get("language", "en"), data), part)()
        return [nodes.raw("", html, format="html")] if html else []


@cache
def _front(language: str, data: Path) -> Front:
    return Front(language, data)


def _measure_once(app: Any) -> None:
    # The first notebook that judges measures what all the others judge by; kernels inherit the environment.
    folder = Path(app.doctreedir).resolve() / "measured"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ[ONCE] = str(folder)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("verdicts", VerdictTable)
    app.add_directive("front", FrontPart)
    app.connect("builder-inited", _measure_once)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
