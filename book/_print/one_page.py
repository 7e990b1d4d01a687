"""Put the built pages one after another into one, for printing: ``one_page.py HTML_FOLDER``."""

from __future__ import annotations

import posixpath
import sys
from pathlib import Path

import yaml
from bs4 import BeautifulSoup, Tag


def listed(toc: dict) -> list[str]:
    """Return the pages of a table of contents in reading order, sections after their chapter."""
    pages = [toc[key] for key in ("root", "file") if key in toc]
    for part in (*toc.get("chapters", ()), *toc.get("sections", ())):
        pages += listed(part)
    return pages


def article(page: BeautifulSoup, name: str, names: list[str]) -> Tag:
    """Return a page's article, its ids and links fit for the one page at ``book/print.html``."""
    body = page.select_one("article")
    folder = posixpath.dirname(name)
    for element in body.select("[id]"):
        element["id"] = f"{name}--{element['id']}"
    for element in body.select("[href], [src]"):
        key = "href" if element.has_attr("href") else "src"
        target, _, fragment = element[key].partition("#")
        if ":" in target:
            continue
        there = posixpath.normpath(posixpath.join(folder, target)) if target else f"{name}.html"
        if there.removesuffix(".html") in names:
            element[key] = f"#{there.removesuffix('.html')}" + (f"--{fragment}" if fragment else "")
        else:
            element[key] = posixpath.relpath(there, "book")
    for element in body.select("svg use, svg [clip-path]"):
        for key in ("xlink:href", "clip-path"):
            if element.has_attr(key):
                element[key] = element[key].replace("#", f"#{name}--", 1)
    body["id"] = name
    return body


def main(html: Path) -> None:
    """Write ``book/print.html`` below ``html``, with the front page's head and every page's article."""
    names = listed(yaml.safe_load(Path("_toc.yml").read_text()))
    pages = {name: BeautifulSoup((html / f"{name}.html").read_text(), "html.parser") for name in names}
    front = pages[names[0]]
    footer = front.select_one(".provenance")
    head = front.head
    content = front.new_tag("main", attrs={"class": "bd-content bd-article printed"})
    for name in names:
        content.append(article(pages[name], name, names))
    content.append(footer)
    front.body.clear()
    front.body.append(content)
    front.body["class"] = "printed"
    # The theme's scripts look for what only its own pages have.
    for script in head.select("script[src*='book-theme'], script[src*='pydata']"):
        script.decompose()
    head.title.string = front.select_one("h1").get_text(strip=True).rstrip("#")
    (html / "book" / "print.html").write_text(str(front))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
