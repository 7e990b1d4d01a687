"""The built book in a real browser: what a reader opens from a folder, without any network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
CHAPTERS = ("decay", "index", "methods", "references", "reproduce")

# None of these needs the network, and without them Chromium calls home.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

WIDE, PHONE = 1280, 390

pytestmark = pytest.mark.slow


def unavailable(reason: str) -> None:
    """Skip, or fail where the browser checks are required, as in .ci/run."""
    if os.environ.get("BNSTUDY_REQUIRE_BROWSER"):
        pytest.fail(f"the browser checks are required, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def chromium() -> str:
    found = [shutil.which(n) for n in ("chromium", "chromium-browser", "google-chrome")]
    path = os.environ.get("BNSTUDY_CHROMIUM") or next(filter(None, found), None)
    if path is None:
        unavailable("there is no Chromium here; on Debian: apt-get install chromium")
    return str(path)


def is_current(index: Path) -> bool:
    """Whether the built book is younger than all that it is built from."""
    if not index.is_file():
        return False
    sources = [ROOT / "_config.yml", ROOT / "_toc.yml"]
    for folder in ("book", "bnstudy", "data/runs"):
        sources += [p for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    return max(p.stat().st_mtime for p in sources) <= index.stat().st_mtime


@pytest.fixture(scope="module")
def html(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The book's folder: the one that `make report` left if it is current, else a build of its own."""
    if is_current(HTML / "index.html"):
        return HTML
    command = Path(sys.executable).parent / "jupyter-book"
    if not command.exists():
        unavailable("there is no current build, and no jupyter-book beside this Python to make one")
    out = tmp_path_factory.mktemp("book")
    build = [command, "build", "-W", "-n", "--keep-going", "--path-output", out, ROOT]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return out / "_build" / "html"


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        instance = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield instance
        instance.close()


@dataclass
class Visit:
    """One page as opened, and what went wrong on the way."""

    page: Any
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser: Any, html: Path) -> Iterator[Any]:
    contexts = []

    def open_page(name: str, width: int = WIDE, scheme: str = "light") -> Visit:
        # A fresh context remembers nothing, so that the page follows the scheme asked for.
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        seen = Visit(context.new_page())
        local = ("file:", "data:", "blob:")
        seen.page.on("request", lambda r: None if r.url.startswith(local) else seen.foreign.append(r.url))
        seen.page.on("requestfailed", lambda r: seen.complaints.append(f"not loaded: {r.url}"))
        seen.page.on("pageerror", lambda e: seen.complaints.append(str(e)))
        seen.page.on("console", lambda m: seen.complaints.append(m.text) if m.type == "error" else None)
        seen.page.goto((html / "book" / f"{name}.html").as_uri(), wait_until="load")
        # MathJax typesets after loading.
        seen.page.evaluate("() => window.MathJax && MathJax.startup && MathJax.startup.promise")
        # A colour read in the middle of a transition is neither of its two.
        seen.page.add_style_tag(content="*, ::before, ::after { transition: none !important }")
        return seen

    yield open_page
    for context in contexts:
        context.close()


def test_every_chapter_is_tested(html: Path) -> None:
    assert {p.stem for p in (html / "book").glob("*.html")} == set(CHAPTERS)


def test_the_first_page_leads_to_the_book(browser: Any, html: Path) -> None:
    page = browser.new_page()
    page.goto((html / "index.html").as_uri())
    page.wait_for_url("**/book/index.html")
    page.close()


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_page_asks_nothing_of_other_hosts_and_throws_no_error(visit: Any, name: str) -> None:
    seen = visit(name)
    # Lazily loaded figures only load once they are seen.
    seen.page.evaluate("() => window.scrollTo(0, document.body.scrollHeight)")
    seen.page.wait_for_timeout(300)
    assert seen.foreign == []
    assert seen.complaints == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_formula_is_rendered(visit: Any, name: str) -> None:
    page = visit(name).page
    formulas = page.locator("span.math, div.math")
    rendered = page.locator("span.math mjx-container svg, div.math mjx-container svg")
    if name == "methods":
        assert formulas.count() > 20
    assert rendered.count() >= formulas.count()
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_figure_is_loaded_and_has_alt_text_and_caption(visit: Any, name: str) -> None:
    page = visit(name).page
    images = page.locator(".bd-article img")
    if name == "decay":
        assert images.count() > 0
    for i in range(images.count()):
        image = images.nth(i)
        image.scroll_into_view_if_needed()
        source = image.get_attribute("src")
        assert image.evaluate("e => e.decode().then(() => e.naturalWidth > 0)"), source
        # The file's own name is what Sphinx writes where nobody wrote a text.
        alt = image.get_attribute("alt") or ""
        assert len(alt) > 20, source
        assert not alt.endswith((".svg", ".png")), source
        assert image.locator("xpath=ancestor::figure//figcaption").count() == 1, source


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_code_of_a_notebook_shows_unless_unfolded(visit: Any, name: str) -> None:
    page = visit(name).page
    code = page.locator(".cell_input pre")
    assert [code.nth(i).inner_text()[:60] for i in range(code.count()) if code.nth(i).is_visible()] == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_page_says_what_it_was_built_from(visit: Any, name: str) -> None:
    text = visit(name).page.locator(".provenance").inner_text()
    assert "bnstudy 0." in text
    assert "commit " in text
    assert "records " in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, PHONE])
@pytest.mark.parametrize("name", CHAPTERS)
def test_a_page_is_accessible(visit: Any, name: str, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = visit(name, width, scheme).page
    assert page.evaluate("() => document.documentElement.dataset.theme") == scheme
    # Preloading would fetch style sheets by script, which a browser refuses over file://.
    found = axe.run(page, options={"preload": False, "resultTypes": ["violations"]})
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found.response["violations"]] == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_page_is_wider_than_a_phone(visit: Any, name: str) -> None:
    page = visit(name, PHONE).page
    assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE


def test_links_within_the_book_lead_somewhere(visit: Any, html: Path) -> None:
    for name in CHAPTERS:
        page = visit(name).page
        links = page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
        for link in sorted({x.removeprefix("file://") for x in links if x.startswith("file://")}):
            target = link.split("#")[0].split("?")[0]
            assert Path(target).exists(), f"{name} links to {target}"
