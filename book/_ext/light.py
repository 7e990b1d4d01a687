"""Sphinx extension: a page loads what it uses, and nothing else of what the theme has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from icon_fonts import cut_fonts
from small_svg import compact
from used_css import used

# The script of the theme's icons holds two thousand of them, as long as five pages; its fonts have them too.
# The index is for the page that searches.
_UNUSED = re.compile(
    r'\s*<script[^>]*src="[^"]*(?:scripts/fontawesome\.js|_static/searchtools\.js|_static/language_data\.js|searchindex\.js)'
    r'[^"]*"[^>]*></script>'
)
# Every page has the first by the theme, and again by Sphinx and by docutils.
_VIEWPORT = re.compile(r'\s*<meta name="viewport"[^>]*>')
# Of the front page, whose title is the book's.
_TWICE = re.compile(r"<title>(.+?) &#8212; \1</title>")
_SELECTOR = "<script>var togglebuttonSelector = '.toggle, .admonition.dropdown';</script>"
_SHEETS = re.compile(
    r'\s*<(?:link|script)[^>]*"[^"]*(?:sphinx-design\.min\.css|design-tabs\.js)[^>]*>(?:</script>)?'
)
_NOTEBOOK = re.compile(r"\s*<link[^>]*_static/mystnb\.[^>]*>")
# Docutils keeps each word of code whole, which the style sheet undoes; Pygments marks blanks.
_BARE = re.compile(r'<span class="(?:pre|w)">([^<]*)</span>')
_SVG = re.compile(r"<svg\b.*?</svg>", re.S)
_IMAGE = re.compile(r'<img (?![^>]*loading=)([^>]*src="([^"]+\.svg)"[^>]*?)\s*/?>')
_VIEW_BOX = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')

# What the theme's scripts put together from parts.
_COMPOSED = ("bs-tooltip", "bs-popover", "tooltip", "dropdown", "show", "collaps", "modal", "fade", "sd-")


def lighten(html: str, name: str, folder: Path) -> str:
    """Return a built page without what it doesn't need; ``name`` is its file's, ``folder`` where it lies."""
    if name not in ("search.html", "search-zh.html"):
        html = _UNUSED.sub("", html)
    else:
        html = re.sub(r"\s*<script[^>]*scripts/fontawesome\.js[^>]*></script>", "", html)
    first = _VIEWPORT.search(html)
    if first:
        html = html[: first.end()] + _VIEWPORT.sub("", html[first.end() :])
    html = _TWICE.sub(r"<title>\1</title>", html)
    html = html.replace(_SELECTOR, "", html.count(_SELECTOR) - 1) if _SELECTOR in html else html
    if not re.search(r'class="[^"]*\bsd-', html):
        html = _SHEETS.sub("", html)
    if not re.search(r'class="(?:cell|pasted)', html):
        html = _NOTEBOOK.sub("", html)
    html = _SVG.sub(lambda drawing: compact(drawing[0]), _BARE.sub(r"\1", html))
    return _IMAGE.sub(lambda image: _lazy(image, folder), html)


def _lazy(image: re.Match[str], folder: Path) -> str:
    # The size holds the place: what comes late moves nothing.
    file = folder / image[2]
    box = _VIEW_BOX.search(file.read_text(encoding="utf-8")[:2000]) if file.is_file() else None
    wanted = box and "width=" not in image[1]
    size = f'width="{float(box[1]):.0f}" height="{float(box[2]):.0f}" ' if wanted else ""
    return f'<img loading="lazy" decoding="async" {size}{image[1]}/>'


def _lighten(app: Any, failed: Exception | None) -> None:
    if failed is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = [path for path in out.rglob("*.html") if "_static" not in path.parts]
    texts = {path: lighten(path.read_text(encoding="utf-8"), path.name, path.parent) for path in pages}
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    for drawing in (out / "_images").glob("*.svg"):
        drawing.write_text(compact(drawing.read_text(encoding="utf-8")), encoding="utf-8")
    static = out / "_static"
    icons = static / "scripts" / "fontawesome.js"
    icons.unlink(missing_ok=True)
    written = [*texts.values(), *(path.read_text("utf-8") for path in static.rglob("*.js"))]
    theme = static / "styles" / "pydata-sphinx-theme.css"
    for sheet in (theme, static / "sphinx-design.min.css"):
        sheet.write_text(used(sheet.read_text(encoding="utf-8"), written, _COMPOSED), encoding="utf-8")
    cut_fonts(theme, static.rglob("*.css"))
    whole = (path for path in static.glob("vendor/fontawesome/webfonts/*") if path.suffix != ".woff")
    for left in (*static.rglob("*.map"), *whole):
        left.unlink()


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("build-finished", _lighten, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
