"""Parts of pages that move, each alone in a page of its own, in a real browser: no book has to be built."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

STATIC = Path(__file__).parents[1] / "book" / "_static"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def written(part: str, folder: Path) -> Path:
    """Write a page that has a part, and the scripts and styles that it says it needs; return the page."""
    (needed,) = re.findall(r'data-needs="([\w ]+)"', part)
    tags = []
    for name in needed.split():
        for kind, tag in (
            ("js", '<script src="{}" defer></script>'),
            ("css", '<link rel="stylesheet" href="{}">'),
        ):
            if (STATIC / f"{name}.{kind}").exists():
                shutil.copy(STATIC / f"{name}.{kind}", folder)
                tags.append(tag.format(f"{name}.{kind}"))
    page = folder / "part.html"
    page.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A part</title>'
        f"{''.join(tags)}</head>"
        f'<body><main class="bd-article">{part}</main></body></html>'
    )
    return page


@contextmanager
def chromium() -> Iterator[Any]:
    """Give a browser, or skip; where the browser checks are required, as in .ci/run, fail instead."""
    playwright = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("BNSTUDY_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        reason = "there is no Chromium here; on Debian: apt-get install chromium"
        if os.environ.get("BNSTUDY_REQUIRE_BROWSER"):
            pytest.fail(f"the browser checks are required, but {reason}")
        pytest.skip(reason)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, page: Path, fragment: str = "", **context: Any) -> Iterator[Any]:
    """Give a page, opened by its address; an error that its script throws fails the test."""
    errors: list[str] = []
    inside = browser.new_context(**context)
    shown = inside.new_page()
    shown.on("pageerror", lambda error: errors.append(str(error)))
    shown.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    shown.goto(page.as_uri() + fragment)
    yield shown
    inside.close()
    assert errors == []
