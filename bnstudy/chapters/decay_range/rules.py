"""Whether the decay ablation's answers hold at other learning rates and batch sizes, and why.

These rules were written down before their runs, and decide no claim: C6 and C7 are the decay chapter's. They
are of two families, each with a Holm correction of its own.

* *The same answer?* C6's and C7's own contrasts and bounds, at every setting. Two settings have the same
  answer if both are supported or both are refuted; where either is open, nothing is said.
* *Overfitting, or stale statistics?* At every setting, the largest decay whose window of 1 / (1 - decay)
  steps fits into the training, so that its average isn't mostly the starting value. Against precise
  statistics of the same weights, it *overfits* if the gap between training and test accuracy is wider by more
  than the smallest effect of interest, and its statistics are *stale* if the same debiased average over the
  present weights has a test accuracy higher by more than that.

A setting at which a run diverged has no answers: the others alone would be a choice among the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal

import pandas as pd

from bnstudy.analysis.rules import SMALLEST_EFFECT, Claim, Rule, Verdict
from bnstudy.analysis.tables import NotMeasuredError, Tables, paired, per_seed, rows
from bnstudy.chapters.decay.rules import C6, C7, PARTS, difference, overfitting, smoothing

STUDY = "decay_range"

# The decays that C6's and C7's rules contrast.
USUAL, LARGE = 0.9, 0.999

Agreement = Literal["same", "another", "open", "not measured"]


def at_the_end(tables: Tables) -> pd.DataFrame:
    """Return the evaluations after the last step of each run that came to its end.

    Every run has a constant learning rate, and the column ``schedule``, by which the decay chapter selects,
    says so.
    """
    runs, evaluation = tables["runs"], tables["evaluation"]
    done = evaluation[evaluation["run"].isin(runs[runs["diverged"] == 0]["run"])]
    last = done["step"] == done.groupby("run")["step"].transform("max")
    return done[last].assign(schedule="constant")


def of_setting(tables: Tables, setting: str) -> pd.DataFrame:
    """Return the evaluations after the last step of a setting's runs.

    Raises:
        NotMeasuredError: the setting was not run, or a run of it diverged.
    """
    runs = rows(tables, "runs", setting=setting)
    diverged = runs[runs["diverged"] == 1]["seed"].nunique()
    if diverged:
        raise NotMeasuredError(f"{diverged} of {runs['seed'].nunique()} seeds diverged")
    return rows({"evaluation": at_the_end(tables)}, "evaluation", setting=setting)


def fitting_decay(evaluation: pd.DataFrame) -> float:
    """Return the largest decay whose window, 1 / (1 - decay) steps, fits into the steps made.

    Raises:
        NotMeasuredError: no decay's does.
    """
    steps = int(evaluation["step"].max())
    # In floating point, 1 - 0.9 is a little less than a tenth.
    fits = [d for d in evaluation["decay"].dropna().unique() if steps * (1 - d) > 1 - 1e-9]
    if not fits:
        raise NotMeasuredError(f"the window of no decay fits into {steps} steps")
    return float(max(fits))


def lost(evaluation: pd.DataFrame, decay: float, split: str = "test") -> pd.Series[float]:
    """Return the accuracy lost by a plain moving average against precise statistics, by run."""
    plain = {"statistics": "moving", "zero_debias": "none", "decay": decay, "split": split}
    return difference(evaluation, {"statistics": "precise", "split": split}, plain)


def lost_to(part: str, evaluation: pd.DataFrame, decay: float) -> pd.Series[float]:
    """Return the test accuracy lost to one of ``PARTS``, by run."""
    better, worse = PARTS[part]
    return difference(evaluation, {**better, "decay": decay}, {**worse, "decay": decay})


def widened(evaluation: pd.DataFrame, decay: float) -> pd.Series[float]:
    """Return by how much a plain moving average widens the train-test gap of precise statistics, by run.

    It is the accuracy lost on test images beyond what is lost on training images.
    """
    return paired(lost(evaluation, decay), lost(evaluation, decay, "train"))


def same_answer(settings: Iterable[str]) -> tuple[Claim, ...]:
    """Return C6 and C7 with their contrast as a rule for each setting."""
    settings = tuple(settings)
    contrasts = ((C6, smoothing(USUAL), (USUAL,)), (C7, overfitting(LARGE, USUAL), (LARGE, USUAL)))
    return tuple(
        replace(claim, chapter=STUDY, rules=tuple(_at(setting, rule, decays) for setting in settings))
        for claim, rule, decays in contrasts
    )


def causes(settings: Iterable[str]) -> tuple[Claim, ...]:
    """Return the questions ``overfitting`` and ``staleness``, each with a rule for each setting."""
    settings = tuple(settings)
    questions = (
        (
            "overfitting",
            "A large decay widens the gap between training and test accuracy.",
            "training minus test accuracy at the last step",
            "the largest decay that fits minus precise statistics",
            widened,
        ),
        (
            "staleness",
            "A large decay loses test accuracy because its statistics are stale.",
            "test accuracy at the last step",
            "the same average over the present weights minus the largest decay that fits, debiased",
            lambda evaluation, decay: lost_to("staleness", evaluation, decay),
        ),
    )
    return tuple(
        Claim(
            name,
            "",
            english,
            STUDY,
            tuple(
                Rule(setting, STUDY, quantity, contrast, SMALLEST_EFFECT, _with_fitting(setting, measure))
                for setting in settings
            ),
        )
        for name, english, quantity, contrast, measure in questions
    )


def agreement(verdict: Verdict, setting: str, other: str) -> Agreement:
    """Return whether a question has the same answer at two settings."""
    answers = {f.rule.part: f.answer for f in verdict.findings}
    if not {setting, other} <= set(answers):
        return "not measured"
    if "open" in (answers[setting], answers[other]):
        return "open"
    return "same" if answers[setting] == answers[other] else "another"


def _at(setting: str, rule: Rule, decays: tuple[float, ...]) -> Rule:
    """Return a rule of the decay chapter for one setting of this study."""

    def measure(tables: Tables) -> pd.Series[float]:
        evaluation = of_setting(tables, setting)
        for decay in decays:
            if decay not in set(evaluation["decay"]):
                raise NotMeasuredError(f"decay {decay:g} was not run")
        return _by_seed(rule.measure({"evaluation": evaluation}))

    return replace(rule, part=setting, study=STUDY, measure=measure)


def _with_fitting(
    setting: str, measure: Callable[[pd.DataFrame, float], pd.Series[float]]
) -> Callable[[Tables], pd.Series[float]]:
    def of_tables(tables: Tables) -> pd.Series[float]:
        evaluation = of_setting(tables, setting)
        return _by_seed(measure(evaluation, fitting_decay(evaluation)))

    return of_tables


def _by_seed(values: pd.Series[float]) -> pd.Series[float]:
    # Settings differ in their last step, by which runs of one seed must not be kept apart.
    return per_seed(values.rename("value").reset_index(), "value")
