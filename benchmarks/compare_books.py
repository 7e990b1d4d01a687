"""Compare two built books page by page: texts, numbers behind them, figures and downloads.

    python benchmarks/compare_books.py BEFORE/_build/html AFTER/_build/html

Prints what differs and ends with status 1, or says that nothing does. What a build says of itself (version,
commit) is left out; an SVG counts by its shapes and texts, not by the ids that it gives them.
"""

from __future__ import annotations

import argparse
import difflib
import re
from pathlib import Path

from bs4 import BeautifulSoup, Tag

# What is made of the code itself: docstrings, and the commands and paths that a page prints.
GENERATED = "api/"


def article(page: Path) -> Tag:
    """Return the part of a page that its author wrote; of one that only leads on, all of it."""
    whole = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    found = whole.select_one("article") or whole
    for code in found.select(".cell_input, .headerlink"):
        code.decompose()
    return found


def texts(page: Path) -> list[str]:
    """Return the lines of a page's text, and the records that its numbers name, in order."""
    body = article(page)
    for drawing in body.select("svg"):
        drawing.decompose()
    said = [re.sub(r"\s+", " ", text) for text in body.stripped_strings]
    return said + [str(link["title"]) for link in body.select("a.number[title]")]


def shapes(svg: str) -> list[tuple[str, str]]:
    """Return what an SVG draws: elements with their attributes and texts, without ids or groups."""
    root = BeautifulSoup(re.sub(r"<metadata>.*?</metadata>|<\?.*?\?>", "", svg, flags=re.S), "html.parser")
    drawn = []
    for element in root.find_all(["path", "use", "text", "rect", "image", "line", "circle"]):
        kept = {k: v for k, v in element.attrs.items() if k not in ("id", "xlink:href", "clip-path", "href")}
        numbers = re.sub(r"(\.\d)\d+", r"\1", str(sorted(kept.items())))
        drawn.append((f"{element.name} {numbers}", element.get_text(strip=True)))
    return drawn


def figures(page: Path) -> list[list[tuple[str, str]]]:
    """Return the shapes of each of a page's figures, in order."""
    drawn = []
    for element in article(page).select("img, svg"):
        if element.name == "img":
            file = page.parent / str(element["src"])
            drawn.append(shapes(file.read_text(encoding="utf-8")) if file.suffix == ".svg" else [])
        elif not element.find_parent("svg"):
            drawn.append(shapes(str(element)))
    return drawn


def differences(before: Path, after: Path) -> list[str]:
    """Return what differs between two folders of pages, a block of text each."""
    names = [{p.relative_to(f).as_posix() for p in f.rglob("*.*") if p.suffix in (".html", ".csv")}
             for f in (before, after)]  # fmt: skip
    found = [f"only before: {name}" for name in sorted(names[0] - names[1])]
    found += [f"only after: {name}" for name in sorted(names[1] - names[0])]
    for name in sorted(names[0] & names[1]):
        old, new = before / name, after / name
        if name.endswith(".csv"):
            if old.read_bytes() != new.read_bytes():
                found.append(f"{name}: another table")
            continue
        if name.startswith(GENERATED):
            continue
        lines = list(difflib.unified_diff(texts(old), texts(new), name, name, n=0, lineterm=""))
        if lines:
            found.append("\n".join(lines))
        one, two = figures(old), figures(new)
        if len(one) != len(two):
            found.append(f"{name}: {len(one)} figures before, {len(two)} after")
        for i, (a, b) in enumerate(zip(one, two, strict=False)):
            if a != b:
                moved = len(set(a) ^ set(b))
                found.append(f"{name}: figure {i + 1} differs, {moved} shapes are in one alone")
    return found


def main() -> int:
    """Compare the two folders that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path, help="a built book: the folder of its index.html")
    parser.add_argument("after", type=Path)
    options = parser.parse_args()
    found = differences(options.before / "book", options.after / "book")
    print("\n\n".join(found) or "no page differs")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
