"""Numbers that carry the records behind them onto the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Sources:
    """The page that lists records, and their ids."""

    page: str
    runs: Sequence[str]

    def cite(self, text: str) -> str:
        """Return ``text`` as an HTML link to the list of its records, whose ids are its title."""
        several = "s" if len(self.runs) != 1 else ""
        title = f"From {len(self.runs)} record{several}: {', '.join(self.runs)}"
        href = f"{self.page}.html#records"
        return f'<a class="number" href="{href}" title="{escape(title)}">{escape(text)}</a>'


@dataclass(frozen=True)
class Cited:
    """A value to glue: HTML on a page, plain text elsewhere."""

    text: str
    sources: Sources

    def _repr_html_(self) -> str:
        return self.sources.cite(self.text)

    def __repr__(self) -> str:
        return self.text
