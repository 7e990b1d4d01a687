"""The figures of the decay chapter."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from bnstudy.analysis.style import ARMS, NEUTRAL, SMALL, curve, decay_colour, legend_above, panels, sample
from bnstudy.analysis.tables import last_step, summary
from bnstudy.chapters.decay.rules import PARTS, error_split

COLOURS = {
    **ARMS,
    "initialisation bias": "#0072b2",
    "staleness": "#d55e00",
    "sampling noise": "#aa4499",
}

PHASES = {"constant": "#d55e00", "annealed": "#0072b2"}

# What the axes of any decay are labelled with: decays, and points lost.
TOLD = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999)
LOST = (0, 0.5, 1, 2, 5, 10, 20, 40)

REFERENCES = {"batch statistics": "--", "precise statistics": ":"}


def accuracy_over_training(evaluation: pd.DataFrame) -> Figure:
    """Draw test accuracy over training steps by decay, one panel a schedule, with 95 % bands over seeds."""
    test = evaluation[evaluation["split"] == "test"]
    schedules = sorted(test["schedule"].unique(), reverse=True)
    figure, axes = _panels(schedules)
    # Bands of few seeds may leave the range of an accuracy; the curves set the scale.
    top = min(1.0, 1.1 * test["accuracy"].max())
    for axis, schedule in zip(axes, schedules, strict=True):
        part = test[test["schedule"] == schedule]
        plain = _plain(part)
        ends = {}
        for decay in sorted(plain["decay"].unique()):
            colour = decay_colour(decay)
            ends[f"{decay:g}"] = (_curve(axis, plain[plain["decay"] == decay], colour, "-"), colour)
        for name, dash in REFERENCES.items():
            _curve(axis, part[part["statistics"] == name.split()[0]], COLOURS[name], dash)
        axis.set(xscale="log", ylabel="test accuracy", title=f"{schedule} learning rate", ylim=(0, top))
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        _label_ends(axis, ends)
    axes[-1].set_xlabel("training step")
    for name, dash in REFERENCES.items():
        axes[0].plot([], [], color=COLOURS[name], ls=dash, label=name)
    axes[0].plot([], [], color=NEUTRAL, ls="-", label="moving averages,\nby decay")
    axes[0].legend(loc="upper left")
    return figure


def accuracy_by_decay(evaluation: pd.DataFrame, schedule: str, step: int) -> Figure:
    """Draw test accuracy by decay at one recorded step, plain and with the initial value's bias removed.

    The scale is that of the whole training, so that the figures of its steps can follow one another.
    """
    test = evaluation[(evaluation["split"] == "test") & (evaluation["schedule"] == schedule)]
    now = test[test["step"] == step]
    decays = sorted(now["decay"].dropna().unique())
    figure, (axis,) = _panels([schedule], height=3.2)
    for name, dash in REFERENCES.items():
        rows = summary(now[now["statistics"] == name.split()[0]], ["step"], "accuracy")
        axis.axhline(rows["mean"].iloc[0], color=COLOURS[name], ls=dash, lw=1.6, label=name)
    for debias, marker, shift, label in (
        ("none", "o", -0.15, "moving average"),
        ("both", "D", 0.15, "…debiased"),
    ):
        rows = now[(now["statistics"] == "moving") & (now["zero_debias"] == debias)]
        table = summary(rows, ["decay"], "accuracy")
        for decay, mean, low, high in zip(*(table[c] for c in ("decay", "mean", "low", "high")), strict=True):
            fill = decay_colour(decay) if debias == "none" else "none"
            axis.errorbar(
                decays.index(decay) + shift,
                mean,
                [[mean - low], [high - mean]],
                fmt=marker,
                ms=6,
                color=decay_colour(decay),
                mfc=fill,
                capsize=2,
            )
        hollow = NEUTRAL if debias == "none" else "none"
        axis.plot([], [], marker, color=NEUTRAL, mfc=hollow, label=label)
    axis.set_xticks(range(len(decays)), [f"{d:g}" for d in decays])
    axis.set_title(f"{schedule} learning rate", fontsize=SMALL + 1)
    axis.set(xlabel="decay", ylabel="test accuracy", ylim=(0, min(1.0, 1.1 * test["accuracy"].max())))
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.legend(loc="outside upper center", ncols=2, columnspacing=1.2, handletextpad=0.5)
    return figure


def error_by_decay(evaluation: pd.DataFrame) -> Figure:
    """Draw the three parts of the accuracy lost at the last step by decay, with 95 % intervals over seeds."""
    split = last_step(error_split(evaluation))
    schedules = sorted(split["schedule"].unique(), reverse=True)
    figure, axes = _panels(schedules)
    decays = sorted(split["decay"].unique())
    for axis, schedule in zip(axes, schedules, strict=True):
        part = split[split["schedule"] == schedule]
        table = summary(part, ["part", "decay"], "loss_of_accuracy")
        for i, name in enumerate(PARTS):
            rows = table[table["part"] == name].sort_values("decay")
            at = [decays.index(d) + (i - 1) * 0.22 for d in rows["decay"]]
            errors = [rows["mean"] - rows["low"], rows["high"] - rows["mean"]]
            axis.errorbar(
                at, rows["mean"], errors, fmt="os^"[i], ms=5, color=COLOURS[name], label=name, capsize=2
            )
        axis.axhline(0, color=NEUTRAL, lw=0.8)
        axis.set(ylabel="test accuracy lost\n(percentage points)", title=f"{schedule} learning rate")
        axis.set_xticks(range(len(decays)), [f"{d:g}" for d in decays])
        axis.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
    axes[-1].set_xlabel("decay")
    axes[0].legend(loc="upper left")
    return figure


def accuracy_by_any_decay(rows: pd.DataFrame) -> Figure:
    """Draw test accuracy by decay of snapshots' networks, one panel a phase of the learning rate.

    ``rows`` are those of ``bnstudy.chapters.asking.Asked``. Filled marks were recorded in training, hollow
    ones follow from snapshots; bars are 95 % intervals over seeds.
    """
    moving = rows[(rows["statistics"] == "moving") & (rows["zero_debias"] == "none")]
    decays = sorted(moving["decay"].unique())
    phases = list(rows.sort_values("step")["phase"].unique())
    figure, axes = _panels(phases, height=2.6)
    for axis, phase in zip(axes, phases, strict=True):
        now = rows[rows["phase"] == phase]
        for name, dash in REFERENCES.items():
            table = summary(now[now["statistics"] == name.split()[0]], ["phase"], "accuracy")
            for mean in table["mean"]:
                axis.axhline(mean, color=COLOURS[name], ls=dash, lw=1.6)
        table = summary(moving[moving["phase"] == phase], ["decay", "source"], "accuracy")
        for decay, source, mean, low, high in zip(
            *(table[c] for c in ("decay", "source", "mean", "low", "high")), strict=True
        ):
            colour = decay_colour(decay)
            axis.errorbar(
                decays.index(decay),
                mean,
                [[mean - low], [high - mean]],
                fmt="o",
                ms=6,
                color=colour,
                mfc="none" if source == "snapshot" else colour,
                capsize=2,
            )
        axis.set_xticks(range(len(decays)), [f"{d:g}" for d in decays])
        axis.set(ylabel="test accuracy", title=f"{phase}, {now['epoch'].iloc[0]:g} epochs")
        axis.yaxis.set_major_formatter(PercentFormatter(1))
    axes[-1].set_xlabel("decay")
    handles = [sample(name, COLOURS[name], ls=dash) for name, dash in REFERENCES.items()]
    handles += [
        sample("recorded in training", NEUTRAL, "o", ls=""),
        sample("from snapshots", NEUTRAL, "o", ls="", mfc="none"),
    ]
    legend_above(figure, handles)
    return figure


def lost_by_any_decay(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Draw the test accuracy lost against the steps that an average looks back over, a line a phase.

    ``table`` has the columns schedule, seed, decay, zero_debias and lost; ``names`` are the phases'.
    """
    figure, axis = panels(3.6)
    points = table.assign(reach=1 / (1 - table["decay"]), lost=100 * table["lost"])
    for (phase, name), marker in zip(names.items(), "os", strict=False):
        now = points[points["schedule"] == phase]
        plain, debiased = (now[now["zero_debias"] == kind] for kind in ("none", "both"))
        curve(axis, plain, "lost", PHASES[phase], x="reach", marker=marker, ms=4, lw=1.6, mew=0, label=name)
        if not debiased.empty:
            curve(axis, debiased, "lost", PHASES[phase], x="reach", ls="--", lw=1.4)
    axis.axhline(0, color=NEUTRAL, lw=0.8, ls=":")
    axis.set_xscale("log")
    # A tenth of a point is to be seen beside forty.
    axis.set_yscale("symlog", linthresh=1)
    axis.set_ylim(min(-0.3, 1.1 * points["lost"].groupby(points["decay"]).mean().min()), None)
    axis.set_yticks(LOST, [f"{lost:g}" for lost in LOST])
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set_xticks([1 / (1 - d) for d in TOLD], [f"{d:g}" for d in TOLD])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set(xlabel="decay", ylabel="test accuracy lost\n(percentage points)")
    axis.legend(loc="upper left")
    return figure


def save_svg(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as SVG, the same bytes for the same figure."""
    figure.savefig(path, format="svg", metadata={"Date": None})


def _plain(evaluation: pd.DataFrame) -> pd.DataFrame:
    rows: pd.DataFrame = evaluation[
        (evaluation["statistics"] == "moving") & (evaluation["zero_debias"] == "none")
    ]
    return rows


def _panels(names: list[str], height: float = 3.3) -> tuple[Figure, list[Axes]]:
    # One above the other, so that the text stays readable on a phone.
    figure, axes = panels(height * len(names), len(names), sharex=True, sharey=True, squeeze=False)
    return figure, list(axes[:, 0])


def _curve(axis: Axes, rows: pd.DataFrame, colour: str, style: str) -> tuple[float, float]:
    """Draw one mean with its band; return where it ends."""
    curve(axis, rows, "accuracy", colour, band=0.2, ls=style, lw=1.6)
    last = last_step(rows)
    return float(last["step"].iloc[0]), float(last["accuracy"].mean())


def _label_ends(axis: Axes, ends: dict[str, tuple[tuple[float, float], str]]) -> None:
    """Write each curve's name beside its end, pushed apart where they would overlap."""
    ordered = sorted(ends.items(), key=lambda item: item[1][0][1])
    places = spread([end[1] for _, (end, _) in ordered], 0.075 * axis.get_ylim()[1], axis.get_ylim()[1])
    for (name, (end, colour)), place in zip(ordered, places, strict=True):
        axis.annotate(
            name,
            end,
            xytext=(1.04, place),
            textcoords=axis.get_yaxis_transform(),
            color=colour,
            va="center",
            fontsize=SMALL,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.7, "shrinkA": 1, "shrinkB": 1},
        )


def spread(positions: list[float], least: float, top: float) -> list[float]:
    """Return ascending ``positions`` moved until all are ``least`` apart and none is above ``top``."""
    apart: list[float] = []
    for position in positions:
        apart.append(max(position, apart[-1] + least) if apart else position)
    bound = top
    for i in reversed(range(len(apart))):
        apart[i] = min(apart[i], bound)
        bound = apart[i] - least
    return apart
