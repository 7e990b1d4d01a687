"""Sphinx extension: what a page says of itself to search engines and in messages, and its sources."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape as escape_xml

from docutils import nodes
from published import Published, published

# What a search engine shows of a description.
LENGTH = 200
CARD = "_static/card.png"
CARD_SAYS = (
    "Test accuracy of the same weights by decay of the moving averages, with 95 % intervals over seeds."
)


def description(page: nodes.document, title: str) -> str:
    """Return a page's first sentences, at most ``LENGTH`` signs of them."""
    said = ""
    for paragraph in page.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section | nodes.document):
            said = f"{said} {' '.join(_plain(paragraph).split())}".strip()
        if len(said) > LENGTH // 2:
            break
    said = said or title
    if len(said) <= LENGTH and said[-1] in ".!?。！？":
        return said
    # At the end of a sentence if there is one, else of a word; Chinese ends its sentences otherwise.
    ends = [end.end() for end in re.finditer(r"[.!?](?=\s)|[。！？]", said[:LENGTH])]
    if ends and ends[-1] > LENGTH // 3:
        return said[: ends[-1]]
    return said if len(said) <= LENGTH else said[: LENGTH - 1].rsplit(" ", 1)[0] + "…"


def _plain(paragraph: nodes.paragraph) -> str:
    # Words of the glossary stand in it as HTML.
    return "".join(
        unescape(re.sub(r"<[^>]*>", "", part)) if isinstance(part.parent, nodes.raw) else part
        for part in paragraph.findall(nodes.Text)
    )


def _tags(values: dict[str, str]) -> str:
    kinds = {name: "property" if name.startswith(("og:", "article:")) else "name" for name in values}
    return "\n".join(
        f'<meta {kinds[name]}="{name}" content="{escape(value)}"/>' for name, value in values.items() if value
    )


def _say(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    site: Published = app.config.bnstudy_published
    if page == "404" and site.address:
        # It is shown at any address that leads nowhere; its links begin at the site's.
        context["metatags"] = f'<base href="{urlsplit(site.address).path}/"/>\n{context.get("metatags", "")}'
    if doctree is None:
        return
    title = re.sub(r"<[^>]*>", "", context["title"])
    meta = app.env.metadata.get(page, {})
    said = meta.get("description") or description(doctree, title)
    relative = app.builder.get_relative_uri(page, "x").removesuffix("x.html")
    root = f"{site.address}/" if site.address else relative
    context["metatags"] = context.get("metatags", "") + _tags(
        {
            "description": said,
            "author": app.config.author,
            "og:type": "article",
            "og:site_name": app.config.project,
            "og:title": title,
            "og:description": said,
            "og:url": f"{site.address}/{page}.html" if site.address else "",
            "og:image": root + CARD,
            "og:image:width": "1200",
            "og:image:height": "630",
            "og:image:alt": CARD_SAYS,
            "og:locale": {"zh-Hans": "zh_CN"}.get(str(context.get("language")), "en_GB"),
            "twitter:card": "summary_large_image",
        }
    )


def _lead(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    site: Published = app.config.bnstudy_published
    if doctree is None or not site.repository:
        return
    source = Path(app.env.doc2path(page, base=False)).as_posix()
    links = {"Source": site.blob(source), "Issue": site.issue(page)}
    says = {"Source": "The source of this page", "Issue": "Say what is wrong on this page"}
    if source.endswith(".ipynb"):
        for service, address in site.launches().items():
            links[f"Run on {service}"] = address
            says[f"Run on {service}"] = f"Run a chapter on scikit-learn's digits, on {service}"
    icons = {"Source": "fab fa-github", "Issue": "fas fa-lightbulb"}
    context["header_buttons"].append(
        {
            "type": "group",
            "tooltip": "Source, issue, and running it",
            "icon": "fab fa-github",
            "label": "repository-buttons",
            "buttons": [
                {
                    "type": "link",
                    "url": address,
                    "text": text,
                    "tooltip": says[text],
                    "icon": icons.get(text, "fas fa-rocket"),
                    "label": "repository-button",
                }
                for text, address in links.items()
            ],
        }
    )


def _not_found(app: Any) -> Iterator[tuple[str, dict[str, Any], str]]:
    body = (
        "<h1>There is no such page</h1>\n<p>The address leads nowhere; a page may have moved. The "
        '<a href="book/index.html">front page</a> has every chapter, '
        'the <a href="search.html">search</a> every word.</p>\n'
        '<p lang="zh-Hans">没有这个页面：地址有误，或者页面已经移走。请从'
        '<a href="book/zh.html" hreflang="zh-Hans">中文版首页</a>查找。</p>'
    )
    yield "404", {"title": "There is no such page", "body": body}, "page.html"


def doorway(front: str, address: str) -> str:
    """Return the page at the site's own address: it leads to the front page, and says what that says."""
    said = re.findall(r'<meta (?:name|property)="(?:description|author|og:|twitter:)[^>]*>', front)
    title = re.search(r"<title>.*?</title>", front, re.S)
    # The front page lies in a folder; addresses there that aren't whole begin one folder up.
    tags = "\n".join(said).replace('content="../', 'content="')
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        f"{title[0] if title else ''}\n{tags}\n"
        f'<meta http-equiv="refresh" content="0; url={address}"/>\n<link rel="canonical" href="{address}"/>\n'
        f'</head>\n<body><a href="{address}">The book</a></body>\n</html>\n'
    )


def _open_door(app: Any, failed: Exception | None) -> None:
    if failed is not None or app.builder.format != "html":
        return
    front = Path(app.outdir) / f"{app.config.root_doc}.html"
    address = f"{app.config.root_doc}.html"
    (Path(app.outdir) / "index.html").write_text(doorway(front.read_text(encoding="utf-8"), address), "utf-8")


def _map(app: Any, failed: Exception | None) -> None:
    site: Published = app.config.bnstudy_published
    if failed is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    # A map holds whole addresses, which nobody knows of a book in a folder.
    if site.address:
        pages = [escape_xml(f"{site.address}/{page}.html") for page in sorted(app.env.found_docs)]
        urls = "".join(f"<url><loc>{page}</loc></url>\n" for page in pages)
        (out / "sitemap.xml").write_text(
            '<?xml version="1.0" encoding="utf-8"?>\n'
            f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}</urlset>\n'
        )
        (out / "robots.txt").write_text(f"User-agent: *\nAllow: /\nSitemap: {site.address}/sitemap.xml\n")


def _settle(app: Any, config: Any) -> None:
    site = published()
    config.bnstudy_published = site
    if site.address:
        config.html_baseurl = f"{site.address}/"


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_config_value("bnstudy_published", None, "")
    app.connect("config-inited", _settle)
    app.connect("html-page-context", _say)
    # The theme makes its list of buttons first.
    app.connect("html-page-context", _lead, priority=900)
    app.connect("html-collect-pages", _not_found)
    app.connect("build-finished", _map)
    # Where there is none at the end, the table of contents writes one that says nothing.
    app.connect("build-finished", _open_door, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
