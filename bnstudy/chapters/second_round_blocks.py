"""The second round's blocks of trainings: which study plans one, and what of it is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

from bnstudy.analysis.judged.design import CONFIRMATORY, TUNING, Block
from bnstudy.analysis.judged.digest import reads
from bnstudy.chapters.found import EXPERIMENTS, blocks
from bnstudy.chapters.judged import claims
from bnstudy.records.spec import Spec
from bnstudy.study.needs import Needs
from bnstudy.study.plan import Study


@dataclass(frozen=True)
class Recorded:
    """A block's trainings as planned, and what of them is recorded."""

    study: Study
    needs: Needs

    @property
    def planned(self) -> int:
        """How many runs are planned."""
        return len(self._specs)

    @property
    def count(self) -> int:
        """How many of the planned runs are recorded."""
        return self.planned - len(self.needs.missing) - len(self.needs.newer)

    @property
    def complete(self) -> bool:
        """Whether all of the planned runs are recorded."""
        return self.count == self.planned

    @property
    def tunes(self) -> bool:
        """Whether it chooses settings of other blocks, and judges nothing."""
        return self.study.first_seed in TUNING

    def seeds(self) -> tuple[int, int]:
        """Return the first and the last of its seeds."""
        seeds = [spec.seed for spec in self._specs]
        return min(seeds), max(seeds)

    def decides(self) -> list[str]:
        """Return the claims that its runs decide."""
        return [name for name, claim in claims().items() if any(reads(claim, s) for s in self._specs)]

    @cached_property
    def _specs(self) -> list[Spec]:
        return [run.spec for run in self.study.runs()]


def planned_by(block: Block) -> str:
    """Return the name of the study that plans the runs of a block's arms.

    Raises:
        LookupError: none of the confirmatory studies does.
    """
    for name, specs in _confirmatory().items():
        if any(block.arms_of(spec) for spec in specs):
            return name
    raise LookupError(f"no confirmatory study plans the runs of block {block.name!r}")


@cache
def _confirmatory() -> dict[str, list[Spec]]:
    plans = [EXPERIMENTS[name]() for name in blocks()]
    return {
        study.name: [run.spec for run in study.runs()] for study in plans if study.first_seed in CONFIRMATORY
    }
