"""What the decay chapter says of decays that were answered from snapshots instead of trained."""

from __future__ import annotations

import pandas as pd
from matplotlib import pyplot as plt

from bnstudy.analysis import page
from bnstudy.analysis.slider import inline_svg
from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.tables import in_percent, paired
from bnstudy.analysis.words import Html, Sources
from bnstudy.chapters.asking import USUAL, Asked
from bnstudy.chapters.decay import figures


def shown(asked: Asked, chapter: str) -> Html:
    """Return sentence, figure and table of what snapshots answered, beside what was recorded in training."""
    figure = figures.accuracy_by_any_decay(asked.rows)
    drawing = inline_svg(figure, "other-decays", _in_words(asked))
    plt.close(figure)
    return Html(
        f'<p>{_sentence(asked, chapter)}</p><div class="drawing">{drawing}</div>{page.show(table(asked))}'
    )


def table(asked: Asked) -> pd.DataFrame:
    """Return test accuracy by decay, and against the usual decay paired by seed: mean [95 % interval].

    A row's ``from`` says whether it was recorded in training or follows from a snapshot.
    """
    moving = asked.rows[(asked.rows["statistics"] == "moving") & (asked.rows["zero_debias"] == "none")]
    phases = list(moving.sort_values("step")["phase"].unique())
    lines = []
    for (decay, source), rows in moving.groupby(["decay", "source"]):
        line = {"decay": f"{decay:g}", "from": str(source)}
        for phase in phases:
            now = rows[rows["phase"] == phase].set_index("seed")["accuracy"]
            usual = moving[(moving["phase"] == phase) & (moving["decay"] == USUAL)]
            line[f"{phase}: test accuracy, %"] = in_percent(now)
            against = mean_interval(paired(now, usual.set_index("seed")["accuracy"]))
            value = against.percent(signed=True).replace(" percentage points", "")
            line[f"{phase}: against decay {USUAL:g}, points"] = "–" if decay == USUAL else value
        lines.append(line)
    return pd.DataFrame(lines)


def sources(asked: Asked, chapter: str) -> Sources:
    """Return the records whose snapshots answered."""
    return Sources(chapter, asked.runs)


def _sentence(asked: Asked, chapter: str) -> str:
    decays = ", ".join(f"{decay:g}" for decay in asked.decays)
    one = len(asked.decays) == 1
    epochs = " and ".join(f"{epoch:g}" for epoch in sorted(asked.rows["epoch"].unique()))
    count = sources(asked, chapter).cite(str(len(asked.runs)))
    return (
        f"Decay{'' if one else 's'} {decays}: not recorded in this chapter's study, and not trained for this "
        f"page. The networks of {count} trainings of another study, <code>{asked.study.name}</code>, were "
        f"kept after {epochs} epochs, with averages from which that of every decay follows; they were "
        "evaluated again. Hollow marks, and rows from a <em>snapshot</em>, are such; all else was recorded "
        "in training."
    )


def _in_words(asked: Asked) -> str:
    said = []
    for phase, now in asked.rows.groupby("phase", sort=False):
        for decay in asked.decays:
            rows = now[(now["statistics"] == "moving") & (now["decay"] == decay)]
            said.append(f"decay {decay:g} {100 * rows['accuracy'].mean():.1f} % ({phase}, from snapshots)")
    return f"Test accuracy by decay: {', '.join(said)}; recorded decays beside them, as in the table below."
