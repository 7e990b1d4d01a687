"""What was chosen on held-out images, with seeds that decide nothing else.

``tests/test_blocks.py`` chooses again from the records and compares.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

# The best learning rate of each network, by ``learning_rates``.
RATES: Final = {"none": 3e-3, "batch": 1e-2}

# The best strengths of L2 and dropout on 5,000 images, by ``small_data_strengths``.
L2: Final = {"none": 1e-2, "batch": 1e-2}
DROPOUT: Final = {"none": 0.25, "batch": 0.25}


def best(checkpoints: pd.DataFrame, axis: str) -> dict[str, str]:
    """Return the arm's value on ``axis`` with the highest mean accuracy on held-out images at the end.

    ``checkpoints`` has the columns arm, ``axis``, seed, step, split and accuracy, one row a look. A training
    that diverged has no last row and counts as right by chance, a tenth.
    """
    seen = checkpoints[checkpoints["split"] == "validation"]
    last = seen[seen["step"] == seen["step"].max()].set_index(["arm", axis, "seed"])["accuracy"]
    every = pd.MultiIndex.from_frame(seen[["arm", axis, "seed"]].drop_duplicates())
    means = last.reindex(every, fill_value=0.1).groupby(["arm", axis]).mean()
    return {str(arm): str(means[arm].idxmax()) for arm in means.index.get_level_values("arm").unique()}
