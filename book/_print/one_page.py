"""Put the built pages one after another into one, for printing: ``one_page.py HTML_FOLDER``."""

from __future__ import annotations

import posixpath
import re
import sys
from datetime import date
from pathlib import Path

import yaml
from bs4 import BeautifulSoup, NavigableString, Tag

sys.path.append(str(Path(__file__).resolve().parents[1] / "_ext"))
from citation import committed

# So many codes of records one after another are a list for programs; the site has it.
WALL = 4


def listed(toc: dict) -> list[str]:
    """Return the pages of a table of contents in reading order, sections after their chapter."""
    pages = [toc[key] for key in ("root", "file") if key in toc]
    for part in (*toc.get("parts", ()), *toc.get("chapters", ()), *toc.get("sections", ())):
        pages += listed(part)
    return pages


def without_walls(body: Tag) -> None:
    """Put the number of records in the place of their codes, where a paragraph lists many."""
    for paragraph in body.select("p"):
        codes = [code for code in paragraph.select("code") if re.fullmatch(r"[0-9a-f]{16}", code.get_text())]
        if len(codes) <= WALL:
            continue
        # What stands between two codes goes with the second.
        for code in codes:
            before = code.previous_sibling
            if isinstance(before, NavigableString) and before.strip() in (",", ""):
                before.extract()
            code.extract()
        paragraph.append(f" (The site has the {len(codes)} codes.)")


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
    # On paper a slider stays where it is: at its end, which has most to see.
    for control in body.select(".slider input[type=range]"):
        control["value"] = control["max"]
    body["id"] = name
    return body


def contents(page: BeautifulSoup, toc: dict, titles: dict[str, str], numbers: dict[str, int]) -> Tag:
    """Return the table of contents: a list a part, each title with the number of its sheet."""
    nav = page.new_tag("nav", attrs={"class": "contents", "aria-label": "Contents"})
    heading = page.new_tag("h1")
    heading.string = "Contents"
    nav.append(heading)
    for part in toc.get("parts", [{"caption": "", "chapters": toc.get("chapters", [])}]):
        if part["caption"]:
            caption = page.new_tag("h2")
            caption.string = part["caption"]
            nav.append(caption)
        rows = page.new_tag("ol")
        for name in listed({"chapters": part["chapters"]}):
            row, link, number = page.new_tag("li"), page.new_tag("a", href=f"#{name}"), page.new_tag("span")
            link.string = titles[name]
            number.string = str(numbers.get(name, ""))
            row.extend([link, number])
            rows.append(row)
        nav.append(rows)
    return nav


def cover(page: BeautifulSoup, footer: Tag | None, day: str) -> Tag:
    """Return the first sheet: title, authors, day, licence, and what the book was built from."""
    head = page.new_tag("header", attrs={"class": "cover"})
    author = page.select_one("meta[name=author]")
    said = [page.select_one("h1").get_text(strip=True).rstrip("#"), author["content"] if author else "", day]
    for kind, text in zip(("h1", "p", "p"), said, strict=True):
        line = page.new_tag(kind)
        line.string = text
        head.append(line)
    licence = page.new_tag("p")
    licence.string = "MIT licence"
    head.append(licence)
    if footer is not None:
        head.append(footer)
    return head


def main(html: Path, numbers: dict[str, int] | None = None) -> None:
    """Write ``book/print.html`` below ``html``: a cover, the contents, and every page's article.

    ``numbers`` are the sheets on which the pages begin, as a first printing has them.
    """
    toc = yaml.safe_load(Path("_toc.yml").read_text())
    names = listed(toc)
    pages = {name: BeautifulSoup((html / f"{name}.html").read_text(), "html.parser") for name in names}
    titles = {name: page.select_one("h1").get_text(strip=True).rstrip("#") for name, page in pages.items()}
    front = pages[names[0]]
    head = front.head
    first = cover(front, front.select_one(".provenance"), committed(Path()) or date.today().isoformat())
    content = front.new_tag("main", attrs={"class": "bd-content bd-article printed"})
    content.extend([first, contents(front, toc, titles, numbers or {})])
    for name in names:
        body = article(pages[name], name, names)
        without_walls(body)
        content.append(body)
    front.body.clear()
    front.body.append(content)
    front.body["class"] = "printed"
    # The theme's scripts look for what only its own pages have; a printer waits for no scrolling.
    for script in head.select("script[src*='book-theme'], script[src*='pydata']"):
        script.decompose()
    for image in content.select("img[loading]"):
        del image["loading"]
    head.title.string = titles[names[0]]
    (html / "book" / "print.html").write_text(str(front))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
