"""Sphinx extension: the table of the claims, from the registry of rules and the chapters' verdicts."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from bnstudy.analysis.claims import CLAIMS, Claim
from bnstudy.analysis.words import LANGUAGES


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
        said = claim.english if self.language == "en" else claim.original
        chapter = f"{claim.chapter}.ipynb"
        if f"book/{claim.chapter}" not in self.env.found_docs:
            missing = LANGUAGES[self.language].answers["not measured yet"]
            return f"| {claim.id} | {said} | [{missing}]{{.unmeasured}} | – |"
        verdict, effect, rule = (
            f"{{glue:}}`{chapter}::{claim.id}_{what}_{self.language}`"
            for what in ("verdict", "effect", "rule")
        )
        return f"| [{claim.id}]({chapter}) | {said} | {verdict} | {effect} {rule} |"


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("verdicts", VerdictTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
