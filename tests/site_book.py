"""The built book in a real browser, for the tests of its pages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from filelock import FileLock

from bnstudy.chapters import EXPERIMENTS

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())


def listed(entries: list[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        yield entry["file"].removeprefix("book/")
        yield from listed(entry.get("sections", []))


PARTS = {part["caption"]: tuple(listed(part["chapters"])) for part in TOC["parts"]}
CHAPTERS = (TOC["root"].removeprefix("book/"), *(name for part in PARTS.values() for name in part))

# The chapters of experiments.
STUDIED = [name for name in CHAPTERS if name in EXPERIMENTS]

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
VIEWS = [(width, scheme) for width in (WIDE, PHONE) for scheme in ("light", "dark")]
# A phone's own parts are the same on every page: what is dark on one is on all.
ALSO_DARK_ON_A_PHONE = ("index", "decay", "zh")
# Long, and made by the same template as api/norm: one view, and colours are left to that page.
GENERATED = ("api/probes", "api/records", "api/tf1")


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
    for folder in ("book", "bnstudy", "data/runs", "data/bench", "data/judge"):
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
    # One build for all processes of a run, whose folders lie side by side.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", os.getpid())
    out = tmp_path_factory.getbasetemp().parent / f"book-{run}"
    with FileLock(f"{out}.lock"):
        if not (out / "_build" / "html" / "index.html").exists():
            _build(command, out)
    return out / "_build" / "html"


def _build(command: Path, out: Path) -> None:
    build = [command, "build", "-W", "-n", "--keep-going", "--path-output", out, ROOT]
    done = subprocess.run(build, capture_output=True, text=True, env={**os.environ, "BNSTUDY_TRAIN": "never"})
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        instance = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield instance
        instance.close()


LOCAL = ("file:", "data:", "blob:", "http://127.0.0.1:")


@dataclass
class Visit:
    """One page as opened, and what went wrong on the way."""

    page: Any
    # What it asked for until it was loaded, before anybody scrolled.
    first: set[str] = field(default_factory=set)
    requested: set[str] = field(default_factory=set)
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def watch(page: Any) -> Visit:
    seen = Visit(page)
    page.on("request", lambda r: seen.requested.add(r.url))
    page.on("request", lambda r: None if r.url.startswith(LOCAL) else seen.foreign.append(r.url))
    page.on("requestfailed", lambda r: seen.complaints.append(f"not loaded: {r.url}"))
    page.on("pageerror", lambda e: seen.complaints.append(str(e)))
    page.on("console", lambda m: seen.complaints.append(m.text) if m.type == "error" else None)
    return seen


@pytest.fixture(scope="module")
def visited(browser: Any, html: Path) -> Iterator[dict[str, Visit]]:
    """The pages that are open, by name: each is loaded once, for all the tests that look at it."""
    pages: dict[str, Visit] = {}
    yield pages
    for seen in pages.values():
        seen.page.context.close()


@pytest.fixture
def visit(browser: Any, html: Path, visited: dict[str, Visit]) -> Any:
    def show(name: str, width: int = WIDE, scheme: str = "light") -> Visit:
        if name not in visited:
            # A fresh context remembers nothing, so that the page follows the scheme asked for.
            context = browser.new_context(reduced_motion="reduce")
            seen = visited[name] = watch(context.new_page())
            seen.page.goto((html / "book" / f"{name}.html").as_uri(), wait_until="load")
            seen.first = set(seen.requested)
            # A colour read in the middle of a transition is neither of its two.
            seen.page.add_style_tag(content="*, ::before, ::after { transition: none !important }")
        page = visited[name].page
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        return visited[name]

    return show


def weight(seen: Visit) -> int:
    """Bytes that a page loads before anybody scrolls, as they lie in the folder."""
    files = {unquote(urlsplit(url).path) for url in seen.first if url.startswith("file:")}
    return sum(Path(file).stat().st_size for file in files)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture(scope="module")
def served(html: Path) -> Iterator[str]:
    """The book's address on a server, which a browser allows to read other files."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(html)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
