"""The digest of a claim's rules: it covers what decides a verdict, and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from bnstudy.analysis.judged.design import CONFIRMATORY
from bnstudy.analysis.judged.example import example
from bnstudy.analysis.judged.parts import Claim, Estimate, Part, Places, Quantity, quantities_of
from bnstudy.analysis.judged.training import NotTestedError
from bnstudy.analysis.judged.verdicts import ANSWERS, combine
from bnstudy.analysis.procedure import ALPHA, interval


def digests_of(claims: Iterable[Claim]) -> dict[str, str]:
    """Return the digest of each of the claims, which are those of one book, by its id."""
    claims = list(claims)
    count = len(quantities_of(claims))
    return {claim.id: digest(claim, count) for claim in claims}


def reads(claim: Claim, spec: Any) -> bool:
    """Say whether a quantity of a claim reads the runs of which ``spec`` is one, whatever their seed."""
    return any(block.has(arm, spec) for q in claim.quantities() for block, arms in q.reads for arm in arms)


def digest(claim: Claim, count: int) -> str:
    """Return the SHA-256, its first 16 hexadecimal digits, of what decides a claim in a family of
    ``count``.

    That is: its parts (side, bound, grades, and whether they vote); what is settled by test, and how; of
    each quantity its contrast, which arms of which blocks it reads, seeds and target; the family's size,
    alpha, and the table of verdicts. Code decides too: each quantity's rule is applied to a made-up study,
    with and without a training that diverged, and what comes out counts. So a change of what a rule *does*
    changes the digest, and one of how it is written doesn't.

    Sentences, expectations and names of tests are not in it.
    """
    body = {
        "alpha": ALPHA,
        "seeds": [CONFIRMATORY.start, CONFIRMATORY.stop],
        "quantities": count,
        "verdicts": [[*answers, combine(answers)] for answers in _answers()],
        "parts": [_part(part) for part in claim.parts],
        "settled": [[v.name, v.holds, v.votes] for v in claim.verified],
        "measured": [_quantity(q, count) for q in claim.quantities()],
    }
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def _answers() -> Iterable[tuple[Any, ...]]:
    return itertools.chain.from_iterable(itertools.product(ANSWERS, repeat=n) for n in (1, 2, 3))


def _part(part: Part) -> dict[str, Any]:
    grades = {name: _plain(bound) for name, bound in part.grades.items()}
    return {
        "part": part.name,
        "quantity": part.quantity.name,
        "side": part.side,
        "bound": _plain(part.bound),
        "grades": grades,
        "votes": part.votes,
    }


def _quantity(quantity: Quantity, count: int) -> dict[str, Any]:
    return {
        "name": quantity.name,
        "scale": quantity.scale,
        "target": _plain(quantity.target),
        "contrast": _plain(quantity.estimate),
        "reads": [
            {
                "block": block.name,
                "seeds": block.seeds,
                "at_most": block.at_most,
                "common": _plain(block.common),
                "arms": {arm: _plain(block.arms[arm]) for arm in arms},
            }
            for block, arms in quantity.reads
        ],
        "by example": [
            _by_example(quantity.estimate, quantity.places(), diverged, count) for diverged in (False, True)
        ],
    }


@cache
def _by_example(estimate: Estimate, places: Places, diverged: bool, count: int) -> tuple[str, ...]:
    try:
        found = interval(estimate(example(estimate, places, diverged)), count)
    except NotTestedError:
        return ("not tested",)
    # Fewer digits than what libraries may differ in.
    return tuple(f"{round(value, 9) + 0.0:.8g}" for value in (found.mean, found.low, found.high))


def _plain(value: Any) -> Any:
    """Return a value as JSON has it, numbers in full."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    # An epoch that is computed may differ in its last bit.
    return f"{value:.12g}" if isinstance(value, float) else value
