"""What averages of any decay lose in the second round's networks: a recorded result, from their snapshots."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.tables import paired
from bnstudy.chapters.decay import figures
from bnstudy.chapters.shown import Shown
from bnstudy.records.sealed import read_sealed

FILE = Path("bench", "decay_curve.json")
COMMAND = ".venv/bin/python benchmarks/decay_curve.py --workers 2 --json data/bench/decay_curve.json"

# What the figure calls the phases of training.
PHASES = {"constant": "constant rate", "annealed": "annealed"}

# A loss that nobody would notice: its whole interval lies within a quarter of a point of precise statistics.
UNNOTICED = 0.0025


def recorded(root: Path) -> pd.DataFrame:
    """Return the recorded rows: run, seed, step, decay, zero_debias, accuracy and loss; none if there are none.

    Raises:
        ValueError: the file is damaged.
    """
    if not (root / FILE).exists():
        return pd.DataFrame()
    result = read_sealed(root / FILE)
    return pd.DataFrame(result["rows"], columns=result["columns"])


def losses(shown: Shown) -> pd.DataFrame:
    """Return what each average loses to precise statistics of the same weights, of the runs that are shown.

    Columns: schedule (a phase of ``shown.phases``), seed, decay, zero_debias, lost (a share of test images).
    """
    rows = recorded(Path(shown.frames.root))
    if rows.empty:
        return rows
    rows = rows[rows["run"].isin(shown.frames.runs)]
    parts = []
    for phase, epoch in shown.phases.items():
        looked = shown.at("checkpoints", epoch)
        of_test = looked[(looked["split"] == "test") & (looked["statistics"] == "precise")]
        precise = of_test.set_index("seed")["accuracy"]
        now = rows[rows["step"] == looked["step"].iloc[0]]
        for (decay, debias), group in now.groupby(["decay", "zero_debias"]):
            reached = group.set_index("seed")["accuracy"]
            lost = (precise.reindex(reached.index) - reached).rename("lost").reset_index()
            parts.append(lost.assign(schedule=phase, decay=decay, zero_debias=debias))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def described(shown: Shown) -> str:
    """Return the figure of all decays and what is seen in it; nothing where that wasn't recorded."""
    table = losses(shown)
    if table.empty:
        return ""
    say = shown.write.say
    return "".join(
        (
            shown.drawing(
                figures.lost_by_any_decay(table, PHASES),
                f"trained-curve-{shown.language}",
                _in_words(shown, table),
                say(
                    "Test accuracy that moving averages lose to precise statistics of the same weights, by decay: "
                    "the second round's networks before annealing and after it. Dashed: with the weight of the initial "
                    "value divided out (zero-debias). Bands: 95 % intervals over seeds (Student's t); no verdict rests "
                    f"on them. From snapshots, by <code>{COMMAND.split()[1]}</code>.",
                    "滑动平均与同一组权重的精确统计量相比，测试准确率的降幅（按衰减率）：第二轮的网络，退火前与退火后。"
                    "虚线：做了偏差修正（zero-debias）。色带：随机种子之间的 95% 置信区间（t 分布），不作判定之用。"
                    f"由快照得出：<code>{COMMAND.split()[1]}</code>。",
                ),
            ),
            shown.seen(_seen(shown, table)),
        )
    )


def _seen(shown: Shown, table: pd.DataFrame) -> str:
    write, best, flat = shown.write, {}, {}
    plain = table[table["zero_debias"] == "none"]
    for phase in shown.phases:
        now = plain[plain["schedule"] == phase]
        means = now.groupby("decay")["lost"].mean()
        decay = float(str(means.idxmin()))
        usual, least = (now[now["decay"] == d].set_index("seed")["lost"] for d in (0.9, decay))
        best[phase] = (
            f"{decay:g}",
            write.lost(least, mean_interval),
            write.lost(paired(usual, least), mean_interval),
        )
        within = [
            float(str(d)) for d, rows in now.groupby("decay") if mean_interval(rows["lost"]).high < UNNOTICED
        ]
        flat[phase] = (f"{min(within):g}", f"{max(within):g}") if within else None
    bound = f"{100 * UNNOTICED:g}"
    early, late = best["constant"], best["annealed"]
    wide, count = flat["annealed"], plain["decay"].nunique()
    said = write.say(
        f"Before annealing decay {early[0]} loses least, {early[1]} points (the best of {count}, chosen on these seeds), and 0.9 loses {early[2]} more.",
        f"退火之前，衰减率 {early[0]} 的降幅最小，为 {early[1]} 个百分点（{count} 个衰减率中最好的一个，且由同一批随机种子选出）；0.9 比它多降 {early[2]} 个百分点。",
    )
    if wide is None:
        return said
    return said + write.say(
        f" After it every decay from {wide[0]} to {wide[1]} loses less than {bound} points (upper ends of the intervals); the "
        f"best, {late[0]}, is ahead of 0.9 by {late[2]} points.",
        f"退火之后，衰减率从 {wide[0]} 到 {wide[1]}，降幅的置信区间上端都不到 {bound} 个百分点；最好的 {late[0]} 与 0.9 相差 {late[2]} 个百分点。",
    )


def _in_words(shown: Shown, table: pd.DataFrame) -> str:
    say = shown.write.say
    plain = table[table["zero_debias"] == "none"]
    said = []
    for phase, name in shown.phase_names.items():
        means = plain[plain["schedule"] == phase].groupby("decay")["lost"].mean()
        listed = [f"{decay:g}: {_tenths(value)}" for decay, value in means.items()]
        said.append(f"{name}{say(', ', '，')}{say(', ', '，').join(listed)}")
    return say(f"Points lost by decay: {'; '.join(said)}.", f"各衰减率的降幅（百分点）：{'；'.join(said)}。")


def _tenths(share: float) -> str:
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(100 * share, 1) + 0.0:.1f}"
