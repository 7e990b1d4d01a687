"""Sphinx extension: how to cite the book, by ``CITATION.cff``, and where to write to."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from published import published
from sphinx.util.docutils import SphinxDirective


def committed(folder: Path) -> str:
    """Return the day of the commit that ``folder`` stands at, as 2026-01-31; nothing without a history."""
    command = ["git", "log", "-1", "--format=%cs"]
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def bibtex(citation: dict[str, Any], day: str, address: str) -> str:
    """Return an entry for BibTeX by what ``CITATION.cff`` holds; ``day`` and ``address`` may be empty."""
    fields = {
        # A name of several words that is no person's stands in braces of its own.
        "author": " and ".join(f"{{{author['name']}}}" for author in citation["authors"]),
        "title": f"{{{citation['title']}}}",
        "year": day[:4],
        "month": day[5:7].lstrip("0"),
        "version": str(citation["version"]),
        "url": address,
        "note": f"Licence: {citation['license']}",
    }
    lines = "".join(f"  {name:<7} = {{{value}}},\n" for name, value in fields.items() if value)
    return f"@software{{bnstudy,\n{lines}}}"


class Citation(SphinxDirective):
    """``{citation}``: the entry for BibTeX."""

    def run(self) -> list[nodes.Node]:
        """Write the entry as code, with the button that copies it."""
        root = Path(self.env.srcdir)
        self.env.note_dependency("CITATION.cff")
        citation = yaml.safe_load((root / "CITATION.cff").read_text())
        entry = bibtex(citation, committed(root), published().address)
        return [nodes.literal_block(entry, entry, language="bibtex")]


class Contact(SphinxDirective):
    """``{contact}``: the repository and its issues, if they are known."""

    def run(self) -> list[nodes.Node]:
        """Write a sentence of Markdown and let the page's own parser read it."""
        site = published()
        said = (
            f"Sources: <{site.repository}>. What is wrong or missing: <{site.repository}/issues>."
            if site.repository
            else "This copy was built without the address of its repository: ask whoever gave it to you."
        )
        holder = nodes.container()
        self.state.nested_parse(StringList([said], source=self.env.docname), self.content_offset, holder)
        return holder.children


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("citation", Citation)
    app.add_directive("contact", Contact)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
