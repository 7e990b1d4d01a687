"""What a claim of the second round is: parts, each a bound on one quantity, and what code settles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from bnstudy.analysis.judged.design import Block
from bnstudy.analysis.judged.training import Blocks
from bnstudy.analysis.procedure import Outcomes, Sample

Side = Literal["above", "below", "within"]
Scale = Literal["points", "factor", "number", "share"]
Estimate = Callable[[Blocks], Sample | Outcomes]
Places = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Pilot:
    """What is expected of a quantity, from exploratory records or other work: for simulations, never a
    verdict.

    ``mean``; ``seeds``: standard deviation between seeds; ``images``: standard error by the choice of the
    images alone, whatever the number of seeds; ``second``: standard deviation between the units of a second
    component. In the quantity's scale (of a factor: binary logarithms).
    """

    mean: float
    seeds: float
    images: float = 0.0
    second: float = 0.0


class Reads(NamedTuple):
    """A block, and those of its arms that a quantity reads."""

    block: Block
    arms: tuple[str, ...]


@dataclass(frozen=True)
class Quantity:
    """One number that the records estimate with one interval, which decides every bound on it.

    * ``name``: its key, the same in every claim that asks about it; it counts once in the family.
    * ``estimate``: how a sample is taken from recorded trainings. A frozen dataclass: its fields are what
      decides it.
    * ``reads``: the arms that it is taken from.
    * ``scale``: "points": shares; "factor": binary logarithms of ratios; "number"; "share": of yes and no.
    * ``target``: the half-width at which it counts as measured (of a factor: a binary logarithm).
    """

    name: str
    estimate: Estimate
    reads: tuple[Reads, ...]
    scale: Scale
    target: float
    pilot: Pilot

    def places(self) -> Places:
        """Return the names of the blocks and arms that it is taken from."""
        return tuple((block.name, arms) for block, arms in self.reads)


@dataclass(frozen=True)
class Part:
    """A statement about one quantity: it lies above or below a bound, or within ``-bound`` and ``bound``.

    * ``bound``: in the quantity's scale, justified without the judged seeds.
    * ``grades``: farther bounds on the same side, by name, answered by the same interval: how large.
    * ``votes``: whether the claim's verdict counts it; a part that doesn't vote has its answer all the
      same.
    """

    name: str
    quantity: Quantity
    side: Side
    bound: float
    grades: Mapping[str, float] = field(default_factory=dict)
    votes: bool = True


@dataclass(frozen=True)
class Verified:
    """A statement that a definition or code settles: it has no interval, but a test, ``file::function``."""

    name: str
    holds: bool
    test: str
    votes: bool = True


@dataclass(frozen=True)
class Claim:
    """A claim, and what it comes down to. Sentences are apart (``Words``): they decide nothing."""

    id: str
    parts: tuple[Part, ...]
    verified: tuple[Verified, ...] = ()

    def quantities(self) -> tuple[Quantity, ...]:
        """Return the quantities of its parts, each once."""
        return tuple({part.quantity.name: part.quantity for part in self.parts}.values())


def quantities_of(claims: Iterable[Claim]) -> dict[str, Quantity]:
    """Return the quantities of claims by name, each once.

    Raises:
        ValueError: two different quantities have one name.
    """
    found: dict[str, Quantity] = {}
    for quantity in (q for claim in claims for q in claim.quantities()):
        if found.setdefault(quantity.name, quantity) != quantity:
            raise ValueError(f"two quantities are called {quantity.name!r}; allowed: one")
    return found


@dataclass(frozen=True)
class Words:
    """The sentences of a claim's parts and verified statements, by their name: in English and in Chinese.

    ``why`` says why the bound is where it is.
    """

    original: str
    english: str
    parts: Mapping[str, tuple[str, str]]
    why: Mapping[str, str] = field(default_factory=dict)
