"""Contrasts of accuracy, image by image, at steps that are fixed beforehand or chosen on other images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnstudy.analysis.judged.training import (
    CHANCE,
    Blocks,
    Evaluation,
    NotTestedError,
    Training,
    accuracies,
    arm,
    hits,
    paired_seeds,
    table,
)
from bnstudy.analysis.procedure import Component, FloatArray, Sample


@dataclass(frozen=True)
class Term:
    """One accuracy of a contrast, and its weight in it."""

    weight: float
    arm: str
    evaluation: Evaluation


def minus(first: tuple[str, Evaluation], second: tuple[str, Evaluation]) -> tuple[Term, ...]:
    """Return the terms of a difference of two accuracies, each an arm and an evaluation."""
    return Term(1.0, *first), Term(-1.0, *second)


@dataclass(frozen=True)
class AtEpochs:
    """A weighted sum of accuracies, averaged over fixed epochs.

    Reads ``hits`` and ``hits_index``. Accuracies of one split share their images, so that their difference
    is taken image by image; splits are sets of images of their own. A diverged training is right by chance
    on every image.

    With ``telling``, only those of the epochs count at which that other contrast, averaged over the seeds,
    is at least ``at_least``: where there is something to be explained. If there is none, nothing is tested.
    """

    block: str
    epochs: tuple[float, ...]
    terms: tuple[Term, ...]
    telling: tuple[Term, ...] = ()
    at_least: float = 0.0

    def __call__(self, blocks: Blocks) -> Sample:
        """Return the sample: a component with a set of images for each split."""
        epochs = self.epochs
        if self.telling:
            there = [epoch for epoch in epochs if self._mean(blocks, self.telling, (epoch,)) >= self.at_least]
            if not there:
                raise NotTestedError(f"at no checkpoint is what is to be explained {self.at_least:g} or more")
            epochs = tuple(there)
        images = self._tables(blocks, self.terms, epochs)
        counted = {"checkpoints": len(epochs)} if self.telling else {}
        return Sample((_component(*images.values()),), counted)

    def _mean(self, blocks: Blocks, terms: tuple[Term, ...], epochs: tuple[float, ...]) -> float:
        return float(sum(table.mean() for table in self._tables(blocks, terms, epochs).values()))

    def _tables(
        self, blocks: Blocks, terms: tuple[Term, ...], epochs: tuple[float, ...]
    ) -> dict[str, FloatArray]:
        """Return each split's sum of terms, the mean over the epochs: [seeds, images]."""
        seeds = paired_seeds(blocks, self.block, tuple(term.arm for term in terms))
        found: dict[str, FloatArray] = {}
        for term in terms:
            trainings = [arm(blocks, self.block, term.arm)[seed] for seed in seeds]
            steps = [[t.step(epoch) for epoch in epochs] for t in trainings]
            part = term.weight * _hits(trainings, term.evaluation, steps)
            split = term.evaluation.split
            found[split] = found[split] + part if split in found else part
        return found


@dataclass(frozen=True)
class EarlyStopped:
    """Test accuracy of one arm minus another's, each where its own validation accuracy is largest.

    Reads ``checkpoints`` of the validation images, and ``hits`` of the test images at the same steps. Of
    equal validation accuracies the earliest counts. Stopping early is part of each training and sees no
    test image.
    """

    block: str
    first: tuple[str, Evaluation]
    second: tuple[str, Evaluation]

    def __call__(self, blocks: Blocks) -> Sample:
        """Return the sample: one component with the test images."""
        seeds = paired_seeds(blocks, self.block, (self.first[0], self.second[0]))
        found = []
        for name, evaluation in (self.first, self.second):
            trainings = [arm(blocks, self.block, name)[seed] for seed in seeds]
            found.append(_hits(trainings, evaluation, [[_best_step(t, evaluation)] for t in trainings]))
        return Sample((_component(found[0] - found[1]),))


@dataclass(frozen=True)
class AtEqualTraining:
    """Test accuracy of one arm minus another's, where both classify the training images equally well.

    It is the first evaluation at which both have had a training accuracy of at least ``level`` at ``held``
    evaluations in a row: there the gap to the training accuracy is the test error. A pair that never gets
    there is compared at the highest training accuracy that both reach, each at its first evaluation of at
    least that, and counted. Reads ``checkpoints`` of the training images, and ``hits`` of the test images
    at the same steps.
    """

    block: str
    first: tuple[str, Evaluation]
    second: tuple[str, Evaluation]
    level: float
    held: int

    def __call__(self, blocks: Blocks) -> Sample:
        """Return the sample: one component with the test images; the pairs that never got there are
        counted."""
        arms = (self.first, self.second)
        seeds = paired_seeds(blocks, self.block, tuple(name for name, _ in arms))
        steps = [self._steps(*(arm(blocks, self.block, name)[seed] for name, _ in arms)) for seed in seeds]
        found = [
            _hits(
                [arm(blocks, self.block, name)[seed] for seed in seeds], evaluation, [[s[i]] for s in steps]
            )
            for i, (name, evaluation) in enumerate(arms)
        ]
        below = sum(1 for _, _, reached in steps if not reached)
        return Sample((_component(found[0] - found[1]),), {"pairs below the level": below})

    def _steps(self, first: Training, second: Training) -> tuple[int, int, bool]:
        """Return the steps at which the arms of a pair are compared, and whether both got there."""
        if first.diverged or second.diverged:
            # A diverged training is right by chance at every step; the other counts as it ended.
            return _steps_of(first, "train")[-1], _steps_of(second, "train")[-1], False
        courses = [
            list(zip(steps, accuracies(t, replace(e, split="train"), steps), strict=True))
            for t, (_, e) in ((first, self.first), (second, self.second))
            for steps in (_steps_of(t, "train"),)
        ]
        if [s for s, _ in courses[0]] != [s for s, _ in courses[1]]:
            raise ValueError("the arms were evaluated at different steps; allowed: the same ones")
        run = 0
        for (step, a), (_, b) in zip(*courses, strict=True):
            run = run + 1 if min(a, b) >= self.level else 0
            if run == self.held:
                return step, step, True
        both = min(max(a for _, a in course) for course in courses)
        at = [next(step for step, a in course if a >= both) for course in courses]
        return at[0], at[1], False


def _best_step(training: Training, evaluation: Evaluation) -> int:
    if training.diverged:
        return 0
    steps = _steps_of(training, "validation")
    found = accuracies(training, replace(evaluation, split="validation"), steps)
    return steps[found.index(max(found))]


def _steps_of(training: Training, split: str) -> list[int]:
    if training.diverged:
        return [0]
    return sorted(int(step) for step in table(training, "checkpoints", split=split)["step"].unique())


def _hits(
    trainings: Iterable[Training], evaluation: Evaluation, steps: Iterable[Sequence[int]]
) -> FloatArray:
    """Return the mean over each training's steps, [seeds, images]; one that diverged is right by chance."""
    rows = [
        None if t.diverged else hits(t, evaluation, own).mean(axis=0)
        for t, own in zip(trainings, steps, strict=True)
    ]
    count = next((len(row) for row in rows if row is not None), 1)
    return np.array([np.full(count, CHANCE) if row is None else row for row in rows])


def _component(*images: FloatArray) -> Component:
    if any(table.shape[1] == 1 for table in images):
        # Every training of every arm diverged: there is no image to look at.
        return Component(np.asarray(sum(table.mean(axis=1) for table in images), dtype=np.float64))
    return Component.of_images(*images)
