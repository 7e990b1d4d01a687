"""The numbers and tables of the explosion chapter: no number on the page is typed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import pandas as pd

from bnstudy.analysis.slider import Frame
from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.tables import paired, per_seed
from bnstudy.analysis.words import Markdown, write_effect
from bnstudy.chapters.base import Chapter
from bnstudy.chapters.explosion import figures
from bnstudy.chapters.explosion.figures import ENDS, NAMES, OPTIMIZERS
from bnstudy.chapters.explosion.rules import (
    DEAD_LOSS,
    endings,
    largest_norms,
    survived_up_to,
    total_norm,
    trained_at_most,
    write_median,
)
from bnstudy.chapters.explosion.study import ExplosionStudy


class ExplosionChapter(Chapter[ExplosionStudy]):
    """What the explosion chapter says of a study's tables: the second rule of C1 reads another study's."""

    @cached_property
    def ended(self) -> pd.DataFrame:
        """How each run ended."""
        return endings(self.tables)

    @cached_property
    def optimizers(self) -> list[str]:
        """The optimisers that ran."""
        return list(dict.fromkeys(self.ended["optimizer"]))

    def answer(self) -> Markdown:
        """Return the sentences that answer the chapter's question, and what each rule found, in Markdown."""
        return self.own.answer(
            f"Measured {self.setting()}, in each of these trainings: {', '.join(self.labels('training'))}.",
        )

    def finding(self) -> str:
        """Return how the runs of each arm ended, in one sentence."""
        told = []
        for arm in self.labels("arm"):
            runs = self.ended[self.ended["arm"] == arm]
            counts = [f"{self.sources.count(runs[runs['end'] == end])} {said}" for end, said in ENDS.items()]
            told.append(f"of {self.sources.count(runs)} runs {NAMES[arm]}, {_listed(counts)}")
        text = "; ".join(told)
        return f"{text[0].upper()}{text[1:]}."

    def dead(self) -> Markdown:
        """Return how many runs that did not diverge learned nothing, and what is left of their gradients."""
        lines = []
        for arm in self.labels("arm"):
            ended = self.ended[(self.ended["arm"] == arm) & (self.ended["diverged"] == 0)]
            idle = ended[ended["end"] != "trained"]
            count = self.sources.count
            lines.append(
                f"- {NAMES[arm]}: of {count(ended)} runs that did not diverge, "
                f"{count(idle)} learned nothing; the last gradient that was probed is exactly zero "
                f"in {count(idle[idle['last_gradient'] == 0])} of these."
            )
        difference = mean_interval(self._share_lost())
        lines.append(
            "- Share of all learning rates and optimisers at which training *fails*, whether it diverges, "
            "dies or stays at chance, without batch norm minus with it: "
            f"{self.cite(write_effect(difference, 'points'))} (Student's t). No verdict rests on it."
        )
        return Markdown("\n".join(lines))

    def when(self) -> Markdown:
        """Return how many of the diverged runs of each arm and optimiser did so behind their first update."""
        gone = self.ended[self.ended["diverged"] == 1]
        if gone.empty:
            return Markdown("No run diverged.")
        parts = []
        for (arm, optimizer), runs in gone.groupby(["arm", "optimizer"], sort=False):
            parts.append(
                f"{self.sources.count(runs[runs['blew_up_at'] == 2])} of {self.sources.count(runs)} that "
                f"diverged with {OPTIMIZERS[str(optimizer)]} {NAMES[str(arm)]}"
            )
        return Markdown(
            "A loss that has blown up at the second step did so behind the first update of the weights, "
            f"before anything could grow from step to step. This is so for {_listed(parts)}."
        )

    def largest_rates(self) -> pd.DataFrame:
        """Return the largest rate that each seed survives, and trains at: a line an arm and optimiser."""
        kinds = {
            "no divergence up to": survived_up_to(self.ended),
            "trains at up to": trained_at_most(self.ended),
        }
        lines = []
        for optimizer in self.optimizers:
            for kind, rates in kinds.items():
                for arm in self.labels("arm"):
                    line = {"optimiser": OPTIMIZERS[optimizer], "largest rate": kind, "arm": NAMES[arm]}
                    by_seed = rates.xs((arm, optimizer), level=("arm", "optimizer"))
                    line |= {f"seed {s}": f"{by_seed[s]:g}" if by_seed[s] else "–" for s in by_seed.index}
                    lines.append(line)
        return pd.DataFrame(lines)

    def table(self) -> pd.DataFrame:
        """Return each training and arm: its seeds by ending, where they blew up, and medians over seeds.

        Accuracy and loss are medians over the seeds that did not diverge; the gradient norm over all.
        """
        norms = largest_norms(self.tables)
        lines = []
        for training in self.labels("training"):
            for arm in self.labels("arm"):
                cell = self.ended[(self.ended["training"] == training) & (self.ended["arm"] == arm)]
                steps = sorted(cell["blew_up_at"].dropna().astype(int))
                whole = cell[cell["diverged"] == 0]
                largest = cell["run"].map(norms)
                lines.append(
                    {"training": training, "arm": NAMES[arm]}
                    | {end: int((cell["end"] == end).sum()) for end in ENDS}
                    | {
                        "diverged at step": ", ".join(map(str, steps)) or "–",
                        "test accuracy, %": write_median(100 * whole["accuracy"], "{:.1f}"),
                        "last training loss": write_median(whole["last_loss"], "{:.3g}"),
                        "largest gradient norm": write_median(largest, "{:.3g}"),
                    }
                )
        return pd.DataFrame(lines)

    def frames(self) -> Iterator[Frame]:
        """Yield one drawing a training: gradient norm and training loss over steps, for the slider."""
        norms = total_norm(self.tables)
        training = self.tables["training"]
        limits = figures.limits(norms["value"]), figures.limits(training["loss"])
        for name in self.labels("training"):
            said = [f"{NAMES[arm]}: {self._ends(name, arm)}" for arm in self.labels("arm")]
            yield Frame(
                name,
                f"Norm of the whole gradient and training loss over steps with {name}; {'; '.join(said)}.",
                figures.health(
                    norms[norms["training"] == name],
                    training[training["training"] == name],
                    limits,
                    DEAD_LOSS,
                ),
            )

    def apart(self) -> list[float]:
        """Return by how much the shares of the arms' runs that trained differ, at each training."""
        trained = self.ended.assign(trained=self.ended["end"] == "trained")
        shares = trained.pivot_table("trained", "training", "arm").reindex(self.labels("training"))
        return (shares.max(axis="columns") - shares.min(axis="columns")).tolist()

    def _ends(self, training: str, arm: str) -> str:
        ends = self.ended[(self.ended["training"] == training) & (self.ended["arm"] == arm)]["end"]
        return _listed([f"{(ends == end).sum()} {words}" for end, words in ENDS.items() if end in set(ends)])

    def _share_lost(self) -> pd.Series[float]:
        lost = self.ended.assign(lost=(self.ended["end"] != "trained").astype("float64"))
        return paired(*(per_seed(lost[lost["arm"] == arm], "lost") for arm in ("none", "batch")))


def _listed(parts: list[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)
