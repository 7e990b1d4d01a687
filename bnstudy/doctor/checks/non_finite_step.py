"""The step at which a running statistic became NaN or infinite."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.history import History
from bnstudy.doctor.remedies import RECALIBRATE


def _watch(history: History) -> Iterator[Finding]:
    broken = history.broken
    if broken is None:
        return
    skipped = ", which the loss scaler skipped" if broken.skipped else ""
    yield CHECK.finding(
        "warning",
        broken.layers[0],
        f"its statistics became NaN or infinite at step {broken.step}{skipped} ({len(broken.layers)} "
        f"layers did)",
        cause="The forward moves the averages before anybody looks at the gradients: a loss scaler that "
        "skips the "
        "step leaves the NaN in the statistics, and training mode doesn't show it.",
        fix=RECALIBRATE + "\n# and look at what that step's batch held",
        sure="certain: the statistics after each step",
        step=broken.step,
        skipped=broken.skipped,
        layers=len(broken.layers),
    )


CHECK = Check(
    "non-finite-step",
    "the step at which a running statistic broke",
    "pytorch/pytorch#88474",
    watch=_watch,
)
