"""Sphinx extension: say on every page which version, commit and records it was built from."""

from __future__ import annotations

import hashlib
import os
import subprocess
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bnstudy.study.run import default_data_dir


def _git(folder: Path, *arguments: str) -> str:
    """Return what git answers in ``folder``, or nothing where there is no git or no history."""
    try:
        answer = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()


def describe_commit(folder: Path) -> str:
    """Return the short commit that ``folder`` stands at, and whether its tracked files differ from it."""
    commit = _git(folder, "rev-parse", "--short=10", "HEAD")
    if not commit:
        return "unknown (built outside a git checkout)"
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}, with uncommitted changes" if changed else commit


def describe_records(folder: Path) -> str:
    """Return how many records ``folder`` holds and a hash of their names and contents."""
    files = sorted(path for path in folder.rglob("[!.]*") if path.is_file())
    digest = hashlib.sha256()
    for file in files:
        name = file.relative_to(folder).as_posix()
        digest.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    records = {file.relative_to(folder).parts[0] for file in files}
    return f"{len(records)} ({digest.hexdigest()[:10]})" if records else "none"


def describe_build(folder: Path, benchmarks: Path) -> str:
    """Return what the book in ``folder`` is built from, benchmark results in ``benchmarks`` among it."""
    try:
        release = version("bnstudy")
    except PackageNotFoundError:
        release = "not installed"
    return (
        f"bnstudy {release} · commit {describe_commit(folder)} · "
        f"records {describe_records(folder / 'data' / 'runs')} · benchmarks {describe_records(benchmarks)}"
    )


def _add_footer(app: Any, config: Any) -> None:
    # A re-run has records of its own, but shows the published benchmarks.
    facts = describe_build(Path(app.srcdir), default_data_dir() / "bench")
    # What a copied number is cited with.
    cited = escape(f"{config.author}: {config.html_title}. {facts}.")
    config.html_theme_options["extra_footer"] = (
        f'<p class="provenance" data-citation="{cited}">Built from {escape(facts)}</p>'
    )
    # A book of a re-run must not be mistaken for the published one.
    note = os.environ.get("BNSTUDY_BOOK_NOTE", "")
    if note:
        config.html_theme_options["announcement"] = escape(note)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("config-inited", _add_footer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
