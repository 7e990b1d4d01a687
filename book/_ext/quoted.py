"""Sphinx extension: a translated page shows the figures, tables and texts of the notebook that it translates.

No notebook is executed twice: ``book/zh/decay.md`` has the words, ``book/decay.ipynb`` all that is computed.
What the package labels in English is put into Chinese where it is shown.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from editions import counterpart, is_chinese
from markdown_it import MarkdownIt
from myst_nb.ext.glue.crossref import read_glue_cache
from myst_nb.ext.glue.utils import PendingGlueReference
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from bnstudy.analysis.chinese import chinese_html, chinese_svg

logger = logging.getLogger(__name__)

FIGURE = "图"
_MARKDOWN = MarkdownIt("commonmark")
_FRAME = re.compile(r'(data-label="([^"]*)".*?<svg [^>]*?aria-label=")[^"]*(")', re.S)


class Place(nodes.General, nodes.Element):
    """A place for what another page shows; its children are a figure's caption."""


class FigureOf(SphinxDirective):
    """``{figure-of} ../decay.ipynb``: a notebook's figure, by its name, with a caption of the page's own."""

    required_arguments = 1
    has_content = True
    option_spec = {"name": directives.unchanged_required, "alt": directives.unchanged}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """Leave a place, which is filled once the notebook is there."""
        return [_place(self, figure=self.options.get("name", ""), alt=self.options.get("alt"))]


class TableOf(SphinxDirective):
    """``{table-of} ../decay.ipynb``: the tables that a notebook's cell shows, by what it calls."""

    required_arguments = 1
    option_spec = {"call": directives.unchanged_required}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """Leave a place, which is filled once the notebook is there."""
        return [_place(self, call=self.options.get("call", ""))]


class NumberOf(nodes.Inline, nodes.Element):
    """A place for the number of a figure that the page shows, which is a link to it."""


class FigureNumber(SphinxRole):
    """``{figure-number}`fig-decay-step` ``: what a figure of the page is called, by its notebook's number."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Leave a place, which is filled once all figures have their numbers."""
        place = NumberOf(figure=self.text)
        self.set_source_info(place)
        return [place], []


def _place(directive: SphinxDirective, **wanted: Any) -> Place:
    relative, absolute = directive.env.relfn2path(directive.arguments[0])
    # Executed again, the notebook has other figures.
    directive.env.note_dependency(relative)
    place = Place(refdoc=directive.env.path2doc(absolute), source_file=absolute, **wanted)
    directive.set_source_info(place)
    directive.state.nested_parse(directive.content, directive.content_offset, place)
    return place


class FillPlaces(SphinxPostTransform):
    """Put figures and tables in their places, with the numbers that they have on their own pages."""

    # Before of an output's forms one is chosen, as on the notebook's own page.
    default_priority = 3

    def run(self, **kwargs: Any) -> None:
        """Fill every place on the page."""
        places = list(self.document.findall(Place))
        there = {place["refdoc"] for place in places} & self.env.found_docs
        pages = {name: self.env.get_doctree(name) for name in there}
        for place in places:
            page = pages.get(place["refdoc"])
            found = page and (self._tables(page, place) if "call" in place else self._figure(page, place))
            if found:
                place.replace_self(found)
                continue
            wanted = place.get("call") or place["figure"]
            if not page or wanted not in Path(place["source_file"]).read_text(encoding="utf-8"):
                logger.warning("%s has no %r", place["refdoc"], wanted, location=place, type="quoted")
            # Else it is a cell that, as the notebook was run, shows nothing.
            place.parent.remove(place)
        for place in list(self.document.findall(NumberOf)):
            name = place["figure"]
            number = self._number(counterpart(self.env.docname), name)
            if not number:
                logger.warning("no figure %r", name, location=place, type="quoted")
            place.replace_self(nodes.reference("", f"{FIGURE} {number}", refid=name, internal=True))

    def _figure(self, page: nodes.document, place: Place) -> nodes.Element | None:
        found = next((f for f in page.findall(nodes.figure) if place["figure"] in f["ids"]), None)
        if found is None:
            return None
        figure = found.deepcopy()
        for image in figure.findall(nodes.image):
            image["alt"] = place["alt"] or image.get("alt", "")
        for caption in list(figure.findall(nodes.caption)):
            number = self._number(place["refdoc"], place["figure"])
            said = [child for paragraph in place.children for child in paragraph.children]
            written = nodes.inline("", f"{FIGURE} {number}　", classes=["caption-number"]) if number else ""
            caption.children = []
            caption += [*([written] if written else []), *said]
        figure["quoted"] = place["alt"] or ""
        return figure

    def _number(self, page: str, name: str) -> str:
        """Return a figure's number on a notebook's page; nothing, if it has none."""
        numbers = self.env.toc_fignumbers.get(page, {}).get("figure", {})
        return ".".join(map(str, numbers.get(name, ())))

    def _tables(self, page: nodes.document, place: Place) -> nodes.Element | None:
        shown = [table.deepcopy() for cell in _calling(page, place["call"]) for table in _html_of(cell)]
        if not shown:
            return None
        inner = nodes.container("", *shown, classes=["cell_output"])
        return nodes.container("", inner, classes=["cell"], quoted="")


def _calling(page: nodes.document, call: str) -> list[nodes.container]:
    cells = [c for c in page.findall(nodes.container) if c.get("nb_element") == "cell_code"]
    return [c for c in cells if any(f"{call}(" in code.astext() for code in c.findall(nodes.literal_block))]


def _html_of(cell: nodes.container) -> list[nodes.container]:
    bundles = (b for b in cell.findall(nodes.container) if b.get("nb_element") == "mime_bundle")
    return [b for b in bundles if any(form.get("mime_type") == "text/html" for form in b.children)]


class QuoteMarkdown(SphinxPostTransform):
    """Show what another page glued as Markdown, which MyST-NB leaves to that page itself."""

    # Before MyST-NB fills in what else is glued elsewhere.
    default_priority = 4

    def run(self, **kwargs: Any) -> None:
        """Fill the places of all that is nothing but Markdown."""
        for place in list(self.document.findall(PendingGlueReference)):
            glued = read_glue_cache(self.env.mystnb_config.output_folder, place.refdoc)
            data = glued.get(place.key, {}).get("data", {})
            if "text/markdown" not in data or "text/html" in data:
                continue
            within = place.parent
            if isinstance(within, nodes.paragraph) and len(within.children) == 1:
                within.replace_self(nodes.raw("", _MARKDOWN.render(data["text/markdown"]), format="html"))
            else:
                inline = _MARKDOWN.renderInline(data["text/markdown"])
                place.replace_self(nodes.raw("", inline, format="html"))


class Translate(SphinxPostTransform):
    """Put into Chinese what tables and sliders say that were written for the English page."""

    # Behind the choice of an output's form.
    default_priority = 20

    def run(self, **kwargs: Any) -> None:
        """Translate all HTML in what was quoted, and the drawings in what was glued."""
        if is_chinese(self.env.docname):
            for raw in list(self.document.findall(nodes.raw)):
                if "<svg" in raw.astext():
                    raw.children = [nodes.Text(chinese_svg(raw.astext()))]
                if '<table class="dataframe' in raw.astext() and not _in_a_box(raw):
                    # What is glued comes without the box in which a notebook's tables scroll.
                    raw.replace_self(nodes.container("", raw.deepcopy(), classes=["cell_output"]))
        for quoted in self.document.findall(lambda n: isinstance(n, nodes.Element) and "quoted" in n):
            for raw in quoted.findall(nodes.raw):
                text = chinese_html(raw.astext())
                if quoted["quoted"]:
                    text = _FRAME.sub(rf"\g<1>{escape(quoted['quoted'])}（\g<2>）\g<3>", text)
                raw.children = [nodes.Text(text)]


def _in_a_box(node: nodes.Node) -> bool:
    while node.parent is not None:
        node = node.parent
        if "cell_output" in node.get("classes", ()):
            return True
    return False


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_node(Place)
    app.add_node(NumberOf)
    app.add_role("figure-number", FigureNumber())
    app.add_directive("figure-of", FigureOf)
    app.add_directive("table-of", TableOf)
    app.add_post_transform(FillPlaces)
    app.add_post_transform(QuoteMarkdown)
    app.add_post_transform(Translate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
