"""A report for the terminal, in 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from bnstudy.doctor.finding import Finding

WIDTH = 80
NAMED = 3  # layers that a line names before it counts the others
LABEL = 7


def of(headline: str, findings: Sequence[Finding], remarks: Sequence[str]) -> str:
    """Return the report: a table with a line a code, then what each means and what to do."""
    lines = [*_wrap(headline, "")]
    groups = grouped(findings)
    if groups:
        lines += ["", f"{'':8} {'code':20} {'layers':7} seen", "-" * WIDTH]
        for group in groups:
            first, number = group[0], sum(f.layer is not None for f in group)
            head = f"{first.severity:8} {first.code:20} {number or 'model':<7} "
            lines += _wrap(first.seen, head)
    for group in groups:
        lines += ["", *_details(group)]
    if remarks:
        lines.append("")
        for remark in remarks:
            lines += _wrap(remark, "- ")
    return "\n".join(lines)


def grouped(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Return the findings that say the same of several layers together."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.code, finding.cause), []).append(finding)
    return list(groups.values())


def layer_names(group: list[Finding]) -> str:
    """Return the layers of a group in words, not all of them if there are many."""
    names = [f.layer or "(the model itself)" for f in group if f.layer is not None]
    if not names:
        return "the model"
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _details(group: list[Finding]) -> list[str]:
    first = group[0]
    lines = _wrap(f"{first.code}: {layer_names(group)}", f"{first.severity.upper():{LABEL}} ")
    seen = first.seen if len(group) == 1 else f"{first.layer}: {first.seen}"
    for label, said in (("seen", seen), ("means", first.cause), ("sure", first.sure)):
        lines += _wrap(said, f"{label:{LABEL}} ")
    for number, line in enumerate(first.fix.splitlines()):
        # Code is not wrapped: it is there to be copied.
        lines.append(f"{'do' if number == 0 else '':{LABEL}} {line}")
    lines += _wrap(first.reference, f"{'see':{LABEL}} ")
    return lines


def _wrap(said: str, head: str) -> list[str]:
    return textwrap.wrap(
        said,
        WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=True,
        break_on_hyphens=False,
    ) or [head.rstrip()]
