"""The parts that every chapter has: glued verdicts, the table of its rules, records and downloads."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt

from bnstudy.analysis.chinese import chinese
from bnstudy.analysis.rules import Finding, Verdict
from bnstudy.analysis.statistics import Amount
from bnstudy.analysis.style import use_style
from bnstudy.analysis.words import (
    LANGUAGES,
    Cited,
    Html,
    Markdown,
    Sources,
    behind_finding,
    sources_of,
    write_asked,
    write_bound,
    write_effect,
    write_label,
    write_p,
)
from bnstudy.records.store import Record

# Where a build wants the tables that its pages offer for download.
DOWNLOADS = "BNSTUDY_DOWNLOADS"
# Where the book has its records, from its root: runs/NAME/record.json, a description of all, and an archive.
RECORDS = "records"


@dataclass(frozen=True)
class Explained:
    """What an effect had to be, and what it is the effect on, to stand behind it in a table of verdicts.

    A Chinese sentence says first what was measured, ``quantity_first``.
    """

    asked: str
    measured: str
    quantity_first: bool = False

    def _repr_html_(self) -> str:
        asked, measured = (
            f'<span class="{name}">{escape(text)}</span>'
            for name, text in (("asked", self.asked), ("measured", self.measured))
        )
        if not self.quantity_first:
            return f"{asked} {measured}"
        # In a table the two have a line each.
        return f'{measured}<span class="then">；</span>{asked}'

    def __repr__(self) -> str:
        return f"({self.asked}) {self.measured}"


Glued = Cited | Explained | Html


def glued_verdicts(verdicts: Mapping[str, Verdict], sources: Sources) -> dict[str, Glued]:
    """Return what the front pages quote, by claim and language.

    ``C6_verdict_en`` is the answer, ``C6_effect_en`` the effect of the rule that decided it, and
    ``C6_rule_en`` what that effect is and what was asked of it. A verdict rests on ``sources``, an effect on
    the records that its own rule read, which may be another study's.
    """
    texts: dict[str, Glued] = {}
    rules: dict[str, Glued] = {}
    for language, words in LANGUAGES.items():
        for claim, verdict in verdicts.items():
            finding = verdict.decisive()
            behind = behind_finding(finding) if finding else None
            texts[f"{claim}_verdict_{language}"] = Cited(words.answers[verdict.answer], sources, behind)
            texts[f"{claim}_effect_{language}"] = (
                Cited(
                    write_effect(finding.effect, finding.rule.unit, words.points, words.times),
                    sources_of(finding, sources.runs),
                    behind,
                )
                if finding
                else Cited("–", sources)
            )
            rules[f"{claim}_rule_{language}"] = (
                Explained(write_asked(finding, words), write_label(finding.rule, language), language == "zh")
                if finding
                else Html("")
            )
    for claim, verdict in verdicts.items():
        if any(rule.premise for rule in verdict.claim.rules):
            rules[f"{claim}_premise_zh"] = Html("".join(_premises(verdict, sources)))
    return texts | rules


def _premises(verdict: Verdict, sources: Sources) -> Iterator[str]:
    """Yield in Chinese what came of each premise that one of a verdict's rules has, as HTML.

    The English page says it in the sentence of the rule.
    """
    words = LANGUAGES["zh"]
    for finding in verdict.findings:
        if (held := finding.premise) is None:
            continue
        rule = chinese(f"{verdict.claim.id}: {finding.rule.part}") or finding.rule.part
        effect = write_effect(held.effect, held.rule.unit, words.points, words.times)
        cited = sources_of(held, sources.runs).cite(effect, behind_finding(held))
        said = "前提成立" if held.answer == "supported" else "前提不成立，这条规则因此不下结论"
        asked = write_asked(held, words)
        yield f"“{rule}”这条规则的前提：{write_label(held.rule, 'zh')}为 {cited}（{asked}）。{said}。"


def rules_table(
    verdicts: Mapping[str, Verdict], cite: Callable[[str, Finding], str] | None = None
) -> pd.DataFrame:
    """Return what decided each claim, one column a rule: the effect, both intervals, p and effect size.

    ``cite`` makes a link of an effect that a finding says, as HTML.
    """
    columns = {}
    for claim, verdict in verdicts.items():
        for finding in verdict.findings:
            shown = [_bootstrapped(finding), write_effect(finding.student, finding.rule.unit)]
            if cite is not None:
                shown = [Html(cite(said, finding)) if isinstance(said, Amount) else said for said in shown]
            bootstrapped, student = shown
            name = claim if len(verdict.claim.rules) == 1 else f"{claim}: {finding.rule.part}"
            columns[name] = {
                "quantity": finding.rule.quantity,
                "contrast": finding.rule.contrast,
                "supported if": write_bound(finding),
                "effect [95 %, bootstrap-t]": bootstrapped,
                "effect [95 %, Student's t]": student,
                "p against the bound, after Holm": write_p(finding.p) if _spread(finding) else "no spread",
                "effect size (Hedges' g)": _size(finding),
                "seeds": str(finding.effect.count),
                "verdict": finding.answer,
            }
    return pd.DataFrame(columns).rename_axis(index="rule").reset_index()


def _spread(finding: Finding) -> bool:
    return finding.student.low != finding.student.high


def _bootstrapped(finding: Finding) -> str:
    if finding.effect == finding.student and _spread(finding):
        return "as Student's: fewer than five seeds, or tied"
    return write_effect(finding.effect, finding.rule.unit)


def _size(finding: Finding) -> str:
    return f"{finding.size:.2f}" if math.isfinite(finding.size) and _spread(finding) else "–"


def machines(records: Mapping[str, Record], sources: Sources, chinese: bool = False) -> Cited:
    """Return on what the records were made: processor, threads, libraries, and hours of all runs together."""
    made = [records[run].provenance for run in sources.runs]
    kinds = sorted({_machine(provenance, chinese) for provenance in made})
    hours = sum(provenance["wall_seconds"] for provenance in made) / 3600
    if chinese:
        return Cited(f"{'；'.join(kinds)}；共 {hours:.1f} 小时", sources)
    return Cited(f"{'; '.join(kinds)}; {hours:.1f} hours in all", sources)


def _machine(provenance: Mapping[str, Any], chinese: bool) -> str:
    between = "，" if chinese else ", "
    libraries = between.join(f"{name} {version}" for name, version in sorted(provenance["libraries"].items()))
    threads = provenance["threads"]
    if chinese:
        return (
            f"{provenance['device']}，每次运行 {threads} 个线程，Python {provenance['python']}，{libraries}"
        )
    return (
        f"{provenance['device']}, {threads} thread{'s' if threads > 1 else ''} a run, "
        f"Python {provenance['python']}, {libraries}"
    )


def in_the_book() -> bool:
    """Set the book's style, and tell a notebook to show figures as SVG and tables plainly; is this in one?"""
    use_style()
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return False
    shell.run_line_magic("config", 'InlineBackend.figure_formats = ["svg"]')
    shell.display_formatter.formatters["text/html"].for_type(pd.DataFrame, show)
    if "inline" in mpl.get_backend():
        # A cell's figures are shown and closed; pyplot would draw each once more before, for nobody.
        plt.switch_backend(mpl.get_backend())
        plt.uninstall_repl_displayhook()
    return True


def show(table: pd.DataFrame, cite: Callable[[Amount], str] | None = None) -> Html:
    """Return a table as HTML, without the column of row numbers that pandas would put first.

    A cell that is HTML stays as it is; ``cite`` makes a link of one that remembers its values by seed.
    """

    def written(cell: object) -> object:
        if isinstance(cell, Amount) and cite is not None and cell.interval.seeds:
            return cite(cell)
        return escape(cell, quote=False) if isinstance(cell, str) and not isinstance(cell, Html) else cell

    return Html(table.map(written).rename(columns=written).to_html(index=False, border=0, escape=False))


def show_tables(cite: Callable[[Amount], str]) -> None:
    """Tell the notebook, in the book, to make links of the numbers in tables that remember their values."""
    formatters = sys.modules["IPython"].get_ipython().display_formatter.formatters
    formatters["text/html"].for_type(pd.DataFrame, partial(show, cite=cite))


def named_records(runs: Sequence[str]) -> list[str]:
    """Return the names of records in Markdown; in the book, as links to each one's ``record.json``."""
    if not os.environ.get(DOWNLOADS):
        return [f"`{run}`" for run in runs]
    return [f'<a class="record" href="../{RECORDS}/runs/{run}/record.json">{run}</a>' for run in runs]


def list_records(sources: Sources, stale: Sequence[str] = ()) -> Markdown:
    """Return which records are behind a page, and which of them other source code made, in Markdown.

    In the book each is a link, and those of the whole book can be had as one archive.
    """
    said = f"{len(sources.runs)} records: {', '.join(named_records(sources.runs))}."
    if os.environ.get(DOWNLOADS):
        files = ("records.zip", "datapackage.json", "runs.csv")
        links = ", ".join(f'<a href="../{RECORDS}/{file}">{file}</a>' for file in files)
        said += f" Those of the whole book: {links}."
    if not stale:
        return Markdown(said)
    which = "All" if set(stale) >= set(sources.runs) else ", ".join(named_records(stale))
    return Markdown(
        f"{said} {which} were made by other source code than this version's (`record.json` tells)."
    )


def offer_csv(tables: Mapping[str, pd.DataFrame], sources: Sources) -> Markdown:
    """Write each table beside the page that is being built, and return links to them, in Markdown.

    Outside a build there is no such page; nothing is written then.
    """
    folder = _downloads()
    if folder is None:
        return _offered_in_the_book("tables")
    links = []
    for name, table in tables.items():
        file = f"{sources.page}-{name}.csv"
        table.to_csv(folder / file, index=False)
        links.append(f'<a href="{file}" download>{file}</a> ({len(table)} rows)')
    return Markdown("Every number of this notebook's own trainings: " + ", ".join(links))


def offer_files(files: Sequence[Path]) -> Markdown:
    """Copy files beside the page that is being built, and return links to them, in Markdown."""
    folder = _downloads()
    if folder is None:
        return _offered_in_the_book("files")
    for file in files:
        shutil.copy(file, folder)
    return Markdown("As recorded: " + ", ".join(f'<a href="{f.name}" download>{f.name}</a>' for f in files))


def _offered_in_the_book(what: str) -> Markdown:
    return Markdown(f"Where this notebook is built into the book, its {what} are offered here for download.")


def _downloads() -> Path | None:
    """Return the folder beside the page that is being built, made if need be; None outside a build."""
    named = os.environ.get(DOWNLOADS)
    if not named:
        return None
    Path(named).mkdir(parents=True, exist_ok=True)
    return Path(named)
