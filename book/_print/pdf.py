"""Print the built book, the second time with the numbers of its pages: ``pdf.py BROWSER HTML PDF``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import one_page
from pypdf import PdfReader

OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-pdf-header-footer",
    "--generate-pdf-document-outline",
    "--virtual-time-budget=60000",
]


def printed(browser: str, page: Path, pdf: Path) -> dict[str, int]:
    """Print a page into ``pdf`` and return on which sheet each of its anchors is, the first being 1."""
    command = [browser, *OPTIONS, f"--print-to-pdf={pdf}", page.resolve().as_uri()]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    reader = PdfReader(pdf)
    places = reader.named_destinations.items()
    return {
        name.removeprefix("/"): number + 1
        for name, place in places
        if (number := reader.get_destination_page_number(place)) is not None
    }


def main(browser: str, html: Path, pdf: Path) -> None:
    """Write the book as ``pdf``."""
    page = html / "book" / "print.html"
    try:
        one_page.main(html)
        numbers = printed(browser, page, pdf)
        one_page.main(html, numbers)
        if printed(browser, page, pdf) != numbers:
            raise RuntimeError("the contents with their numbers take other room than without")
    finally:
        page.unlink(missing_ok=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
