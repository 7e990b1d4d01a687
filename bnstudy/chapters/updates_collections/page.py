"""The sentences and tables of the chapter on updates_collections: no number on the page is typed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import pandas as pd

from bnstudy.analysis.chinese import chinese
from bnstudy.analysis.judged.wording import Language, in_language
from bnstudy.analysis.page import Glued
from bnstudy.analysis.statistics import bootstrap_interval, mean_interval
from bnstudy.analysis.style import WITHOUT
from bnstudy.analysis.tables import last_step, paired, per_seed
from bnstudy.analysis.words import LANGUAGES, Html, Markdown, write_amount, write_effect, write_images
from bnstudy.chapters.base import Chapter
from bnstudy.chapters.updates_collections import rules as uc
from bnstudy.chapters.updates_collections.study import IN_TENSORFLOW, UpdatesCollectionsStudy
from bnstudy.study.plan import IMAGES

COST_ARMS = ("none", *uc.ARMS)

# What is compared of training, and would show if any update reached it.
TRAINING = ("losses of training steps", "digests of parameters")

SUMMED_UP = {"mean": "mean of the rounds (as judged)", "median": "median", "min": "fastest round"}


class UpdatesCollectionsChapter(Chapter[UpdatesCollectionsStudy]):
    """What the chapter says of a study's tables."""

    @cached_property
    def in_tensorflow(self) -> list[str]:
        """The arms that ran in TensorFlow."""
        return list(IN_TENSORFLOW) if self.study.tensorflow else []

    def answer(self) -> Markdown:
        """Return the sentences that answer the chapter's question, and what each rule found, in Markdown."""
        return self.own.answer(f"Measured {self.setting()}.")

    def finding(self) -> str:
        """Return what an update that is forgotten costs, and whether training is the same under every arm."""
        compared = self.agreement()
        compared = compared[compared["of"].isin(TRAINING)]
        same = (compared["equal"] == compared["compared"]).all()
        told = []
        for of, group in compared.groupby("of", sort=False):
            equal, of_all = (self.cite(f"{group[c].sum():,}") for c in ("equal", "compared"))
            told.append(f"{of}, {equal} of {of_all}")
        in_place, never = (mean_interval(self._last(arm)).percent() for arm in ("in place", "never"))
        return (
            f"where the moving averages are updated in place, test accuracy ends at {self.cite(in_place)}; "
            f"where they never are, at {self.cite(never)}. Training {'is' if same else 'is not'} the same "
            f"under every arm: compared with *{uc.FIRST}*, equal in every bit are {'; '.join(told)}."
        )

    def agreement(self) -> pd.DataFrame:
        """Return what was compared with the first arm, bit for bit: columns of, arm, compared, equal."""
        evaluation = self.tables["evaluation"]
        test = evaluation[evaluation["split"] == "test"]
        parts = {
            TRAINING[0]: (self.tables["training"], "loss"),
            TRAINING[1]: (self.tables["weights"], "digest"),
            "test losses, batch statistics": (test[test["statistics"] == "batch"], "loss"),
            "test losses, moving averages": (test[test["statistics"] == "moving"], "loss"),
        }
        frames = [uc.agreement(rows, uc.ARMS, value).assign(of=of) for of, (rows, value) in parts.items()]
        return pd.concat(frames, ignore_index=True)[["of", "arm", "compared", "equal"]]

    def agreement_table(self) -> pd.DataFrame:
        """Return how many values equal the first arm's in every bit, a column an arm."""
        lines = []
        for of, group in self.agreement().groupby("of", sort=False):
            line = {f"equal to “{uc.FIRST}”": of}
            for arm, compared, equal in zip(group["arm"], group["compared"], group["equal"], strict=True):
                line[arm] = f"{equal:,} of {compared:,}"
            lines.append(line)
        return pd.DataFrame(lines)

    def seen(self) -> Markdown:
        """Return what each arm's evaluation loses or gains against the first arm's, in Markdown."""
        first = self._last(uc.FIRST)
        lines = []
        for arm in uc.ARMS[1:]:
            change = bootstrap_interval(paired(self._last(arm), first))
            lines.append(f"- *{arm}* against *{uc.FIRST}*: {self.cite(change.percent(signed=True))}")
        return Markdown("\n".join(lines))

    def costs(self) -> pd.DataFrame:
        """Return log2 of every arm's seconds a step over the first arm's: columns arm, seed, ratio."""
        return _long({arm: uc.relative_cost(self.tables, arm, uc.FIRST) for arm in COST_ARMS})

    def cost_table(self) -> pd.DataFrame:
        """Return milliseconds a step by arm, and their ratio to the first arm's, paired by seed."""
        seconds = {arm: uc.step_seconds(self.tables, arm) for arm in COST_ARMS}
        ratios = {arm: uc.relative_cost(self.tables, arm, uc.FIRST) for arm in COST_ARMS}
        return _cost_table(seconds, ratios)

    def choices(self) -> pd.DataFrame:
        """Return the effect of the rule on cost where the rounds of a seed are summed up in other ways."""
        rule = self.verdicts["C11"].claim.rules[1]
        return pd.DataFrame(
            [
                {
                    "rounds summed up by": said,
                    rule.contrast: write_effect(
                        bootstrap_interval(
                            uc.relative_cost(self.tables, "in place", "with the step", over_rounds)
                        ),
                        rule.unit,
                    ),
                }
                for over_rounds, said in SUMMED_UP.items()
            ]
        )

    def glued(self) -> dict[str, Glued]:
        """Return what other pages quote, with what the Chinese page says of a real TensorFlow."""
        told = Html(str(self.tensorflow("zh")))
        return super().glued() | {f"{self.study.name}_tensorflow_zh": told}

    def tensorflow(self, language: Language = "en") -> Markdown | Html:
        """Return what a real TensorFlow did: in Markdown, for the Chinese page as HTML."""
        if not self.in_tensorflow:
            said = in_language(
                (
                    "This page was made with `tensorflow=False`: no run of a real TensorFlow is behind it, "
                    "and its verdict speaks of the package's own layers.",
                    "本页生成时没有运行真正的 TensorFlow，判定只涉及本软件包自己的层。",
                ),
                language,
            )
            return Markdown(said) if language == "en" else Html(f"<p>{said}</p>")
        arms = [f"{uc.IN_TENSORFLOW}{arm}" for arm in self.in_tensorflow]
        training = self.tables["training"]
        agreed = [
            (arm.removeprefix(uc.IN_TENSORFLOW), self.cite(f"{same:,}"), self.cite(f"{all_:,}"))
            for arm, all_, same in uc.agreement(training, arms, "loss").itertuples(index=False)
        ]
        # The first step at which a batch could be given the statistics of the one before.
        second = uc.largest_difference(training[training["step"] <= 2], arms, "loss")
        largest = uc.largest_difference(training, arms, "loss")
        ratio = bootstrap_interval(uc.tensorflow_cost(self.tables, "in place", "with the step"))
        if language == "zh":
            listed = "，".join(f"{chinese(arm)} {same} / {all_} 步" for arm, same, all_ in agreed)
            times = self.cite(write_effect(ratio, "factor", times=LANGUAGES["zh"].times))
            return Html(
                f"<p>{self._trained_on_zh()}训练损失与{chinese(uc.FIRST)}逐比特相等的：{listed}。到第二步为止"
                "（一批数据最早在这一步才可能用上前一批的统计量），"
                f"损失最多相差 {self.cite(f'{second:.2g}')} nat；在全部训练步中，"
                f"最多相差 {self.cite(f'{largest:.2g}')} nat。"
                f"一个训练步的耗时，就地更新是随训练步更新的 {times}"
                "（每次运行取各步的中位数；方括号内为随机种子之间的 95% 置信区间，学生化自助法）。</p>"
            )
        equal = "; ".join(f"*{arm}*, {same} of {all_}" for arm, same, all_ in agreed)
        return Markdown(
            f"{self._trained_on()} Training losses that equal those of *{uc.FIRST}* in every bit: {equal}. "
            f"The largest difference is {self.cite(f'{second:.2g}')} nats up to the second step, where a "
            f"batch could first get the statistics of the one before, and {self.cite(f'{largest:.2g}')} "
            f"nats in all. A step with updates in place takes {self.cite(write_effect(ratio, 'factor'))} of "
            "one with updates run with the step (medians over steps; mean and 95 % interval over seeds, "
            "bootstrap-t)."
        )

    def _trained_on(self) -> str:
        """Return how much data TensorFlow's runs had, and whether the other arms had as much."""
        amount = write_amount(self.study.tensorflow_train_size, self.study.epochs)
        own = write_amount(self.study.train_size, self.study.epochs)
        if self.study.tensorflow_train_size == (self.study.train_size or IMAGES[self.study.dataset]):
            return f"TensorFlow trained on {own}, as the arms above did."
        return (
            f"TensorFlow trained on {amount}, the arms above on {own}: its accuracy can't be held against "
            "theirs, only that of its own arms against one another."
        )

    def _trained_on_zh(self) -> str:
        amount, own = (
            f"{'' if size is None else ' '}{chinese(write_images(size))}训练 {self.study.epochs} 个 epoch"
            for size in (self.study.tensorflow_train_size, self.study.train_size)
        )
        if self.study.tensorflow_train_size == (self.study.train_size or IMAGES[self.study.dataset]):
            return f"TensorFlow 用{own}，与上面各方式相同。"
        return (
            f"TensorFlow 用{amount}，上面各方式用{own}："
            "准确率不能与上面的相比，只能在 TensorFlow 的各方式之间比较。"
        )

    def tensorflow_accuracy(self) -> pd.DataFrame:
        """Return TensorFlow's test rows at the last step, with the arm's name as in the other figures."""
        evaluation = self.tables["evaluation"]
        own = evaluation[evaluation["arm"].str.startswith(uc.IN_TENSORFLOW) & (evaluation["split"] == "test")]
        return last_step(own).assign(arm=own["arm"].str.removeprefix(uc.IN_TENSORFLOW))

    def tensorflow_costs(self) -> pd.DataFrame:
        """Return log2 of TensorFlow's seconds a step over the first arm's: columns arm, seed, ratio."""
        return _long({arm: uc.tensorflow_cost(self.tables, arm, uc.FIRST) for arm in self.in_tensorflow})

    def tensorflow_table(self) -> pd.DataFrame:
        """Return TensorFlow's test accuracy and milliseconds a step by arm: mean [95 % interval]."""
        accuracy = self.tensorflow_accuracy()
        lines = []
        for arm in self.in_tensorflow:
            line = {"TensorFlow": arm}
            for statistics, group in accuracy[accuracy["arm"] == arm].groupby("statistics"):
                line[f"test accuracy, {statistics}"] = mean_interval(per_seed(group, "accuracy")).percent()
            lines.append(line)
        costs = _cost_table(
            {arm: uc.tensorflow_seconds(self.tables, arm) for arm in self.in_tensorflow},
            {arm: uc.tensorflow_cost(self.tables, arm, uc.FIRST) for arm in self.in_tensorflow},
        )
        return pd.concat([pd.DataFrame(lines), costs.drop(columns="arm")], axis=1)

    def table(self) -> pd.DataFrame:
        """Return test accuracy at the last step by arm and statistics: mean over seeds [95 % interval]."""
        lines = []
        for arm in uc.ARMS:
            line = {"arm": arm}
            for statistics, said in (("moving", "moving averages"), ("batch", "batch statistics")):
                line[f"test accuracy, {said}"] = mean_interval(self._last(arm, statistics)).percent()
            lines.append(line)
        return pd.DataFrame(lines)

    def _last(self, arm: str, statistics: str = "moving") -> pd.Series[float]:
        return per_seed(last_step(uc.accuracy_with(self.tables["evaluation"], arm, statistics)), "accuracy")


def _long(ratios: Mapping[str, pd.Series[float]]) -> pd.DataFrame:
    frames = [values.rename("ratio").reset_index().assign(arm=arm) for arm, values in ratios.items()]
    return pd.concat(frames, ignore_index=True)


def _cost_table(
    seconds: Mapping[str, pd.Series[float]], ratios: Mapping[str, pd.Series[float]]
) -> pd.DataFrame:
    lines = []
    for arm, values in seconds.items():
        ratio = "1 ×" if arm == uc.FIRST else write_effect(bootstrap_interval(ratios[arm]), "factor")
        lines.append(
            {
                "arm": WITHOUT if arm == "none" else arm,
                "milliseconds a step": mean_interval(1000 * values).plain(),
                f"over “{uc.FIRST}”": ratio,
            }
        )
    return pd.DataFrame(lines)
