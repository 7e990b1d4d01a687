"""What the simulations gave: a recorded result, checked by digest, that the build reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnstudy.analysis.judged.digest import digests_of
from bnstudy.analysis.judged.parts import Claim
from bnstudy.analysis.procedure import ALPHA
from bnstudy.analysis.simulate import cases
from bnstudy.analysis.simulate.book import SKEWNESSES, SPREADS, Book, of_the_book, power

FILE = Path("judge") / "simulation.json"

# Digits of a recorded share: what is beyond is chance.
_DIGITS = 5


class SimulationError(Exception):
    """The recorded simulation is missing, damaged, or of other rules than today's; the message says which."""


def simulate(claims: Sequence[Claim], studies: int, seed: int = 0, progress: bool = False) -> dict[str, Any]:
    """Return the results for a book of claims: false answers, hard cases, and each part's power.

    Each case draws from a generator of its own, so that none depends on which others are simulated.
    """
    book = Book.of(claims)
    false = []
    for spread in SPREADS:
        for skewness in SKEWNESSES:
            _say(progress, f"spread x{spread:g}, skewness {skewness:g}")
            random = np.random.default_rng([seed, 0, round(100 * spread), round(10 * skewness)])
            found = of_the_book(book, random, studies, spread, skewness)
            for truth, share in found.items():
                false.append({"truth": truth, "spread": spread, "skewness": skewness, "share": share})
    _say(progress, "hard cases")
    return {
        "rules": digests_of(claims),
        "expected": _expected(book),
        "alpha": ALPHA,
        "quantities": len(book.quantities),
        "studies": studies,
        "seed": seed,
        "false": false,
        "hard": _hard(book, studies, seed),
        "power": [
            {"spread": spread, "seeds": "most" if most else "planned", **row}
            for i, spread in enumerate(SPREADS)
            for most in (False, True)
            for row in power(book, np.random.default_rng([seed, 1, i]), studies, spread, most=most)
        ],
    }


def _hard(book: Book, studies: int, seed: int) -> dict[str, Any]:
    epsilons = [q for q in book.quantities if q.name.startswith("epsilon")]
    [steps] = [q for q in book.quantities if q.name.startswith("steps to a result")]
    few = max(1, studies // 10)

    def random(case: int) -> np.random.Generator:
        return np.random.default_rng([seed, 2, case])

    return {
        "no spread, at a bound": cases.no_spread_at_a_bound(book),
        "two values": cases.two_values(book, random(0), studies),
        "rounded to half a standard deviation": cases.rounded(book, random(1), studies, 0.5),
        "rounded to two standard deviations": cases.rounded(book, random(2), studies, 2.0),
        "six equal epsilons": cases.equal_epsilons(epsilons, book, random(3), few),
        "times cut off": cases.cut_off(steps, book, random(4), few, horizon=8602.0),
        "seeds added": [
            {
                "spread": spread,
                "skewness": skewness,
                "share": cases.topped_up(book, random(5 + 10 * i + j), studies, spread, skewness),
            }
            for i, spread in enumerate(SPREADS)
            for j, skewness in enumerate(SKEWNESSES)
        ],
    }


def largest_false_share(results: dict[str, Any]) -> float:
    """Return the largest share of studies, of any kind simulated, in which the book has a false answer."""
    hard = results["hard"]
    shares = [row["share"] for row in (*results["false"], *hard["seeds added"])]
    shares += [value for name, value in hard.items() if isinstance(value, float)]
    return float(max(*shares, hard["six equal epsilons"]["fails"], hard["times cut off"]["judged"]))


def write(results: dict[str, Any], root: Path) -> Path:
    """Write results below a data folder, with their checksum; return the file."""
    path = root / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    body = _rounded(results)
    path.write_text(json.dumps({**body, "sha256": _checksum(body)}, indent=1, sort_keys=True) + "\n")
    return path


def read(root: Path, claims: Sequence[Claim]) -> dict[str, Any]:
    """Return the recorded results for a book of claims.

    Raises:
        SimulationError: there are none, they don't match their checksum, or the rules or expectations that
            they were made for are not today's.
    """
    path = root / FILE
    again = "make it again: bnstudy simulate"
    try:
        body: dict[str, Any] = json.loads(path.read_text())
        checksum = body.pop("sha256")
    except (OSError, ValueError, KeyError) as error:
        raise SimulationError(f"the simulation {path} can't be read ({error}); {again}") from error
    if checksum != _checksum(body):
        raise SimulationError(f"the simulation {path} is damaged: it doesn't match its checksum; {again}")
    today = _rounded({"rules": digests_of(claims), "expected": _expected(Book.of(claims))})
    for name, what in (("rules", "rules"), ("expected", "expectations")):
        if body[name] != today[name]:
            raise SimulationError(f"the simulation {path} is of other {what} than today's; {again}")
    return body


def _expected(book: Book) -> dict[str, list[float]]:
    return {q.name: [q.pilot.mean, q.pilot.seeds, q.pilot.images, q.pilot.second] for q in book.quantities}


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return round(value, _DIGITS) if isinstance(value, float) else value


def _say(progress: bool, what: str) -> None:
    if progress:
        print(what, flush=True)
