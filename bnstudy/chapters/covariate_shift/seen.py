"""What the second round's probes saw in the shift block, as tables by seed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bnstudy.analysis.tables import Tables, last_step, rows
from bnstudy.blocks.shift import HALF_RATE
from bnstudy.chapters.covariate_shift.judged import CONVOLUTIONS, HIDDEN, LOGITS
from bnstudy.chapters.covariate_shift.rules import RUN

# The networks without noise: the yardstick is the one without batch norm, at half the learning rate.
QUIET = ("none", HALF_RATE, "batch")
NORMS = (*HIDDEN, *LOGITS)
NOISES = ("fresh", "frozen")


def short(layers: pd.Series[str]) -> pd.Series[str]:
    """Return the layers' short names: ``"conv3"``."""
    return layers.str.split(".").str[1]


def drift(tables: Tables) -> pd.DataFrame:
    """Return how far a step moves what convolutions 2 to 5 are given, in its standard deviations.

    Columns: arm, training, seed, layer and ``value``, the mean binary logarithm over the probed steps.
    """
    moved, spread = (_of(tables, "activation_drift", q) for q in ("input_wasserstein", "input_std"))
    with np.errstate(divide="ignore", invalid="ignore"):
        return _by_layer((moved / spread).map(np.log2))


def cosine(tables: Tables) -> pd.DataFrame:
    """Return the cosine of gradients before and after the earlier layers' update, mean over probed steps.

    Columns: arm, training, seed, layer, value. A gradient that is zero before and after has no angle.
    """
    values, moved = (_of(tables, "internal_covariate_shift", q) for q in ("cosine", "ics"))
    return _by_layer(values.mask(moved == 0))


def shape(tables: Tables) -> pd.DataFrame:
    """Return Kolmogorov's distance of normalised values to a Gaussian along training, with batch norm.

    Columns: training, seed, step, layer, value, and ``sample``: the mean of a Gaussian sample of that size.
    """
    table = rows(tables, "gaussianity", arm="batch")
    table = table[table["layer"].isin(NORMS)]
    keys = ["training", "seed", "step", "layer"]
    value, sample = (
        table[table["quantity"] == f"normalised_{name}"].set_index(keys)["value"]
        for name in ("kolmogorov", "gaussian_kolmogorov")
    )
    found = pd.DataFrame({"value": value, "sample": sample}).reset_index()
    return found.assign(layer=short(found["layer"]))


def noise(tables: Tables) -> pd.DataFrame:
    """Return each run with what noise is there to change, and what it changes.

    Columns: arm, training, seed, ``kind`` ("fresh" or "frozen"; empty without noise), ``dose``, and

    * ``shift``: binary logarithm of the relative shift of convolutions 2 to 5, with the noise of the next
      pass, mean over probed steps and layers;
    * ``gradient``: that of the largest gradient norm that was probed (of the finite ones);
    * ``accuracy``: on test images at the end, a tenth for a run that diverged; ``diverged``.
    """
    runs = rows(tables, "runs")
    runs = runs[runs["arm"] != HALF_RATE].reset_index(drop=True)
    parts = runs["arm"].str.extract(r"^(fresh|frozen) (\S+)$")
    evaluation = tables["evaluation"]
    reached = last_step(evaluation[evaluation["split"] == "test"]).set_index("run")["accuracy"]
    shifts = rows(tables, "internal_covariate_shift")
    # Without noise the next pass has the same: nothing was measured twice.
    quantity = np.where(shifts["arm"].isin(QUIET), "ics_relative", "ics_relative_redrawn")
    shifts = shifts[(shifts["quantity"] == quantity) & shifts["layer"].isin(CONVOLUTIONS)]
    norms = rows(tables, "gradient_health", quantity="total_norm")
    made = runs.assign(
        kind=parts[0].fillna(""),
        dose=parts[1].astype("float64"),
        shift=runs["run"].map(_logs(shifts).groupby("run").mean()),
        gradient=runs["run"].map(_logs(norms).groupby("run").max()),
        accuracy=runs["run"].map(reached),
    )
    return made.assign(accuracy=made["accuracy"].where(made["diverged"] == 0, 0.1))


def _logs(table: pd.DataFrame) -> pd.Series[float]:
    """Return the binary logarithms of the finite positive values, indexed by run."""
    values = table.set_index("run")["value"].astype(float)
    return values[np.isfinite(values) & (values > 0)].map(np.log2)


def _of(tables: Tables, probe: str, quantity: str) -> pd.Series[float]:
    table = rows(tables, probe, quantity=quantity)
    table = table[table["layer"].isin(CONVOLUTIONS) & table["arm"].isin(QUIET)]
    found: pd.Series[float] = table.set_index([*RUN, "step", "layer"])["value"].astype(float)
    return found


def _by_layer(values: pd.Series[float]) -> pd.DataFrame:
    finite = values.replace([np.inf, -np.inf], np.nan).dropna()
    found = finite.groupby([*RUN, "layer"]).mean().rename("value").reset_index()
    return found.assign(layer=short(found["layer"]))
