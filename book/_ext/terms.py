"""Sphinx extension: a word of the glossary, where a page first uses it, says what it means."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Any

from docutils import nodes
from sphinx.addnodes import glossary

# By language: where its words are explained.
GLOSSARIES = {"": "book/glossary", "zh-Hans": "book/zh/glossary"}
# More often a verb than the noun that the glossary explains.
_VERBS = {"run"}
_HAN = re.compile(r"[\u4e00-\u9fff]")
# In these a word is no prose, or leads elsewhere already.
_ELSEWHERE = (
    nodes.reference,
    nodes.literal,
    nodes.FixedTextElement,
    nodes.title,
    nodes.raw,
    nodes.math,
    nodes.caption,
)


def definitions(page: nodes.document) -> dict[str, tuple[str, str]]:
    """Return the glossary's words: each one's anchor, and what it means in plain text."""
    found = {}
    for listed in page.findall(glossary):
        for item in listed.findall(nodes.definition_list_item):
            said = " ".join(next(iter(item.findall(nodes.definition))).astext().split())
            found |= {term.astext(): (term["ids"][0], said) for term in item.findall(nodes.term)}
    return found


def _prose(page: nodes.document) -> Iterator[nodes.Text]:
    for text in page.findall(nodes.Text):
        above, inside = text.parent, False
        while above is not None:
            if isinstance(above, _ELSEWHERE):
                break
            inside = inside or isinstance(above, nodes.paragraph)
            above = above.parent
        if above is None and inside and not _opens_a_link(text):
            yield text


def _opens_a_link(text: nodes.Text) -> bool:
    """Return whether text follows the opening tag of a link that is written as HTML."""
    before = text.parent.index(text) - 1
    return before >= 0 and text.parent[before].astext().startswith("<a ")


def explain(page: nodes.document, words: dict[str, tuple[str, str]], address: str) -> None:
    """Make the first use of each word in a page's prose a link to ``address`` that has its meaning."""
    if not words:
        return
    # The longest first, so that "moving average" is not "average"; plurals too.
    names = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    # Chinese has neither spaces nor plurals.
    chinese = any(_HAN.search(word) for word in words)
    alone = rf"(?<![A-Za-z])({names})(?![A-Za-z])"
    pattern = re.compile(alone if chinese else rf"\b({names})(?:e?s)?\b", re.IGNORECASE)
    known = {word.lower(): word for word in words}
    left = set(words) - _VERBS
    for text in list(_prose(page)):
        written = str(text)
        pieces: list[nodes.Node] = []
        end = 0
        for use in pattern.finditer(written):
            word = known[use[1].lower()]
            if word not in left:
                continue
            left.discard(word)
            anchor, means = words[word]
            opening = f'<a class="term" href="{address}#{anchor}" data-means="{escape(means)}">'
            link = nodes.raw("", f"{opening}{escape(use[0])}</a>", format="html")
            pieces += [nodes.Text(written[end : use.start()]), link]
            end = use.end()
        if pieces:
            text.parent.replace(text, [*pieces, nodes.Text(written[end:])])


def _explain(app: Any, page: nodes.document, name: str) -> None:
    glossary_page = GLOSSARIES.get(app.env.metadata.get(name, {}).get("language", ""), "")
    if app.builder.format != "html" or name == glossary_page or name.startswith("book/api/"):
        return
    if glossary_page not in app.env.found_docs:
        return
    if not hasattr(app, "_bnstudy_words"):
        app._bnstudy_words = {}
    words = app._bnstudy_words.get(glossary_page)
    if words is None:
        words = app._bnstudy_words[glossary_page] = definitions(app.env.get_doctree(glossary_page))
    explain(page, words, app.builder.get_relative_uri(name, glossary_page))


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-resolved", _explain)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
