"""Two recordings of a run whose rounding differs: how far each quantity is apart, and how far it may be.

Training amplifies a rounding error until two runs differ like two seeds. So compared is what rounding has
not reached yet (the loss of the first steps, a probe's first look), and what is steady (mean accuracy, the
mean loss of the last steps, the last evaluation by batch or precise statistics), besides which rows there
are. Durations, digests of weights and the content of arrays are not compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pandas as pd

from bnstudy.records.tables import TABLES, to_frame

# Absolute and relative: a difference may be as large as the first plus the second times the recorded value.
TOLERANCES: Final = {
    "accuracy": (0.05, 0.0),
    "loss": (0.1, 0.1),
    "value": (1e-3, 0.1),  # of a probe
    "learning_rate": (0.0, 1e-6),
    "shared": (0.0, 0.0),
    "variables": (0.0, 0.0),
}
EARLY: Final = 2  # steps within which rounding alone differs
_LEFT_OUT: Final = ("seconds_per_step", "digest")
LAST: Final = 10  # steps at least that a mean at the end is taken over
STEADY: Final = ("batch", "precise", "none")  # what moving averages of a large decay remember is chaos


@dataclass(frozen=True)
class Difference:
    """The largest difference in a column of a table, and the largest that is allowed where it is."""

    table: str
    column: str
    found: float
    allowed: float

    @property
    def close(self) -> bool:
        """Whether it is allowed; what is no number is not."""
        return self.found <= self.allowed

    def __str__(self) -> str:
        return f"{self.table}.{self.column} differs by {self.found:.3g} (allowed {self.allowed:.3g})"


def differences(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> list[Difference]:
    """Return the largest difference of each column that two recordings of one run can be compared in.

    A table or a row that only one of them has counts as an infinite one.
    """
    found = [Difference(name, "", float("inf"), 0.0) for name in sorted(old.keys() ^ new.keys())]
    for name in sorted(old.keys() & new.keys() & TABLES.keys()):
        a, b = (to_frame(name, [part[name]]) for part in (old, new))
        columns = [c for c in a if c in TOLERANCES]
        keys = [c for c in a if c not in (*columns, *_LEFT_OUT)]
        if a[keys].equals(b[keys]):
            found += _compare(name, _comparable(name, a), _comparable(name, b), columns)
        else:
            found.append(Difference(name, "rows", float("inf"), 0.0))
    return found


def _compare(name: str, a: pd.DataFrame, b: pd.DataFrame, columns: list[str]) -> list[Difference]:
    found = []
    for column in columns:
        one, other = a[column].astype(float), b[column].astype(float)
        absolute, relative = TOLERANCES[column]
        allowed = (absolute + relative * one.abs()).fillna(0.0)
        # What is the same, infinite or no number in both, does not differ.
        same = (one == other) | (one.isna() & other.isna())
        apart = (one - other).abs().where(~same, 0.0).fillna(float("inf"))
        if len(apart):
            worst = int((apart - allowed).to_numpy().argmax())
            found.append(Difference(name, column, float(apart.iloc[worst]), float(allowed.iloc[worst])))
    return found


def _comparable(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table in which rounding leaves two runs alike, some of them means."""
    if name == "training":
        steps = frame["step"]
        late = frame[steps > len(frame) - max(LAST, len(frame) // 10)]
        parts = [
            frame.loc[steps <= EARLY, ["loss"]],
            late[["loss"]].mean(skipna=False).to_frame().T,
            frame[["accuracy"]].mean(skipna=False).to_frame().T,
            frame[["learning_rate"]],
        ]
        return pd.concat(parts, ignore_index=True)
    if "step" in frame:
        at = frame["step"].min() if "value" in frame else frame["step"].max()
        frame = frame[frame["step"] == at]
    if "statistics" in frame and "step" in frame:
        frame = frame[frame["statistics"].isin(STEADY)]
    return frame.reset_index(drop=True)
