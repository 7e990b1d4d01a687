"""A report for a notebook: a table, details to unfold, and a figure if matplotlib is there."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from bnstudy.doctor import text
from bnstudy.doctor.sarif import address

if TYPE_CHECKING:
    import pandas as pd

    from bnstudy.doctor.finding import Finding

# Marks that don't need colour to be told apart; ink is the page's own, so that light and dark both work.
MARKS = {"error": "✖", "warning": "▲", "note": "●"}


def of(
    headline: str, findings: Sequence[Finding], remarks: Sequence[str], layers: pd.DataFrame | None
) -> str:
    """Return the report as HTML that any notebook shows, in its own colours."""
    parts = [f"<p>{escape(headline)}</p>"]
    groups = text.grouped(findings)
    if groups:
        rows = "".join(_row(group) for group in groups)
        parts.append(
            "<table><thead><tr><th>severity</th><th>code</th><th>layers</th><th>seen</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )
    parts += [_details(group) for group in groups]
    parts += [f"<p>{escape(remark)}</p>" for remark in remarks]
    if layers is not None and len(layers):
        try:
            from bnstudy.doctor import figure
        except ImportError:
            pass
        else:
            parts.append(figure.svg(layers))
    return f'<div class="bnstudy-doctor">{"".join(parts)}</div>'


def _row(group: list[Finding]) -> str:
    first = group[0]
    cells = (
        f"{MARKS[first.severity]} {first.severity}",
        f"<code style='white-space:nowrap'>{escape(first.code)}</code>",
        escape(text.layer_names(group)),
        escape(first.seen),
    )
    return "<tr>" + "".join(f'<td style="text-align:left">{cell}</td>' for cell in cells) + "</tr>"


def _details(group: list[Finding]) -> str:
    first = group[0]
    link = f'<a href="{escape(address(first.reference))}">{escape(first.reference)}</a>'
    return (
        f"<details><summary><code>{escape(first.code)}</code>: what it means, what to do</summary>"
        f"<p>{escape(first.cause)}</p><pre><code>{escape(first.fix)}</code></pre>"
        f"<p>How sure: {escape(first.sure)}. The same trouble: {link}</p></details>"
    )
