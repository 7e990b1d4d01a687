"""What the front page says of its evidence: network, data, seeds, epochs, and the accuracy reached."""

from __future__ import annotations

import os
from typing import Any

from bnstudy.analysis.judged.design import BLOCKS
from bnstudy.analysis.judged.digest import reads
from bnstudy.analysis.judged.wording import in_language
from bnstudy.analysis.saying import Writer
from bnstudy.analysis.tables import last_step
from bnstudy.analysis.words import Sources
from bnstudy.chapters.found import parts, plan_of
from bnstudy.chapters.judged import claims
from bnstudy.chapters.kept import frames_of
from bnstudy.records.spec import RunSpec
from bnstudy.records.store import Store
from bnstudy.study.frames import Frames
from bnstudy.study.needs import needs
from bnstudy.study.run import default_data_dir

# The tutorial's decay, with which it evaluates.
USUAL = 0.9


def explored(frames: Frames, write: Writer) -> str:
    """Return what the first round's trainings were, from those of the decay chapter."""
    study: Any = frames.study
    planned = (run.spec for chapter in parts("study") for run in plan_of(chapter, {}).runs())
    every = {spec.epochs for spec in planned if isinstance(spec, RunSpec)}
    ends = last_step(frames["evaluation"].query("split == 'test' and statistics == 'precise'"))
    reached = write.cite(f"{100 * ends.groupby('schedule')['accuracy'].mean().max():.0f} %")
    seeds, epochs = write.cite(study.seeds), write.cite(study.epochs)
    return write.say(
        f"First round, exploratory: {seeds} seeds of {min(every)} to {max(every)} epochs; after the decay chapter's "
        f"{epochs}, test accuracy {reached} with precise statistics.",
        f"第一轮（探索性）：{seeds} 个随机种子，各章训练 {min(every)}～{max(every)} 个 epoch；衰减率一章的 {epochs} 个 epoch "
        f"之后，用精确统计量的测试准确率为 {reached}。",
    )


def _shortest(language: Any) -> str:
    """Return which claims look at the first steps of training alone, and at how many."""
    steps: dict[str, int] = {}
    for block in ("shift", "in_turn"):
        runs: list[Any] = [run.spec for run in plan_of(block, {}).runs()]
        most = max(-(-spec.train_size // spec.batch_size) * spec.epochs for spec in runs)
        for claim in claims().values():
            if any(reads(claim, spec) for spec in runs):
                steps[claim.id] = max(most, steps.get(claim.id, 0))
    named, most = sorted(steps), max(steps.values())
    return in_language(
        (
            f" {', '.join(named[:-1])} and {named[-1]} look at the first {most} steps at most, half an epoch.",
            f"{'、'.join(named)} 最多只看训练最初的 {most} 步，即半个 epoch。",
        ),
        language,
    )


def judged(data_dir: str | os.PathLike[str], language: Any) -> str:
    """Return what the second round's core trainings are and came to, or how many of them are recorded."""
    store = Store(data_dir or default_data_dir())
    study: Any = plan_of("core", {})
    planned, there = study.runs(), needs(study, store)
    recorded = sorted({found.record.spec.name for found in there.found})
    # Where all of them are listed: claims of that chapter read both networks.
    write = Writer(Sources("convergence", recorded), language)
    epochs = planned[0].spec.epochs
    if there.missing or there.newer:
        count = f"{write.cite(len(recorded))} / {write.cite(len(planned))}"
        return write.say(
            f"Second round, by rules frozen before its runs: {study.seeds} seeds of {epochs} epochs in its "
            f"core; recorded so far: {count} trainings.",
            f"第二轮（规则在运行前已冻结）：核心部分 {study.seeds} 个随机种子，每次训练 {epochs} 个 epoch；"
            f"目前已记录 {count} 次训练。",
        )
    looks = frames_of("core", store.root)["checkpoints"]
    ends = last_step(looks[looks["split"] == "test"])
    normed_ends = ends[
        (ends["statistics"] == "moving") & (ends["decay"] == USUAL) & (ends["zero_debias"] == "none")
    ]
    counts = [len(block.judged_seeds()) for block in BLOCKS.values()]
    fewest, most = min(counts), max(counts)
    plain, normed = (
        write.percent(rows.groupby("seed")["accuracy"].mean())
        for rows in (ends[ends["arm"] == "none"], normed_ends)
    )
    shortest = _shortest(language)
    return write.say(
        f"Second round, by rules frozen before its runs: {study.seeds} seeds of {epochs} epochs in its main "
        f"trainings (other experiments have {fewest} to {most} seeds), test accuracy {normed} with "
        f"batch norm (averages of decay {USUAL:g}) and {plain} without, intervals at 95 % over seeds.{shortest}",
        f"第二轮（规则在运行前已冻结）：主要训练 {study.seeds} 个随机种子（其他实验为 {fewest}～{most} 个），"
        f"每次训练 {epochs} 个 epoch，"
        f"测试准确率有批归一化（衰减率 {USUAL:g}）为 {normed}，无批归一化为 {plain}（随机种子之间的 95% 置信区间）。{shortest}",
    )
