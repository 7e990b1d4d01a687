"""The page of the second round: its rules in words, how often they err, and what is recorded so far."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache, cached_property

import pandas as pd

from bnstudy.analysis import page
from bnstudy.analysis.judged.design import CONFIRMATORY, TUNING, Block
from bnstudy.analysis.judged.digest import reads
from bnstudy.analysis.judged.parts import Claim, Part, Quantity, Verified, Words
from bnstudy.analysis.judged.preregistration import FILE as FROZEN
from bnstudy.analysis.judged.preregistration import frozen, refusals
from bnstudy.analysis.judged.verdicts import Finding, Judgement
from bnstudy.analysis.judged.wording import ANSWERS, VERDICTS, write_asked, write_value, write_width
from bnstudy.analysis.procedure import ALPHA, level_of
from bnstudy.analysis.saying import Writer
from bnstudy.analysis.simulate import largest_false_share, read
from bnstudy.analysis.simulate.command import ALLOWED
from bnstudy.analysis.simulate.record import FILE as SIMULATION
from bnstudy.analysis.simulate.tables import false_table, power_table
from bnstudy.analysis.trail import Trail, trail_of
from bnstudy.analysis.words import Html, Markdown, Sources
from bnstudy.chapters.found import EXPERIMENTS, blocks
from bnstudy.chapters.judged import chapter_of, claims, deviations, family, words
from bnstudy.chapters.second_round import judgements
from bnstudy.records.spec import Spec
from bnstudy.records.store import Store
from bnstudy.study.plan import Study
from bnstudy.study.run import default_data_dir
from bnstudy.study.status import Status, status

PAGE = "second_round"

# In which share of studies a part has to be told to count as told.
TOLD = 0.8

HARD = {
    "no spread, at a bound": "every seed exactly at a bound",
    "two values": "seeds of two values only",
    "rounded to half a standard deviation": "seeds rounded to half a standard deviation",
    "rounded to two standard deviations": "seeds rounded to two standard deviations",
}


@dataclass(frozen=True)
class Recorded:
    """A block's trainings as planned, and what of them is recorded."""

    study: Study
    state: Status

    @property
    def count(self) -> int:
        """How many of the planned runs are recorded."""
        return self.state.needed - len(self.state.missing) - len(self.state.newer)

    @property
    def tunes(self) -> bool:
        """Whether it chooses settings of other blocks, and judges nothing."""
        return self.study.first_seed in TUNING

    def seeds(self) -> str:
        """Return its seeds: ``"100 to 115"``."""
        seeds = sorted({run.spec.seed for run in self.study.runs()})
        return f"{seeds[0]} to {seeds[-1]}"

    def purpose(self) -> str:
        """Return the claims that its runs decide, or what else they are for."""
        if self.tunes:
            return "settings of the others"
        specs = [run.spec for run in self.study.runs()]
        decided = [name for name, claim in claims().items() if any(reads(claim, spec) for spec in specs)]
        return ", ".join(decided) if decided else "nothing: descriptive"


class SecondRound:
    """What the page says, from the rules, the recorded simulation and the records in a folder.

    Raises:
        SimulationError: the recorded simulation isn't there, is damaged, or is of other rules than today's.
        PreregistrationError: a record was not made for the frozen rules, and no chapter names it.
        RecordError: a record is damaged.
    """

    def __init__(self, data_dir: str | os.PathLike[str] = "") -> None:
        self.store = Store(data_dir or default_data_dir())
        self.results = read(self.store.root, list(claims().values()))
        self.judged: dict[str, Judgement] = judgements(self.store.root)

    @cached_property
    def recorded(self) -> dict[str, Recorded]:
        """Return each block's state by its study's name: first those that choose settings of the others."""
        scan = self.store.scan()
        plans = [EXPERIMENTS[name]() for name in blocks()]
        plans.sort(key=lambda study: (study.first_seed not in TUNING, study.name))
        return {study.name: Recorded(study, status(study, self.store, scan)) for study in plans}

    def answer(self) -> Markdown:
        """Return what is judged so far, and whether the rules are frozen."""
        measured = [name for name, j in self.judged.items() if j.verdict != "not measured yet"]
        by_test = [name for name in measured if not claims()[name].parts]
        said = (
            f"Of {len(self.judged)} claims {len(measured) - len(by_test)} are judged from confirmatory runs"
        )
        if by_test:
            said += f"; {', '.join(by_test)} needs none: a test of the code settles it"
        return Markdown(f"{said}. {self.freezing()}")

    def freezing(self) -> str:
        """Return which commit froze the rules, and whether they are still the same."""
        if not (self.store.root / FROZEN).exists():
            return "The rules are not frozen yet: until they are, no confirmatory run counts."
        since = frozen(self.store.root)
        said = f"Commit `{since.commit}` froze the rules on {since.date}."
        changed = [refusal.claim for refusal in refusals([], since, list(claims().values()))]
        if changed:
            said += f" Since then those of {', '.join(changed)} changed: they have to be frozen again."
        return said

    def claims(self) -> Markdown:
        """Return every claim: its verdict, and each part with its question, bound, runs and reason."""
        return Markdown("\n\n".join(self._claim(claim, words()[claim.id]) for claim in claims().values()))

    def procedure(self) -> Markdown:
        """Return in three sentences how a verdict comes about."""
        count = len(family())
        return Markdown(
            f"Each of the K = {count} judged quantities has one interval, of level 1 − α/K with "
            f"α = {ALPHA:g} ({100 * level_of(count):.3f} %), so that all of them hold together; it decides "
            f"every bound on the quantity. α is smaller than the {100 * ALLOWED:g} % of false answers that "
            "the book may have, since with skewed seeds such an interval misses more often than its level "
            "says: it was set where the simulation below keeps to what is allowed. The interval is "
            "Student's, with seeds and test images both as samples; of a yes or no of each seed it is the "
            "exact binomial, and of seeds with fewer than three different "
            "values the sign test's. A statement *holds* if the whole interval lies where it says, *doesn't "
            "hold* if the whole of it lies elsewhere, and else one *can't tell*: a claim is supported if all "
            "of its voting parts hold, refuted if none does and none is open, partly if at least one holds, "
            "and else open."
        )

    def worst(self) -> Markdown:
        """Return in how many studies the book errs where it errs most, against what is allowed."""
        share = self._from_simulation(_percent(largest_false_share(self.results)))
        return Markdown(
            f"Where the book errs most, {share} of {self.results['studies']:,} simulated studies have a "
            f"false answer anywhere in it; allowed: {100 * ALLOWED:g} %."
        )

    def false_rates(self) -> Html:
        """Return the share of studies with a false answer anywhere in the book, by truth, spread and skew."""
        table = false_table(self.results)
        table["spread"] = [f"× {spread:g}" for spread in table["spread"]]
        for column in table.columns[2:]:
            table[column] = [_percent(share) for share in table[column]]
        return page.show(table)

    def hard_cases(self) -> Html:
        """Return the same for studies that are hard to judge, and what the first round would have said."""
        hard = self.results["hard"]
        rows = [{"seeds": said, "false": hard[name], "first": None} for name, said in HARD.items()]
        added = max(row["share"] for row in hard["seeds added"])
        ties, times = hard["six equal epsilons"], hard["times cut off"]
        rows += [
            {"seeds": "seeds added for precision, at worst", "false": added, "first": None},
            {"seeds": "six equal epsilons", "false": ties["fails"], "first": ties["best"]},
            {"seeds": "times cut off", "false": times["judged"], "first": times["first round"]},
        ]
        return page.show(
            pd.DataFrame(
                {
                    "studies of": [row["seeds"] for row in rows],
                    "false answers": [_percent(row["false"]) for row in rows],
                    "by the first round's way": [
                        "" if row["first"] is None else _percent(row["first"]) for row in rows
                    ],
                }
            )
        )

    def power(self) -> Html:
        """Return what each part and grade can be expected to tell, as planned and with the most seeds."""
        asked = {(claim.id, part.name): part for claim in claims().values() for part in claim.parts}
        rows = []
        for row in power_table(self.results).to_dict("records"):
            part = asked[row["claim"], row["part"]]
            scale = part.quantity.scale
            said: dict[str, str] = {
                "claim": row["claim"],
                "part": ": ".join(filter(None, (part.name, row["grade"]))),
                "asked": write_asked(part.side, row["bound"], scale),
                "expected": write_value(row["expected"], scale),
            }
            for seeds, called in (("planned", ""), ("most", ", most seeds")):
                answers = [_percent(row[f"{answer}, {seeds} seeds"]) for answer in ("holds", "fails")]
                said[f"holds / doesn't{called}"] = " / ".join(answers)
                said[f"half-width{called}"] = write_width(row[f"half_width, {seeds} seeds"], scale)
            said["told from"] = write_width(row["decided_from, planned seeds"], scale).lstrip("±")
            rows.append(said)
        return page.show(pd.DataFrame(rows))

    def undecided(self) -> Markdown:
        """Return which parts even the most seeds would often leave open, if values are what is expected."""
        table = power_table(self.results)
        parts = table[table["grade"] == ""]
        told = parts[["holds, most seeds", "fails, most seeds"]].max(axis=1)
        open_ = parts[told < TOLD]
        if open_.empty:
            return Markdown("With the most seeds every part is told in four of five studies.")
        count = self._from_simulation(f"{len(open_)} of {len(parts)}")
        named = "; ".join(f"{row.claim}, *{row.part}*" for row in open_.itertuples())
        return Markdown(
            f"If the values are what is expected, {count} parts are told in fewer than four of five studies "
            f"even with the most seeds: {named}. Where a half-width stays above its target with the most "
            "seeds, the width that was reached stands beside the answer, and *can't tell* is an answer of "
            "that width."
        )

    def runs(self) -> Html:
        """Return what of each block is recorded, what it decides, and the command that trains it."""
        rows = [
            {
                "block": name,
                "decides": block.purpose(),
                "seeds": block.seeds(),
                "recorded": f"{block.count} of {block.state.needed} runs",
                "trained by": f".venv/bin/bnstudy run {name}",
            }
            for name, block in self.recorded.items()
        ]
        return page.show(pd.DataFrame(rows))

    def settings(self) -> Markdown:
        """Return whether the settings that blocks were to choose are chosen by records."""
        open_ = [name for name, b in self.recorded.items() if b.tunes and not b.state.complete]
        if not open_:
            return Markdown("Learning rates and strengths are those that the recorded tuning runs chose.")
        return Markdown(
            f"Some settings in `bnstudy/blocks/chosen.py` are provisional until "
            f"{' and '.join(f'`{name}`' for name in open_)} are recorded in full and choose them. What other "
            "tuning runs had to choose is chosen."
        )

    def deviations(self) -> Markdown:
        """Return which records are judged although they don't keep to the frozen rules, and why."""
        named = [f"- {d.claim}: {d.reason} ({', '.join(d.records)})" for d in deviations()]
        return Markdown("\n".join(named) or "No chapter names a deviation from the rules.")

    def downloads(self) -> Markdown:
        """Return links to the simulation as tables, which it writes beside the page that is being built."""
        tables = {name: pd.DataFrame(self.results[name]) for name in ("false", "power")}
        return page.offer_csv(tables, Sources(PAGE, [SIMULATION.name]))

    def files(self) -> Markdown:
        """Return links to the simulation and to what froze the rules, as recorded."""
        there = [self.store.root / file for file in (SIMULATION, FROZEN)]
        return page.offer_files([file for file in there if file.exists()])

    def _from_simulation(self, text: str) -> str:
        return Sources(PAGE, [SIMULATION.name]).cite(text)

    def _claim(self, claim: Claim, said: Words) -> str:
        chapter = chapter_of()[claim.id]
        verdict = VERDICTS[self.judged[claim.id].verdict][0]
        lines = [
            f'**{claim.id}** (<a href="{chapter}.html">{chapter.replace("_", " ")}</a>): {said.english} '
            f"**{verdict.capitalize()}.**",
            "",
        ]
        lines += [self._part(finding, said) for finding in self.judged[claim.id].findings]
        lines += [_verified(verified, said) for verified in claim.verified]
        return "\n".join(lines)

    def _part(self, finding: Finding, said: Words) -> str:
        part = finding.part
        quantity = part.quantity
        grades = "".join(
            f" Grade *{name}*: {_sentence(said, name)} "
            f"Asked: {write_asked(part.side, bound, quantity.scale)}."
            for name, bound in part.grades.items()
        )
        return (
            f"- **{part.name}**{_voteless(part)}: {_sentence(said, part.name)} "
            f"Asked of *{quantity.name}*: {write_asked(part.side, part.bound, quantity.scale)}.{grades} "
            f"Why there: {said.why[part.name]} "
            f"From {' and '.join(_reads(block) for block, _ in quantity.reads)}; "
            f"measured once the half-width is {write_width(quantity.target, quantity.scale)}. "
            f"{self._found(finding)}"
        )

    def _found(self, finding: Finding) -> str:
        if finding.estimate.missing:
            return "Not measured yet."
        trail = self._trail(finding.part.quantity)
        write = Writer(Sources(PAGE, trail.every_run()), "en", {finding.part.quantity.name: trail})
        said = f"Found: **{ANSWERS[finding.answer][0]}**, {write.estimate(finding.estimate)}"
        said += "".join(f"; {name}: {ANSWERS[answer][0]}" for name, answer in finding.grades.items())
        return f"{said}{'' if finding.estimate.measured else '; wider than the target'}."

    def _trail(self, quantity: Quantity) -> Trail:
        """Return the names of the recorded runs that a quantity is taken from, by seed."""
        arms = [(block, arm) for block, names in quantity.reads for arm in names]
        planned = {run.spec.name: run.spec for b in self.recorded.values() for run in b.study.runs()}
        there = {name for block in self.recorded.values() for name in block.state.recorded}
        return trail_of(
            (planned[name].seed, name)
            for name in there & planned.keys()
            if any(block.has(arm, planned[name]) for block, arm in arms)
        )


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


def _reads(block: Block) -> str:
    seeds = block.judged_seeds()
    return (
        f"`{planned_by(block)}`, {len(seeds)} seeds ({seeds[0]} to {seeds[-1]}; at most {block.at_most} "
        "once topped up)"
    )


def _verified(verified: Verified, said: Words) -> str:
    answer = ANSWERS["holds" if verified.holds else "doesn't hold"][0]
    return (
        f"- **{verified.name}**{_voteless(verified)}: {_sentence(said, verified.name)} "
        f"Verified by test: **{answer}** (`{verified.test}`)."
    )


def _voteless(part: Part | Verified) -> str:
    return "" if part.votes else " (no vote)"


def _sentence(said: Words, name: str) -> str:
    return said.parts[name][0]


def _percent(share: float) -> str:
    """Return a share with one decimal, and never as none or all where it is neither."""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %"
