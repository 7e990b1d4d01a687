"""Repairs that several checks advise, as code for the reader's own names."""

from __future__ import annotations

# ``train_batches`` is what the model was trained on: tensors or (x, y), a thousand samples or more.
RECALIBRATE = (
    "import bnstudy\n"
    "# precise statistics, from the data that it was trained on; weights stay\n"
    "bnstudy.recalibrate(model, train_batches, inplace=True)"
)


def layer(name: str) -> str:
    """Return the line that gets a layer by its name."""
    return f"layer = model.get_submodule({name!r})"
