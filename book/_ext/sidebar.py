"""Sphinx extension: the sidebar says short titles, and which claims a chapter answers."""

from __future__ import annotations

from typing import Any

from editions import is_chinese
from sphinx.addnodes import toctree

from bnstudy.chapters.claims import CLAIMS


def label(page: str, title: str) -> str:
    """Return what the sidebar calls a page: its title up to the colon, and the claims that it answers.

    A translated page has the name of its chapter, in a folder of its language.
    """
    chapter = page.rpartition("/")[2]
    claims = [claim.id for claim in CLAIMS if claim.chapter == chapter]
    short = title.split(":")[0].split("：")[0]
    if not claims:
        return short
    if not is_chinese(page):
        return f"{short} · {', '.join(claims)}"
    # A full-width bracket has its space within.
    return f"{short}{'' if short.endswith('）') else ' '}· {'、'.join(claims)}"


def _name(app: Any, env: Any) -> None:
    # The list of all pages is made from the front page's tree, those under a chapter from the others.
    for tree in (env.master_doctree, *env.tocs.values()):
        for node in tree.findall(toctree):
            node["entries"] = [
                (said or (label(page, env.titles[page].astext()) if page in env.titles else None), page)
                for said, page in node["entries"]
            ]


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("env-updated", _name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
