"""Sphinx extension: the pages in two languages: which says the same as which, and where links lead."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

# The folder and the front page of the Chinese pages; by language, what a link to one says.
FOLDER, FRONT = "book/zh/", "book/zh"
ENGLISH_FRONT = "book/index"
SWITCH = {"zh": ("中文", "本页的中文版"), "en": ("English", "本页的英文版")}
# Links that notebooks write: to pages and files beside their own.
_CHAPTER = re.compile(r'href="(\w+)\.html"')
_BESIDE = re.compile(r'(<a class="(?:number|record)" href=")(?=[\w.])')
# What a number's link says of its records, as bnstudy.analysis.words writes it.
_FROM = re.compile(r'(<a class="number"[^>]* title=")From (\d+) records?(?:(: )([^"]*))?(?=")')


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
            text = _FROM.sub(_from, text)
            if text != written:
                raw.children = []
                raw += nodes.Text(text)

    def _translated(self, link: re.Match[str]) -> str:
        page = f"{FOLDER}{link[1]}"
        there = page in self.env.found_docs
        return f'href="{page.removeprefix("book/")}.html"' if there else link[0]


def _from(link: re.Match[str]) -> str:
    named = f"：{link[4]}" if link[3] else ""
    return f"{link[1]}来自 {link[2]} 条记录{named}"


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


def number_alike(numbered: dict[str, dict[str, dict[str, tuple[int, ...]]]]) -> None:
    """Give each formula of a Chinese page the number that it has on the English one.

    ``numbered`` has them by page, kind and anchor; a Chinese formula's anchor ends in ``-zh``.
    """
    for page, kinds in numbered.items():
        if is_chinese(page):
            english = numbered.get(counterpart(page), {}).get("displaymath", {})
            formulas = kinds.get("displaymath", {})
            formulas |= {
                anchor: english[anchor.removesuffix("-zh")]
                for anchor in formulas
                if anchor.removesuffix("-zh") in english
            }


def _number_alike(app: Any, env: Any) -> None:
    number_alike(env.toc_fignumbers)


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
    app.add_post_transform(LeadAcross)
    app.add_css_file("zh.css")
    app.connect("html-page-context", _switch)
    # Behind the numbering.
    app.connect("env-check-consistency", _number_alike)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
