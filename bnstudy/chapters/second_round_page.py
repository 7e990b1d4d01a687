"""The page of the second round: its rules in words, how often they err, and what is recorded so far."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from bnstudy.analysis import page
from bnstudy.analysis.judged.design import BLOCKS, TUNING, Block
from bnstudy.analysis.judged.parts import Claim, Part, Scale, Verified
from bnstudy.analysis.judged.preregistration import FILE as FROZEN
from bnstudy.analysis.judged.preregistration import frozen, refusals
from bnstudy.analysis.judged.verdicts import Answer, Finding, Judgement
from bnstudy.analysis.judged.wording import (
    ANSWERS,
    VERDICTS,
    Language,
    in_language,
    write_asked,
    write_value,
    write_width,
)
from bnstudy.analysis.procedure import ALPHA, level_of
from bnstudy.analysis.saying import Writer
from bnstudy.analysis.simulate import largest_false_share, read
from bnstudy.analysis.simulate.command import ALLOWED
from bnstudy.analysis.simulate.record import FILE as SIMULATION
from bnstudy.analysis.simulate.tables import false_table, power_table
from bnstudy.analysis.trail import Trail
from bnstudy.analysis.words import Html, Markdown, Sources, write_claim
from bnstudy.chapters.claims import CLAIMS
from bnstudy.chapters.found import EXPERIMENTS, blocks
from bnstudy.chapters.judged import chapter_of, claims, deviations, family, words
from bnstudy.chapters.second_round import confirmatory_records, doubted, judgements, trails
from bnstudy.chapters.second_round_blocks import Recorded, planned_by
from bnstudy.chapters.second_round_names import CHAPTERS, PARTS, QUANTITIES, REASONS
from bnstudy.chapters.second_round_words import WORDS, Words
from bnstudy.chapters.trained import carried
from bnstudy.records.store import Store
from bnstudy.study.needs import needs
from bnstudy.study.run import default_data_dir

PAGE = "second_round"

# In which share of studies a part has to be told to count as told.
TOLD = 0.8

# The claims as the article puts them, by id.
_AS_TOLD = {claim.id: claim for claim in CLAIMS}


class SecondRound:
    """What the page says in one language, from the rules, the recorded simulation and records in a folder.

    Raises:
        SimulationError: the recorded simulation isn't there, is damaged, or is of other rules than today's.
        PreregistrationError: a record was not made for the frozen rules, and no chapter names it.
        RecordError: a record is damaged.
    """

    def __init__(self, data_dir: str | os.PathLike[str] = "", language: Language = "en") -> None:
        self.language = language
        self.store = Store(data_dir or default_data_dir())
        self.results = read(self.store.root, list(claims().values()))
        self.judged: dict[str, Judgement] = judgements(self.store.root)
        self.trails: dict[str, Trail] = {}
        for judgement in self.judged.values():
            self.trails |= trails(judgement, self.store.root)
        self.recorded = self._recorded()

    @property
    def words(self) -> Words:
        """What the page says in its language."""
        return WORDS[self.language]

    def chinese(self) -> dict[str, Html | Markdown]:
        """Return what the Chinese page quotes, by name, from the same records."""
        other = copy(self)
        other.language = "zh"
        pieces: list[Callable[[], Html | Markdown]] = [
            other.answer, other.deviations, other.claims, other.procedure, other.worst, other.false_rates,
            other.hard_cases, other.undecided, other.power, other.carried, other.runs, other.settings,
        ]  # fmt: skip
        return {f"second_round_{piece.__name__}_zh": piece() for piece in pieces}

    def _recorded(self) -> dict[str, Recorded]:
        """Return each block's state by its study's name: first those that choose settings of the others."""
        scan = self.store.scan()
        plans = [EXPERIMENTS[name]() for name in blocks()]
        plans.sort(key=lambda study: (study.first_seed not in TUNING, study.name))
        return {study.name: Recorded(study, needs(study, self.store, scan)) for study in plans}

    def answer(self) -> Markdown:
        """Return what is judged so far, and whether the rules are frozen."""
        measured = [name for name, j in self.judged.items() if j.verdict != "not measured yet"]
        by_test = [name for name in measured if not claims()[name].parts]
        words = self.words
        said = words.judged.format(claims=len(self.judged), judged=len(measured) - len(by_test))
        if by_test:
            said += words.by_test.format(named=words.comma.join(by_test))
        return Markdown(f"{said}{words.stop}{self.freezing()}")

    def freezing(self) -> str:
        """Return which commit froze the rules, and whether they are still the same."""
        words = self.words
        if not (self.store.root / FROZEN).exists():
            return words.unfrozen
        since = frozen(self.store.root)
        on = datetime.fromisoformat(since.date).astimezone(UTC).strftime(words.when)
        said = words.froze.format(commit=since.commit[:10], date=on)
        changed = [refusal.claim for refusal in refusals([], since, list(claims().values()))]
        return said + words.changed.format(named=words.comma.join(changed)) if changed else said

    def claims(self) -> Markdown:
        """Return every claim: its verdict, and each part with its question, bound, runs and reason."""
        return Markdown("\n\n".join(self._claim(claim) for claim in claims().values()))

    def procedure(self) -> Markdown:
        """Return in three sentences how a verdict comes about."""
        count = len(family())
        level = f"{100 * level_of(count):.3f}"
        allowed = f"{100 * ALLOWED:g}"
        return Markdown(
            self.words.procedure.format(count=count, alpha=f"{ALPHA:g}", level=level, allowed=allowed)
        )

    def worst(self) -> Markdown:
        """Return in how many studies the book errs where it errs most, against what is allowed."""
        share = self._from_simulation(_percent(largest_false_share(self.results)))
        studies, allowed = f"{self.results['studies']:,}", f"{100 * ALLOWED:g}"
        return Markdown(self.words.worst.format(share=share, studies=studies, allowed=allowed))

    def false_rates(self) -> Html:
        """Return the share of studies with a false answer anywhere in the book, by truth, spread and skew."""
        truth, spread, skewness = self.words.false_heads
        table = false_table(self.results)
        table["truth"] = [self.words.truths.get(name, name) for name in table["truth"]]
        table["spread"] = [f"× {each:g}" for each in table["spread"]]
        for column in table.columns[2:]:
            table[column] = [_percent(share) for share in table[column]]
        skewed = [skewness.format(column.split()[-1]) for column in table.columns[2:]]
        table.columns = pd.Index([truth, spread, *skewed])
        return page.show(table)

    def hard_cases(self) -> Html:
        """Return the same for studies that are hard to judge, and what the first round would have said."""
        hard = self.results["hard"]
        ties, times = hard["six equal epsilons"], hard["times cut off"]
        found = {
            **{name: (share, None) for name, share in hard.items() if isinstance(share, float)},
            "seeds added": (max(row["share"] for row in hard["seeds added"]), None),
            "six equal epsilons": (ties["fails"], ties["best"]),
            "times cut off": (times["judged"], times["first round"]),
        }
        studies, wrong, first = self.words.hard_heads
        rows = [
            {
                studies: said,
                wrong: _percent(found[name][0]),
                first: "" if found[name][1] is None else _percent(found[name][1]),
            }
            for name, said in self.words.hard.items()
        ]
        return page.show(pd.DataFrame(rows))

    def power(self) -> Html:
        """Return what each part and grade can be expected to tell, as planned and with the most seeds."""
        words = self.words
        claim, named, asked, expected, told = words.power_heads
        parts = {(claim.id, part.name): part for claim in claims().values() for part in claim.parts}
        rows = []
        for row in power_table(self.results).to_dict("records"):
            part = parts[row["claim"], row["part"]]
            scale = part.quantity.scale
            said: dict[str, str] = {
                claim: row["claim"],
                named: words.colon.join(self._name(n) for n in (part.name, row["grade"]) if n),
                asked: write_asked(part.side, row["bound"], scale, self.language),
                expected: write_value(row["expected"], scale, self.language),
            }
            for seeds, called, width in zip(
                ("planned", "most"), words.power_answers, words.power_widths, strict=True
            ):
                answers = [_percent(row[f"{answer}, {seeds} seeds"]) for answer in ("holds", "fails")]
                said[called] = " / ".join(answers)
                said[width] = self._half_width(row[f"half_width, {seeds} seeds"], scale)
            said[told] = self._half_width(row["decided_from, planned seeds"], scale)
            rows.append(said)
        return page.show(pd.DataFrame(rows))

    def _half_width(self, width: float, scale: Scale) -> str:
        """Return a distance by itself, which has no sign."""
        return write_width(width, scale, self.language).lstrip("±")

    def undecided(self) -> Markdown:
        """Return which parts even the most seeds would often leave open, if values are what is expected."""
        words = self.words
        table = power_table(self.results)
        parts = table[table["grade"] == ""]
        told = parts[["holds, most seeds", "fails, most seeds"]].max(axis=1)
        open_ = parts[told < TOLD]
        if open_.empty:
            return Markdown(words.all_told)
        named = [
            words.part_of.format(claim=row.claim, part=self._name(str(row.part)))
            for row in open_.itertuples()
        ]
        count = self._from_simulation(words.of.format(part=len(open_), all=len(parts)))
        return Markdown(words.undecided.format(count=count, named=words.named.join(named)))

    def carried(self) -> Html:
        """Return what the second network shows of the claims that it was measured for."""
        return carried(self.language, self.store.root)

    def runs(self) -> Html:
        """Return what of each block is recorded, what it decides, and the command that trains it."""
        words = self.words
        rows = []
        for name, block in self.recorded.items():
            decided = words.comma.join(block.decides()) or words.describes
            first, last = block.seeds()
            cells = (
                Html(f"<code>{name}</code>"),
                words.chooses if block.tunes else decided,
                words.seeds.format(first=first, last=last),
                words.recorded.format(part=block.count, all=block.planned),
                Html(f"<code>.venv/bin/bnstudy run {name}</code>"),
            )
            rows.append(dict(zip(words.run_heads, cells, strict=True)))
        return page.show(pd.DataFrame(rows))

    def settings(self) -> Markdown:
        """Return whether the settings that blocks were to choose are chosen by records."""
        open_ = [f"`{name}`" for name, b in self.recorded.items() if b.tunes and not b.complete]
        if not open_:
            return Markdown(self.words.chosen)
        return Markdown(self.words.provisional.format(named=self._and(open_)))

    def deviations(self) -> Markdown:
        """Return which records are judged although they don't keep to the frozen rules, and why."""
        words = self.words
        named = [
            words.deviation.format(claim=d.claim, reason=d.reason, records=words.comma.join(d.records))
            for d in deviations()
        ]
        return Markdown(("\n".join(named) or words.no_deviation) + self._uncommitted() + self._machines())

    def _uncommitted(self) -> str:
        """Return how many judged records were made from a checkout with changes, and whether that shows."""
        made = [record.provenance for record in confirmatory_records(self.store)]
        changed = [each for each in made if each["git"]["dirty"]]
        if not changed:
            return ""
        committed = {each["source"] for each in made if not each["git"]["dirty"]}
        alike = all(each["source"] in committed for each in changed)
        words = self.words
        said = words.alike if alike else words.unlike
        return words.uncommitted.format(all=len(made), part=len(changed), alike=said)

    def _machines(self) -> str:
        """Return where the judged records were trained, and whether any seed's arms were trained apart."""
        words = self.words
        made = [(record.spec, _machine(record.provenance)) for record in confirmatory_records(self.store)]
        counts = Counter(machine for _, machine in made)
        if len(counts) < 2:
            return ""
        by_seed: dict[tuple[str, int], set[tuple[str, str]]] = {}
        for spec, machine in made:
            for name, block in BLOCKS.items():
                if block.arms_of(spec):
                    by_seed.setdefault((name, spec.seed), set()).add(machine)
        apart = sum(len(machines) > 1 for machines in by_seed.values())
        named = [
            words.machine.format(count=count, device=device, torch=torch)
            for (device, torch), count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))
        ]
        said = words.apart.format(count=apart) if apart else words.together
        return words.machines.format(named=self._and(named), said=said)

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

    def _claim(self, claim: Claim) -> str:
        chapter = chapter_of()[claim.id]
        chinese = self.language == "zh"
        verdict = in_language(VERDICTS[self.judged[claim.id].verdict], self.language)
        head = self.words.claim.format(
            id=claim.id,
            chapter=chapter,
            name=CHAPTERS[chapter] if chinese else chapter.replace("_", " "),
            said=write_claim(_AS_TOLD[claim.id], "zh") if chinese else words()[claim.id].english,
            verdict=verdict.capitalize(),
        )
        lines = [head, ""]
        lines += [self._part(claim.id, finding) for finding in self.judged[claim.id].findings]
        lines += [self._verified(claim.id, verified) for verified in claim.verified]
        return "\n".join(lines)

    def _part(self, claim: str, finding: Finding) -> str:
        part, language = finding.part, self.language
        quantity = part.quantity
        grades = "".join(
            self.words.grade.format(
                name=self._name(name),
                said=self._sentence(claim, name),
                asked=write_asked(part.side, bound, quantity.scale, language),
            )
            for name, bound in part.grades.items()
        )
        why = words()[claim].why[part.name]
        return self.words.part.format(
            name=self._name(part.name),
            voteless=self._voteless(part),
            said=self._sentence(claim, part.name),
            quantity=QUANTITIES[quantity.name] if language == "zh" else quantity.name,
            asked=write_asked(part.side, part.bound, quantity.scale, language),
            grades=grades,
            why=REASONS[why] if language == "zh" else why,
            reads=self._and([self._reads(block) for block, _ in quantity.reads]),
            width=(self.words.narrow_factor if quantity.scale == "factor" else self.words.narrow).format(
                self._half_width(quantity.target, quantity.scale)
            ),
            found=self._found(finding) + self._doubted(claim, part),
        )

    def _found(self, finding: Finding) -> str:
        words, language = self.words, self.language
        if finding.estimate.missing:
            return words.unmeasured
        grades = "".join(
            words.found_grade.format(name=self._name(name), answer=in_language(ANSWERS[answer], language))
            for name, answer in finding.grades.items()
        )
        return words.found.format(
            answer=in_language(ANSWERS[finding.answer], language),
            size=self._writer(finding).estimate(finding.estimate),
            grades=grades,
            wide="" if finding.estimate.measured else words.wide,
            expected=write_value(finding.part.quantity.pilot.mean, finding.part.quantity.scale, language),
        )

    def _doubted(self, claim: str, part: Part) -> str:
        """Return what was found of a part's answer since, and what is found without it."""
        space = "" if self.language == "zh" else " "
        return "".join(
            space + doubt.sentence(finding, self._writer(finding))
            for doubt, finding in doubted(claim, self.store.root)
            if doubt.part == part.name
        )

    def _writer(self, finding: Finding) -> Writer:
        name = finding.part.quantity.name
        return Writer(Sources(PAGE, self.trails[name].every_run()), self.language, self.trails)

    def _verified(self, claim: str, verified: Verified) -> str:
        answer: Answer = "holds" if verified.holds else "doesn't hold"
        return self.words.verified.format(
            name=self._name(verified.name),
            voteless=self._voteless(verified),
            said=self._sentence(claim, verified.name),
            answer=in_language(ANSWERS[answer], self.language),
            test=verified.test,
        )

    def _reads(self, block: Block) -> str:
        seeds, words = block.judged_seeds(), self.words
        more = words.topped_up if len(seeds) > block.seeds else words.may_be_topped_up
        return words.reads.format(
            study=planned_by(block), count=len(seeds), first=seeds[0], last=seeds[-1],
            more=more.format(planned=block.seeds, most=block.at_most),
        )  # fmt: skip

    def _voteless(self, part: Part | Verified) -> str:
        return "" if part.votes else self.words.voteless

    def _name(self, name: str) -> str:
        return PARTS[name] if self.language == "zh" else name

    def _sentence(self, claim: str, name: str) -> str:
        return in_language(words()[claim].parts[name], self.language)

    def _and(self, named: Sequence[str]) -> str:
        return self.words.both.join(named)


def _percent(share: float) -> str:
    """Return a share with one decimal, and never as none or all where it is neither."""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %"


def _machine(provenance: Mapping[str, Any]) -> tuple[str, str]:
    """Return the device that a record was trained on, and the version of PyTorch."""
    return str(provenance["device"]), str(provenance["libraries"]["torch"])
