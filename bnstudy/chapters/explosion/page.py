"""The numbers and tables of the explosion chapter: no number on the page is typed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from bnstudy.analysis.amount import write_amount
from bnstudy.analysis.cite import Sources
from bnstudy.analysis.claims import Verdict
from bnstudy.analysis.own_study import judge_own
from bnstudy.analysis.slider import Frame
from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.tables import Tables, last_step, paired, per_seed, rows
from bnstudy.analysis.words import write_effect
from bnstudy.chapters.explosion import figures
from bnstudy.chapters.explosion.figures import ENDS, NAMES, OPTIMIZERS
from bnstudy.chapters.explosion.study import ExplosionStudy

# Decided before any run on CIFAR-10 was recorded: half again as accurate as guessing among ten classes, and
# a loss this close to that of ten equal logits, which a network whose last ReLU lets nothing through has.
LEARNED = 0.15
DEAD_LOSS = math.log(10)
CLOSE = 0.01


def endings(tables: Tables) -> pd.DataFrame:
    """Return how each run ended: arm, optimizer, learning_rate, training, seed, diverged, end and more.

    ``end`` is "diverged" where training was stopped for its loss, and otherwise: "trained", with a
    test accuracy above LEARNED; "dead", below, with a mean training loss of the last tenth of its steps
    within CLOSE of DEAD_LOSS; "at chance", below, with any other loss. ``blew_up_at`` is the step at which
    a run diverged (else NaN), ``last_loss`` that mean, ``last_gradient`` the total norm that was probed last.
    """
    runs = rows(tables, "runs").reset_index(drop=True)
    by_run = runs["run"]
    # No rows where every run diverged: those are not evaluated.
    evaluation = tables["evaluation"]
    accuracy = last_step(evaluation[evaluation["split"] == "test"]).set_index("run")["accuracy"]
    gradient = total_norm(tables).groupby("run")["value"].last()
    optimizer, rate = (runs["training"].str.split(" ").str[i] for i in (0, 1))
    made = runs.assign(
        optimizer=optimizer,
        learning_rate=rate.astype("float64"),
        blew_up_at=runs["outcome"].str.extract(r"at step (\d+)$", expand=False).astype("float64"),
        accuracy=by_run.map(accuracy),
        last_loss=by_run.map(last_losses(rows(tables, "training"))),
        last_gradient=by_run.map(gradient),
    )
    dead = (made["last_loss"] - DEAD_LOSS).abs() <= CLOSE
    made["end"] = np.select(
        [made["diverged"] == 1, made["accuracy"] > LEARNED, dead],
        ["diverged", "trained", "dead"],
        "at chance",
    )
    return made


def last_losses(training: pd.DataFrame) -> pd.Series[float]:
    """Return each run's mean training loss over the last tenth of its steps, by run."""
    length = training.groupby("run")["step"].transform("max")
    return training[training["step"] > 0.9 * length].groupby("run")["loss"].mean()


def total_norm(tables: Tables) -> pd.DataFrame:
    """Return the norm of the whole gradient: run, arm, training, seed, step, value."""
    return rows(tables, "gradient_health", quantity="total_norm").sort_values(["run", "step"])


def shares(ended: pd.DataFrame, end: str) -> pd.DataFrame:
    """Return the share of seeds with an ending, by arm, optimizer and learning_rate."""
    hit = (ended["end"] == end).astype("float64")
    by = ["arm", "optimizer", "learning_rate"]
    return ended.assign(share=hit).groupby(by, sort=False)["share"].mean().reset_index()


def survived_up_to(ended: pd.DataFrame) -> pd.Series[float]:
    """Return the largest rate up to which nothing diverged, by arm, optimizer and seed; 0: the first did."""

    def largest(group: pd.DataFrame) -> float:
        ordered = group.sort_values("learning_rate")
        stable = ordered[ordered["diverged"].cumsum() == 0]["learning_rate"]
        return float(stable.max()) if len(stable) else 0.0

    by = ["arm", "optimizer", "seed"]
    found: pd.Series[float] = ended.groupby(by, sort=False)[["learning_rate", "diverged"]].apply(largest)
    return found


def trained_at_most(ended: pd.DataFrame) -> pd.Series[float]:
    """Return the largest rate that trained, by arm, optimizer and seed; 0: none did."""
    rate = ended["learning_rate"].where(ended["end"] == "trained", 0.0)
    return ended.assign(rate=rate).groupby(["arm", "optimizer", "seed"], sort=False)["rate"].max()


class ExplosionChapter:
    """What the explosion chapter says of a study's tables.

    ``others`` are the other recorded studies: the second rule of C1 reads one of them, and all count in
    Holm's correction.
    """

    def __init__(
        self,
        tables: Tables,
        study: ExplosionStudy,
        runs: list[str],
        others: Mapping[str, Tables] | None = None,
    ) -> None:
        self.tables = tables
        self.study = study
        self.sources = Sources(study.name, runs)
        self.ended = endings(tables)
        self.arms = list(study.axes()["arm"])
        self.trainings = list(study.axes()["training"])
        self.optimizers = list(dict.fromkeys(self.ended["optimizer"]))
        self._own = judge_own(self.sources, tables, others)
        self.verdicts: dict[str, Verdict] = self._own.verdicts

    def verdict_sources(self) -> Sources:
        """Return the records of both of C1's studies, as far as they are recorded."""
        found = (self._own.sources_of(finding) for finding in self.verdicts["C1"].findings)
        return Sources(self.study.name, sorted({run for sources in found for run in sources.runs}))

    def answer(self) -> str:
        """Return the sentences that answer the chapter's question, and what each rule found, in Markdown."""
        return self._own.answer(self.counted(), f"Measured {self._setting()}.")

    def counted(self) -> str:
        """Return how the runs of each arm ended, in one sentence."""
        said = []
        for arm in self.arms:
            ended = self.ended[self.ended["arm"] == arm]["end"]
            counts = [f"{self._cite(int((ended == end).sum()))} {words}" for end, words in ENDS.items()]
            said.append(f"of {self._cite(len(ended))} runs {NAMES[arm]}, {_listed(counts)}")
        text = "; ".join(said)
        return f"{text[0].upper()}{text[1:]}."

    def dead(self) -> str:
        """Return how many runs that did not diverge learned nothing, and what is left of their gradients."""
        lines = []
        for arm in self.arms:
            ended = self.ended[(self.ended["arm"] == arm) & (self.ended["diverged"] == 0)]
            idle = ended[ended["end"] != "trained"]
            nothing = int((idle["last_gradient"] == 0).sum())
            lines.append(
                f"- {NAMES[arm]}: of {self._cite(len(ended))} runs that did not diverge, "
                f"{self._cite(len(idle))} learned nothing; the last gradient that was probed is exactly zero "
                f"in {self._cite(nothing)} of these."
            )
        difference = mean_interval(self._share_lost())
        lines.append(
            "- Share of all learning rates and optimisers at which training *fails*, whether it diverges, "
            "dies or stays at chance, without batch norm minus with it: "
            f"{self._cite(write_effect(difference, 'points'))} (Student's t). No verdict rests on it."
        )
        return "\n".join(lines)

    def when(self) -> str:
        """Return how many of the diverged runs of each arm and optimiser did so behind their first update."""
        gone = self.ended[self.ended["diverged"] == 1]
        if gone.empty:
            return "No run diverged."
        parts = []
        for (arm, optimizer), runs in gone.groupby(["arm", "optimizer"], sort=False):
            at_once = int((runs["blew_up_at"] == 2).sum())
            parts.append(
                f"{self._cite(at_once)} of {self._cite(len(runs))} that diverged with "
                f"{OPTIMIZERS[str(optimizer)]} {NAMES[str(arm)]}"
            )
        return (
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
                for arm in self.arms:
                    line = {"optimiser": OPTIMIZERS[optimizer], "largest rate": kind, "arm": NAMES[arm]}
                    by_seed = rates.xs((arm, optimizer), level=("arm", "optimizer"))
                    line |= {f"seed {s}": f"{by_seed[s]:g}" if by_seed[s] else "–" for s in by_seed.index}
                    lines.append(line)
        return pd.DataFrame(lines)

    def table(self) -> pd.DataFrame:
        """Return each training and arm: its seeds by ending, where they blew up, and medians over seeds.

        Accuracy and loss are medians over the seeds that did not diverge; the gradient norm over all.
        """
        lines = []
        for training in self.trainings:
            for arm in self.arms:
                cell = self.ended[(self.ended["training"] == training) & (self.ended["arm"] == arm)]
                steps = sorted(cell["blew_up_at"].dropna().astype(int))
                whole = cell[cell["diverged"] == 0]
                largest = self._largest_norm(cell["run"])
                lines.append(
                    {"training": training, "arm": NAMES[arm]}
                    | {end: int((cell["end"] == end).sum()) for end in ENDS}
                    | {
                        "diverged at step": ", ".join(map(str, steps)) or "–",
                        "test accuracy, %": _median(100 * whole["accuracy"], "{:.1f}"),
                        "last training loss": _median(whole["last_loss"], "{:.3g}"),
                        "largest gradient norm": _median(largest, "{:.3g}"),
                    }
                )
        return pd.DataFrame(lines)

    def frames(self) -> Iterator[Frame]:
        """Yield one drawing a training: gradient norm and training loss over steps, for the slider."""
        norms = total_norm(self.tables)
        training = self.tables["training"]
        limits = figures.limits(norms["value"]), figures.limits(training["loss"])
        for name in self.trainings:
            said = [f"{NAMES[arm]}: {self._ends(name, arm)}" for arm in self.arms]
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

    def _ends(self, training: str, arm: str) -> str:
        ends = self.ended[(self.ended["training"] == training) & (self.ended["arm"] == arm)]["end"]
        return _listed([f"{(ends == end).sum()} {words}" for end, words in ENDS.items() if end in set(ends)])

    def _share_lost(self) -> pd.Series[float]:
        lost = self.ended.assign(lost=(self.ended["end"] != "trained").astype("float64"))
        return paired(*(per_seed(lost[lost["arm"] == arm], "lost") for arm in ("none", "batch")))

    def _largest_norm(self, runs: pd.Series[str]) -> pd.Series[float]:
        norms = total_norm(self.tables)
        # A norm that is no number any more is larger than any that is.
        return norms[norms["run"].isin(runs)].fillna({"value": math.inf}).groupby("run")["value"].max()

    def _cite(self, value: object) -> str:
        return self.sources.cite(str(value))

    def _setting(self) -> str:
        return (
            f"on {self.study.dataset}, {write_amount(self.study.train_size, self.study.epochs)}, over "
            f"{self.study.seeds} seeds, in each of these trainings: "
            f"{', '.join(self.trainings)}"
        )


def _median(values: pd.Series[float], write: str) -> str:
    return write.format(values.median()) if values.notna().any() else "–"


def _listed(parts: list[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)
