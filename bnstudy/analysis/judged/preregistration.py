"""What a build refuses: records of a confirmatory chapter that its frozen rules were not made before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from bnstudy.analysis.judged.design import CONFIRMATORY
from bnstudy.analysis.judged.digest import digests_of, reads
from bnstudy.analysis.judged.parts import Claim

FILE = Path("judge") / "frozen.json"


class PreregistrationError(ValueError):
    """A confirmatory record isn't what the frozen rules were made for; the message names it, and why."""


class Recorded(Protocol):
    """A record, as ``bnstudy.records`` has it: what was run, and where it comes from."""

    @property
    def spec(self) -> Any:
        """The specification of the run: its ``name``, its ``seed`` and what it trains."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where it comes from: ``rules``, a digest for each claim; ``date``, UTC, as ISO 8601 writes it."""


@dataclass(frozen=True)
class Deviation:
    """Records that a chapter judges although they don't keep to its frozen rules, and why it does.

    ``records``: their runs' names. It is listed in the chapter's ``judged.py``, as ``DEVIATIONS``, and its
    page has to print it.
    """

    claim: str
    records: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Frozen:
    """The commit that froze the rules, when, and each claim's digest then."""

    commit: str
    date: str
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Refusal:
    """A record that a claim may not be judged by, and why; no ``record``: the rules themselves."""

    claim: str
    record: str
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.claim}, record {self.record}: {self.reason}"
            if self.record
            else f"{self.claim}: {self.reason}"
        )


def freeze(root: Path, commit: str, digests: Mapping[str, str]) -> Path:
    """Write down, below a data folder, that ``commit`` froze the rules of these digests; return the file."""
    path = root / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    body = {"commit": commit, "date": now, "digests": dict(digests)}
    path.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")
    return path


def frozen(root: Path) -> Frozen:
    """Return what froze the rules.

    Raises:
        PreregistrationError: nothing did, or its file can't be read.
    """
    try:
        body = json.loads((root / FILE).read_text())
        return Frozen(body["commit"], body["date"], body["digests"])
    except (OSError, ValueError, KeyError) as error:
        raise PreregistrationError(f"no frozen rules: {root / FILE} can't be read ({error})") from error


def refusals(
    records: Iterable[Recorded],
    since: Frozen,
    claims: Sequence[Claim],
    deviations: Iterable[Deviation] = (),
) -> list[Refusal]:
    """Return what is wrong with the records that ``claims``, all of the book, are judged by.

    A record is refused for a claim that reads it if its seed isn't confirmatory, if it was trained before the
    rules were frozen, or under other rules than today's. Rules that aren't those that were frozen are refused
    themselves. What a chapter names as a deviation isn't.
    """
    today = digests_of(claims)
    named = {(d.claim, name) for d in deviations for name in d.records}
    found = [
        Refusal(claim.id, "", f"its rules are not those that {since.commit} froze")
        for claim in claims
        if since.digests.get(claim.id) != today[claim.id]
    ]
    for record in records:
        for claim in claims:
            name = record.spec.name
            if reads(claim, record.spec) and (claim.id, name) not in named:
                reason = _wrong(record, claim.id, today[claim.id], since)
                found += [Refusal(claim.id, name, reason)] if reason else []
    return found


def check(
    records: Iterable[Recorded],
    since: Frozen,
    claims: Sequence[Claim],
    deviations: Iterable[Deviation] = (),
) -> None:
    """Refuse what ``refusals`` finds.

    Raises:
        PreregistrationError: names every record, and why.
    """
    found = refusals(records, since, claims, deviations)
    if found:
        raise PreregistrationError(
            "records that the frozen rules were not made before; a chapter may name them as deviations: "
            + "; ".join(map(str, found))
        )


def _wrong(record: Recorded, claim: str, digest: str, since: Frozen) -> str:
    seed = record.spec.seed
    if seed not in CONFIRMATORY:
        return f"its seed is {seed}; allowed: {CONFIRMATORY.start} to {CONFIRMATORY.stop - 1}"
    stored = record.provenance.get("rules", {}).get(claim)
    if stored is None:
        return "it was trained before the claim had rules"
    if stored != digest:
        return f"it was trained under other rules: {stored}; today's: {digest}"
    date = record.provenance.get("date")
    if date is None:
        return "it doesn't say when it was trained"
    if _when(date) < _when(since.date):
        return f"it was trained on {date}, before the rules were frozen on {since.date}"
    return ""


def _when(date: str) -> datetime:
    # What has no zone is UTC.
    found = datetime.fromisoformat(date)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
