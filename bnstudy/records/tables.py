"""The tables that a record holds: their columns, types, units and meaning, and their form as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Table = dict[str, list[Any]]
Values: TypeAlias = "Table | NDArray[Any]"  # of a table of rows, or of an array
Kind = Literal["integer", "number", "string", "boolean"]


@dataclass(frozen=True)
class Column:
    """One column: its name, its type in Frictionless' words, its unit ("1" for none) and its meaning."""

    name: str
    kind: Kind
    unit: str
    meaning: str


RUN = Column("run", "string", "1", "first 16 hexadecimal digits of the run's id")
_STEP = Column("step", "integer", "optimiser steps", "training step, counted from 1")
_LOSS = Column("loss", "number", "nats", "mean cross-entropy")
_ACCURACY = Column("accuracy", "number", "1", "share of images whose largest logit is their class's")

_CHOICE = (
    _STEP,
    Column("split", "string", "1", "images: test, train (the first 10,000 of them), or validation"),
    Column(
        "statistics",
        "string",
        "1",
        "normalisation statistics: batch, precise, moving, frozen, or none without normalisation",
    ),
    Column("decay", "number", "1", "decay of the moving average; empty where there is none"),
    Column("zero_debias", "string", "1", "averages that are debiased: none, mean, both; or empty"),
)
_EVALUATION = (RUN, *_CHOICE, _LOSS, _ACCURACY)
_TEST_BATCH = (
    Column("order", "string", "1", "order of the test images: shuffled, or sorted by class"),
    Column("test_batch_size", "integer", "images", "images a test batch"),
    Column(
        "statistics",
        "string",
        "1",
        "moving (is_training=False), batch (True), or leaked: moving, after a pass with True",
    ),
    _LOSS,
    _ACCURACY,
)


def _probe(unit: str) -> tuple[Column, ...]:
    return (
        RUN,
        _STEP,
        Column("layer", "string", "1", "name of the layer in the network; empty: the whole network"),
        Column("quantity", "string", "1", "what was measured; see the probe in bnstudy.probes"),
        Column("value", "number", unit, "the measured value"),
    )


TABLES: dict[str, tuple[Column, ...]] = {
    "training": (
        RUN,
        _STEP,
        _LOSS,
        _ACCURACY,
        Column("learning_rate", "number", "1", "learning rate of the step"),
    ),
    "evaluation": _EVALUATION,
    "checkpoints": _EVALUATION,
    "arrivals": _EVALUATION,
    "hits_index": (
        RUN,
        *_CHOICE,
        Column("order", "string", "1", "order of the test images, for test batches: as in flag; or empty"),
        Column("test_batch_size", "number", "images", "images a test batch; empty where there are none"),
        Column("images", "integer", "images", "images whose hits the row has"),
    ),
    "test_batches": (RUN, _STEP, *_TEST_BATCH),
    "snapshots": (RUN, _STEP),
    "calibration": (
        RUN,
        _STEP,
        Column("split", "string", "1", "images: test, train (the first 10,000 of them), or validation"),
        Column("temperature", "number", "1", "what logits are divided by: the best one on validation"),
        _LOSS,
        Column("scaled_loss", "number", "nats", "mean cross-entropy of the logits so divided"),
    ),
    "weights": (
        RUN,
        _STEP,
        Column("parameter", "string", "1", "name of the parameter in the network"),
        Column("digest", "string", "1", "first 16 hexadecimal digits of the SHA-256 of its values"),
    ),
    "flag": (RUN, *_TEST_BATCH),
    "cost": (
        RUN,
        Column("arm", "string", "1", "what was timed"),
        Column("round", "integer", "1", "round in which each arm was timed once, counted from 1"),
        Column("seconds_per_step", "number", "seconds", "mean duration of a training step"),
    ),
    "sharing": (
        RUN,
        Column("variables", "integer", "1", "variables of the second call, moving averages included"),
        Column("shared", "number", "1", "share of them that are the first call's"),
    ),
    "activation_drift": _probe("by quantity: the activation's, or 1"),
    "gaussianity": _probe("1"),
    "gradient_health": _probe("by quantity: of gradients (nats), of shares (1), of steps"),
    "gradient_predictiveness": _probe("by quantity: of losses and gradients (nats), of smoothness (nats)"),
    "internal_covariate_shift": _probe("by quantity: nats (ics), 1 (ics_relative, cosine)"),
}

# The index of the runs: name, id and outcome, what was set, and where it comes from.
RUNS: tuple[Column, ...] = (
    RUN,
    Column("id", "string", "1", "the run's id: SHA-256 of the canonical JSON of its specification"),
    Column("outcome", "string", "1", "finished, or the step at which the run diverged"),
    Column("kind", "string", "1", "what kind of run it is"),
    Column("dataset", "string", "1", "data set"),
    Column("train_size", "integer", "images", "training images; empty: all"),
    Column("held_out", "integer", "images", "training images kept out of training"),
    Column("network", "string", "1", "network: article, resnet8, or where a user's own is"),
    Column("norm", "string", "1", "normalisation after each convolution: batch, noisy, group or none"),
    Column("epsilon", "number", "1", "added to the variance"),
    Column("scale", "boolean", "1", "whether the normalisation has a gamma"),
    Column("scale_last", "boolean", "1", "whether the layer that gives the logits has one too"),
    Column("noise_frozen", "boolean", "1", "whether the noise is the same at all steps"),
    Column("noise_dose", "number", "1", "factor of the published noise"),
    Column("norm_last", "boolean", "1", "whether the layer that gives the logits is normalised"),
    Column("renorm", "boolean", "1", "whether it is batch renormalization"),
    Column("renorm_rmax", "number", "1", "bound of r; empty: none"),
    Column("renorm_dmax", "number", "1", "bound of d; empty: none"),
    Column("renorm_decay", "number", "1", "decay of the renormalization statistics"),
    Column("relu_on_logits", "boolean", "1", "whether a ReLU follows the last convolution"),
    Column("conv_bias", "boolean", "1", "whether convolutions have a bias"),
    Column("initialisation", "string", "1", "how weights start: article, PyTorch's default, or he"),
    Column("optimizer", "string", "1", "optimiser"),
    Column("momentum", "number", "1", "momentum of SGD"),
    Column(
        "weight_decay", "number", "1", "L2 penalty: its gradient, as a multiple of the convolutions' weights"
    ),
    Column("dropout", "number", "1", "share of the hidden layers' values that is dropped"),
    Column("dropout_place", "string", "1", "where values are dropped: before_norm or after_norm"),
    Column("learning_rate", "number", "1", "learning rate of the first step"),
    Column(
        "schedule",
        "string",
        "1",
        "learning rate over training: constant, annealed to zero, or the one and then the other",
    ),
    Column("annealed_epochs", "integer", "epochs", "last epochs, in which the learning rate falls to zero"),
    Column("batch_size", "integer", "images", "images a training step"),
    Column("epochs", "integer", "epochs", "passes over the training set"),
    Column("seed", "integer", "1", "seed of the initial weights and of the order of the data"),
    Column("precision", "string", "1", "type in which convolutions compute"),
    Column("decays", "string", "1", "decays of the moving averages kept along the run, a JSON list"),
    Column("zero_debias", "string", "1", "which averages are kept debiased, a JSON list"),
    Column("evaluations", "integer", "1", "number of log-spaced steps at which the run is evaluated"),
    Column("statistics", "string", "1", "statistics that the run is evaluated with, a JSON list"),
    Column("probes", "string", "1", "probes that looked at the run, a JSON list"),
    Column("probed_steps", "integer", "1", "number of log-spaced steps at which they looked"),
    Column("probed_images", "integer", "images", "images that gaussianity looks at; 0: the batch"),
    Column("redrawn", "boolean", "1", "whether covariate shift is measured with redrawn noise too"),
    Column("precise_images", "integer", "images", "images behind precise statistics; empty: all"),
    Column("updates", "string", "1", "who keeps the moving averages: bank, or the layers, and when"),
    Column("spacing", "string", "1", "axis on which the evaluated steps are evenly spaced: log or linear"),
    Column("test_batches", "string", "1", "sizes of test batches in the flag's table, a JSON list"),
    Column("padding", "integer", "images", "blank images added to each training batch"),
    Column("batch_weights", "boolean", "1", "whether they are weighted out of the batch moments"),
    Column("in_turn", "boolean", "1", "whether each step updates one layer alone, in turn"),
    Column("logged_every", "integer", "optimiser steps", "from step 51 on, steps between rows of training"),
    Column("looks", "string", "1", "at which steps the run is evaluated besides, and how, a JSON list"),
    Column("rounds", "integer", "1", "rounds in which step costs were timed"),
    Column("steps", "integer", "optimiser steps", "steps timed at a time"),
    Column("reuse", "boolean", "1", "whether the second call reuses the first one's variables"),
    Column("bnstudy", "string", "1", "version of the package"),
    Column("date", "string", "1", "when the run ended (UTC); empty in the first records"),
    Column("source", "string", "1", "digest of the source that decides a run's numbers"),
    Column("commit", "string", "1", "git commit that the run was made at"),
    Column("torch", "string", "1", "version of PyTorch"),
    Column("device", "string", "1", "processor or graphics card"),
    Column("threads", "integer", "1", "threads a run"),
    Column("wall_seconds", "number", "seconds", "duration of the run, evaluation included"),
)


def columns_of(table: str) -> list[str]:
    """Return a table's column names in order."""
    return [column.name for column in TABLES[table]]


def to_csv(name: str, run: str, table: Table) -> bytes:
    """Return a run's table as CSV (UTF-8, a header, one line end a row), numbers to nine digits.

    Nine significant digits identify a float32. Missing values are empty fields.

    Raises:
        ValueError: the table is unknown, or its columns or their lengths aren't those it must have.
    """
    if name not in TABLES:
        raise ValueError(f"table is {name!r}; allowed: {', '.join(TABLES)}")
    columns = columns_of(name)
    # A run that diverged before its first evaluation has no rows, but the same columns.
    table = table or {column: [] for column in columns if column != "run"}
    table = {"run": [run] * len(next(iter(table.values()))), **table}
    if set(table) != set(columns) or len({len(values) for values in table.values()}) > 1:
        sizes = {column: len(values) for column, values in table.items()}
        raise ValueError(f"table {name!r} has columns {sizes}; allowed: {columns}, all of one length")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*([as_text(v) for v in table[c]] for c in columns), strict=True))
    return out.getvalue().encode()


def to_frame(name: str, parts: Iterable[bytes]) -> pd.DataFrame:
    """Return the rows of many runs' CSV files of one table as one frame."""
    import pandas as pd

    header = (",".join(columns_of(name)) + "\n").encode()
    # Read as one file: a parser a file costs more than the rows.
    bodies = []
    for part in parts:
        if not part.startswith(header):
            raise ValueError(f"table {name!r} starts with {part[:80]!r}; allowed: {header!r}")
        bodies.append(part[len(header) :])
    kinds = {"integer": "int64", "number": "float64", "string": "str"}
    return pd.read_csv(
        io.BytesIO(header + b"".join(bodies)),
        dtype={c.name: kinds[c.kind] for c in TABLES[name]},
        keep_default_na=False,
        na_values=["", "NaN"],
    )


def as_text(value: Any) -> Any:
    """Return a value as its CSV field: nine digits of a number, which identify a float32."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "INF" if value > 0 else "-INF"
    return format(value, ".9g")
