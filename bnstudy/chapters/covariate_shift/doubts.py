"""What carries C2's cosine: the first step of training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from bnstudy.analysis.doubt import Doubt
from bnstudy.analysis.judged.parts import Estimate
from bnstudy.analysis.judged.training import Blocks, Training
from bnstudy.analysis.procedure import Outcomes, Sample
from bnstudy.analysis.saying import Said
from bnstudy.chapters.covariate_shift.judged import COSINE


@dataclass(frozen=True)
class After:
    """A contrast of what was measured after a step alone."""

    step: int
    contrast: Estimate

    def __call__(self, blocks: Blocks) -> Sample | Outcomes:
        """Return the contrast's sample without rows of the step or before it."""
        return self.contrast(
            {
                block: {
                    arm: {seed: self._later(training) for seed, training in trainings.items()}
                    for arm, trainings in arms.items()
                }
                for block, arms in blocks.items()
            }
        )

    def _later(self, training: Training) -> Training:
        return replace(training, tables=_Later(training.tables, self.step))


class _Later(Mapping[str, pd.DataFrame]):
    """Tables less their rows up to a step; each is read when it is asked for."""

    def __init__(self, tables: Mapping[str, pd.DataFrame], step: int) -> None:
        self._tables, self._step = tables, step

    def __getitem__(self, name: str) -> pd.DataFrame:
        table = self._tables[name]
        later: pd.DataFrame = table[table["step"] > self._step]
        return later

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


DOUBTS = (
    Doubt(
        "C2",
        "backward sees what forward saw",
        replace(COSINE, name=f"{COSINE.name}, without the first step", estimate=After(1, COSINE.estimate)),
        Said(
            "Found since: without the first step it is {found}, {answer}.",
            "判定之后发现：不计第一步，则为 {found}，{answer}。",
        ),
    ),
)
