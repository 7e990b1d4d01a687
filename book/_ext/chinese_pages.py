"""Sphinx extension: on a Chinese page the theme's words, the list of pages and the figures are Chinese.

So is the page that searches, if a Chinese page leads to it.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sphinx
from chinese_type import cells, closed_up
from editions import FOLDER, FRONT, counterpart, is_chinese
from sidebar import label

from bnstudy.analysis.chinese import chinese_svg

TITLE = "批归一化：实测"
# The page that searches, beside Sphinx's own, and what Sphinx says there while it does.
SEARCH = "search-zh"
CATALOGUE = "translations-zh.js"
DOOR = f"""<!DOCTYPE html>
<html lang="zh-Hans">
<head>
<meta charset="utf-8"/>
<title>{TITLE}</title>
<meta http-equiv="refresh" content="0; url=../zh.html"/>
<link rel="canonical" href="../zh.html"/>
</head>
<body><a href="../zh.html">{TITLE}</a></body>
</html>
"""
# What the theme and Sphinx say around and within a page: text between tags, and attributes.
WORDS = {
    "Skip to main content": "跳到正文",
    "Back to top": "回到顶部",
    "Search this book": "搜索本书",
    "Search": "搜索",
    "Error": "错误",
    "Please activate JavaScript to enable the search functionality.": "请启用 JavaScript，否则无法搜索。",
    "Version warning": "版本提示",
    "Main": "主导航",
    "Page": "本页目录",
    "Contents": "本页目录",
    "Answers": "解答",
    "Package": "软件包（英文）",
    "About": "关于",
    "Toggle primary sidebar": "显示或隐藏目录",
    "Toggle secondary sidebar": "显示或隐藏本页目录",
    "Download this page": "下载本页",
    "Download source file": "下载源文件",
    "Print to PDF": "打印为 PDF",
    "Fullscreen mode": "全屏",
    "Color mode": "明暗模式",
    "Light": "浅色",
    "Dark": "深色",
    "System Settings": "跟随系统",
    "previous": "上一页",
    "next": "下一页",
    "previous page": "上一页",
    "next page": "下一页",
    "Link to this heading": "本节的链接",
    "Link to this image": "本图的链接",
    "Link to this table": "本表的链接",
    "Link to this equation": "本式的链接",
    "Link to this code": "这段代码的链接",
    "Link to this term": "这个术语的链接",
    "Source, issue, and running it": "源文件、问题与运行",
    "The source of this page": "本页的源文件",
    "Say what is wrong on this page": "指出本页的错误",
    "Source": "源文件",
    "Issue": "问题",
}


def _built_from(found: re.Match[str]) -> str:
    """Return in Chinese what a page's foot says that it was built from."""
    release, commit, records, benchmarks = found.groups()
    for english, said in _COMMITS.items():
        commit = commit.replace(english, said)
    records, benchmarks = _counted(records, "条记录"), _counted(benchmarks, "项基准测试")
    return f"由 {release} 生成 · 提交 {commit} · {records} · {benchmarks}".replace("） ·", "）·")


def _counted(said: str, what: str) -> str:
    found = re.fullmatch(r"(\d+) \((\w+)\)", said)
    return f"{int(found[1]):,} {what}（{found[2]}）" if found else f"没有{what[1:]}"


_COMMITS = {
    "unknown (built outside a git checkout)": "不明（不是在 git 仓库中生成）",
    ", with uncommitted changes": "，含未提交的改动",
}
_TEXTS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"By The bnstudy authors"), "作者：bnstudy 项目组"),
    (re.compile(r"By ([^<\n]+)"), r"作者：\1"),
    (re.compile(r"© Copyright (\d+)\."), r"© \1"),
    (
        re.compile(r"Built from (bnstudy [^·<]*) · commit ([^·<]*) · records ([^·<]*) · benchmarks ([^<]*)"),
        _built_from,
    ),
    (re.compile(r"Run on (\w+)"), r"在 \1 上运行"),
    (
        re.compile(r"Run a chapter on scikit-learn's digits, on (\w+)"),
        r"在 \1 上用 scikit-learn 的 digits 跑一章",
    ),
)
# The English pages that have no translation yet, as the list of pages calls them.
PAGES = {
    "book/is_it_batch_norm": "是批归一化的问题吗？",
    "book/doctor": "诊断工具",
    "book/performance": "性能",
    "book/reproduce": "复现",
    "book/api/index": "软件包",
    "book/api/loops": "用在自己的训练循环里",
    "book/api/records": "运行、记录与分析",
    "book/references": "参考文献",
    "book/log": "日志",
    "book/changelog": "更新记录",
    "book/about": "引用、许可与联系",
}
ENGLISH = "（英文）"
_BETWEEN = re.compile(r"(?<=>)(\s*)([^<>]*\S)(\s*)(?=<)")
_ATTRIBUTE = re.compile(r'((?:title|aria-label|placeholder|data-bs-title)=")([^"]+)(?=")')
_NAVIGATION = re.compile(r'<nav class="bd-links.*?</nav>', re.S)
_ENTRY = re.compile(r'<li class="toctree-l(\d)([^"]*)"><a class="([^"]*)" href="([^"]*)">([^<]*)</a>')
_SEARCHES = re.compile(r'(<form\b[^>]*?\baction="(?:\.\./)*)search\.html')
_TOOLS = re.compile(r'<script[^>]*src="_static/searchtools\.js')
_DRAWING = re.compile(r"(_images/)([\w.-]+?)(\.svg)")


def say(words: str) -> str:
    """Return in Chinese what the theme says; the same, if it isn't known."""
    if words in WORDS:
        return WORDS[words]
    return next((p.sub(said, words) for p, said in _TEXTS if p.fullmatch(words)), words)


def around(html: str) -> str:
    """Return HTML from around a page's text with the theme's words in Chinese."""
    html = _BETWEEN.sub(lambda text: f"{text[1]}{say(' '.join(text[2].split()))}{text[3]}", html)
    return attributes(html)


def attributes(html: str) -> str:
    """Return HTML with the theme's words in attributes in Chinese."""
    return _ATTRIBUTE.sub(lambda found: found[1] + say(found[2]), html)


def navigation(listed: str, page: str, titles: dict[str, str]) -> str:
    """Return the list of all pages as ``page``, a Chinese one, shows it.

    Where a page is there in Chinese, it stands in the place of the English one; ``titles`` are what those are
    called, by page. The others have their titles in Chinese, and that they are in English.
    """
    front = next((entry for entry in _ENTRY.finditer(listed) if _target(page, entry[4]) == FRONT), None)
    if front:
        # The title above leads to it, and what it has below stands in the place of the English pages.
        listed = listed[: front.start()] + listed[_end(listed, front.start()) :]
    return _ENTRY.sub(lambda entry: _entry(entry, page, titles), listed)


def _target(page: str, href: str) -> str:
    if href.startswith("#"):
        return page
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), href)).removesuffix(".html")


def _end(listed: str, start: int) -> int:
    depth = 0
    for tag in re.finditer(r"<li\b|</li>", listed[start:]):
        depth += 1 if tag[0] == "<li" else -1
        if not depth:
            return start + tag.end()
    return len(listed)


def _entry(entry: re.Match[str], page: str, titles: dict[str, str]) -> str:
    level, more, kind, href, text = entry.groups()
    english = _target(page, href)
    other = counterpart(english)
    if other in titles:
        here = " current active" if other == page else ""
        kind = f"current {kind}" if here else kind
        href = "#" if here else posixpath.relpath(f"{other}.html", posixpath.dirname(page))
        return f'<li class="toctree-l{level}{more}{here}"><a class="{kind}" href="{href}">{titles[other]}</a>'
    if english in PAGES:
        # Above those of the package stands that they are in English.
        mark = "" if english in _OF_PACKAGE else ENGLISH
        text = PAGES[english] + mark
    return f'<li class="toctree-l{level}{more}"><a class="{kind}" href="{href}" hreflang="en">{text}</a>'


_OF_PACKAGE = {
    "book/is_it_batch_norm", "book/doctor", "book/performance", "book/reproduce",
    "book/api/index", "book/api/loops", "book/api/records",
}  # fmt: skip


def _above(html: str, page: str, titles: dict[str, str], project: str) -> str:
    """Return what stands above a page's text, in Chinese: the list of pages, the title, the search."""
    html = _NAVIGATION.sub(lambda listed: navigation(listed[0], page, titles), html)
    front = posixpath.relpath(f"{FRONT}.html", posixpath.dirname(page))
    html = re.sub(r'(<a class="navbar-brand logo" href=")[^"]*', rf"\g<1>{front}", html)
    html = html.replace(f'logo__title">{project}<', f'logo__title">{TITLE}<')
    return around(_SEARCHES.sub(rf"\g<1>{SEARCH}.html", html))


def translate(html: str, page: str, titles: dict[str, str], project: str) -> str:
    """Return a built Chinese page with all in Chinese that its author didn't write."""
    html = html.replace(f"&#8212; {project}</title>", f"&#8212; {TITLE}</title>")
    html = html.replace(
        f'<meta property="og:site_name" content="{project}"',
        f'<meta property="og:site_name" content="{TITLE}"',
    )
    start, end = html.index("<body"), html.index("<article")
    # The front page has articles within the one that it is.
    after = html.rindex("</article>")
    above = _above(html[start:end], page, titles, project)
    return html[:start] + above + closed_up(cells(attributes(html[end:after]))) + around(html[after:])


def search_page(html: str, titles: dict[str, str], project: str) -> str:
    """Return Sphinx's page that searches as Chinese pages lead to it: what nobody wrote is Chinese too."""
    html = html.replace('<html lang="en"', '<html lang="zh-Hans"', 1)
    html = html.replace(f"<title>Search - {project}</title>", f"<title>搜索 &#8212; {TITLE}</title>")
    # It has no text of an author's, and so no article.
    start = html.index("<body")
    html = html[:start] + _above(html[start:], SEARCH, titles, project)
    # Sphinx's words of a language, as its own page would have them in a book of that language.
    return _TOOLS.sub(rf'<script src="_static/{CATALOGUE}"></script>\n\g<0>', html, count=1)


def draw(html: str, images: Path) -> str:
    """Return a page that shows its figures with Chinese words; they are written beside the English ones."""

    def other(drawing: re.Match[str]) -> str:
        file = images / f"{drawing[2]}.svg"
        if not file.is_file():
            return drawing[0]
        svg = file.read_text(encoding="utf-8")
        said = chinese_svg(svg)
        if said == svg:
            return drawing[0]
        (images / f"{drawing[2]}-zh.svg").write_text(said, encoding="utf-8")
        return f"{drawing[1]}{drawing[2]}-zh{drawing[3]}"

    return _DRAWING.sub(other, html)


def _finish(app: Any, failed: Exception | None) -> None:
    if failed is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = sorted(page for page in app.env.found_docs if is_chinese(page))
    titles = {page: label(page, app.env.titles[page].astext()) for page in pages if page.startswith(FOLDER)}
    for page in pages:
        file = out / f"{page}.html"
        html = translate(file.read_text(encoding="utf-8"), page, titles, app.config.html_title)
        file.write_text(draw(html, out / "_images"), encoding="utf-8")
    # Who goes by the address of a Chinese chapter looks for the first one here.
    (out / FOLDER).mkdir(parents=True, exist_ok=True)
    (out / FOLDER / "index.html").write_text(DOOR, "utf-8")
    search = out / "search.html"
    if search.is_file():
        said = search_page(search.read_text(encoding="utf-8"), titles, app.config.html_title)
        (out / f"{SEARCH}.html").write_text(said, encoding="utf-8")
        words = Path(sphinx.package_dir, "locale", "zh_CN", "LC_MESSAGES", "sphinx.js")
        shutil.copy(words, out / "_static" / CATALOGUE)
    # It has simplified Chinese by another name than the pages say.
    button = out / "_static" / "copybutton.js"
    if button.is_file():
        said = (
            button.read_text("utf-8").replace("'zh-CN': {", "'zh-Hans': {").replace("复制成功!", "复制成功！")
        )
        button.write_text(said, "utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    # Before pages are made light, which reads how large a figure is.
    app.connect("build-finished", _finish, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
