"""Sphinx extension: a translated page shows the figures and numbers of the notebook that it translates.

No notebook is executed twice: ``book/zh/decay.md`` has the words, ``book/decay.ipynb`` all that is computed.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

# By language: the folder and the front page of its pages, what a link to one says, and the word for a figure.
FOLDER, FRONT = "book/zh/", "book/zh"
ENGLISH_FRONT = "book/index"
SWITCH = {"zh": ("中文", "本页的中文版"), "en": ("English", "This page in English")}
FIGURE = "图"
# Links that notebooks write: to pages and files beside their own.
_CHAPTER = re.compile(r'href="(\w+)\.html"')
_BESIDE = re.compile(r'(<a class="(?:number|record)" href=")(?=[\w.])')


class FigureOf(nodes.General, nodes.Element):
    """A place for another page's figure; its children are the caption."""


class FigureOfDirective(SphinxDirective):
    """``{figure-of} ../decay.ipynb``: a notebook's figure, by its name, with a caption of the page's own."""

    required_arguments = 1
    has_content = True
    option_spec = {"name": directives.unchanged_required, "alt": directives.unchanged}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """Leave a place, which is filled once the notebook is there."""
        relative, absolute = self.env.relfn2path(self.arguments[0])
        # Executed again, the notebook has other figures.
        self.env.note_dependency(relative)
        place = FigureOf(
            refdoc=self.env.path2doc(absolute),
            figure=self.options.get("name", ""),
            alt=self.options.get("alt"),
        )
        self.set_source_info(place)
        self.state.nested_parse(self.content, self.content_offset, place)
        return [place]


class FillFigures(SphinxPostTransform):
    """Put the figures in their places, with the numbers that they have on their own pages."""

    # Before of an output's forms one is chosen, as on the notebook's own page.
    default_priority = 3

    def run(self, **kwargs: Any) -> None:
        """Fill every place on the page."""
        for place in list(self.document.findall(FigureOf)):
            found = self._figure(place)
            if found is None:
                logger.warning(
                    "%s has no figure %r", place["refdoc"], place["figure"], location=place, type="editions"
                )
                place.parent.remove(place)
            else:
                place.replace_self(found)

    def _figure(self, place: FigureOf) -> nodes.figure | None:
        if place["refdoc"] not in self.env.found_docs:
            return None
        page = self.env.get_doctree(place["refdoc"])
        found = next((f for f in page.findall(nodes.figure) if place["figure"] in f["ids"]), None)
        if found is None:
            return None
        figure = deepcopy(found)
        for image in figure.findall(nodes.image):
            image["alt"] = place["alt"] or image.get("alt", "")
        for caption in list(figure.findall(nodes.caption)):
            numbers = self.env.toc_fignumbers.get(place["refdoc"], {}).get("figure", {})
            number = ".".join(map(str, numbers.get(place["figure"], ())))
            said = [child for paragraph in place.children for child in paragraph.children]
            written = nodes.inline("", f"{FIGURE} {number}　", classes=["caption-number"]) if number else ""
            caption.children = []
            caption += [*([written] if written else []), *said]
        return figure


class LeadAcross(SphinxPostTransform):
    """Make links that were written for the English pages right for those in Chinese.

    A number's leads one folder up; on the front page a chapter's leads to its translation, if there is one.
    """

    # Behind the glue, which is a post-transform of its own.
    default_priority = 20

    def run(self, **kwargs: Any) -> None:
        """Mend every link in HTML."""
        if not is_chinese(self.env.docname):
            return
        for raw in self.document.findall(nodes.raw):
            written = raw.astext()
            if self.env.docname == FRONT:
                text = _CHAPTER.sub(self._translated, written)
            else:
                text = _BESIDE.sub(r"\1../", written)
            if text != written:
                raw.children = []
                raw += nodes.Text(text)

    def _translated(self, link: re.Match[str]) -> str:
        page = f"{FOLDER}{link[1]}"
        there = page in self.env.found_docs
        return f'href="{page.removeprefix("book/")}.html"' if there else link[0]


def counterpart(page: str) -> str:
    """Return the page that says the same in the other language, whether it is there or not."""
    if page in (FRONT, ENGLISH_FRONT):
        return ENGLISH_FRONT if page == FRONT else FRONT
    return (
        f"book/{page.removeprefix(FOLDER)}" if page.startswith(FOLDER) else page.replace("book/", FOLDER, 1)
    )


def is_chinese(page: str) -> bool:
    """Say whether a page is in Chinese, by its place."""
    return page == FRONT or page.startswith(FOLDER)


def _switch(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    other = counterpart(page)
    if doctree is not None and other in app.env.found_docs:
        address = app.builder.get_relative_uri(page, other)
        language = "zh" if is_chinese(other) else "en"
        text, tooltip = SWITCH[language]
        tag = "zh-Hans" if language == "zh" else "en"
        context["metatags"] = (
            f'{context.get("metatags", "")}<link rel="alternate" hreflang="{tag}" href="{address}"/>'
        )
        # Above the title, and not among the theme's buttons, whose links open a page beside this one.
        context["body"] = (
            f'<p class="edition"><a href="{address}" hreflang="{tag}" lang="{tag}" title="{tooltip}">'
            f"{text}</a></p>\n{context['body']}"
        )
    # Who reads one language isn't led on into the other.
    _, before, after = app.builder.relations.get(page, (None, None, None))
    for name, neighbour in (("prev", before), ("next", after)):
        if neighbour and is_chinese(neighbour) != is_chinese(page):
            context[name] = None


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_node(FigureOf)
    app.add_directive("figure-of", FigureOfDirective)
    app.add_post_transform(FillFigures)
    app.add_post_transform(LeadAcross)
    app.add_css_file("zh.css")
    app.connect("html-page-context", _switch)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
