"""Statistics that a validation in training mode moved."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.history import History

FIX = "import torch\nmodel.eval()\nwith torch.no_grad():\n    ...  # validate\nmodel.train()"
CAUSE = (
    "no_grad() stops gradients and nothing else: in training mode each forward moves the averages, so that "
    "the validation images are in the statistics, and each image was normalised by its batch."
)


def _watch(history: History) -> Iterator[Finding]:
    for record in history.layers:
        # What never learns by gradients is a teacher or a target: its forwards without are its life.
        if not record.gradient_seen:
            continue
        often = record.validated * 2 > record.steps
        if record.validated:
            yield CHECK.finding(
                "note" if often else "warning",
                record.name,
                f"{record.validation_passes} forwards without gradient moved the statistics, "
                f"{record.validated} times "
                "between steps",
                cause=CAUSE
                if not often
                else "It happens at most steps, as if part of the method: pseudo-labels and "
                "several views do so. " + CAUSE,
                fix=FIX,
                sure="can't tell whether it is meant"
                if often
                else "certain: modes and gradients of each forward",
                forwards=record.validation_passes,
                times=record.validated,
            )
        elif record.unfinished and record.steps:
            yield CHECK.finding(
                "note",
                record.name,
                f"{record.unfinished} forwards without gradient moved the statistics after the last step",
                cause="At the end that may be meant, as a recalibration without reset or an adaptation to "
                "new data; "
                "as a validation it isn't. " + CAUSE,
                fix=FIX,
                sure="can't tell whether it is meant",
                forwards=record.unfinished,
            )


CHECK = Check(
    "updated-in-validation",
    "forwards without gradient in training mode moved the statistics",
    "princeton-vl/pytorch_stacked_hourglass#44",
    watch=_watch,
)
