"""Optimiser steps with batch norm left in eval mode."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.history import History, LayerHistory
from bnstudy.doctor.remedies import RECALIBRATE

FIX = f"model.train()  # after every validation, before the next step\n{RECALIBRATE}"


def _watch(history: History) -> Iterator[Finding]:
    for record in history.layers:
        frozen = record.affine and not record.unfrozen
        if frozen or record.start.mean is None or not record.windows:
            continue
        if record.longest_rest >= 2:
            seen = f"{record.resting_after} steps in eval mode, after {record.trained} in training mode"
            yield _finding(record, seen)
        elif record.resting_first == record.windows and record.now.initial:
            yield _finding(record, f"all {record.windows} steps in eval mode, with initial statistics")
        elif record.resting_first == record.windows:
            yield CHECK.finding(
                "note",
                record.name,
                f"all {record.windows} steps in eval mode, while scale or offset learn",
                cause="Training against fixed statistics is common in detection and fine-tuning "
                "(norm_eval); the "
                "statistics are those of whatever the model was trained on before.",
                fix="# nothing, if meant; else\nmodel.train()",
                sure="can't tell whether it is meant",
                steps=record.windows,
            )


def _finding(record: LayerHistory, seen: str) -> Finding:
    return CHECK.finding(
        "warning",
        record.name,
        seen,
        cause="The weights went on and the statistics stayed: eval() for a validation (or a helper that "
        "calls it) "
        "was not followed by train(). The layer doesn't normalise what the weights make now.",
        fix=FIX,
        sure="certain: the layer's mode at each forward with gradient",
        eval_steps=record.resting_first + record.resting_after,
        train_steps=record.trained,
    )


CHECK = Check(
    "left-in-eval",
    "optimiser steps with batch norm in eval mode",
    "wkentaro/pytorch-fcn#57",
    watch=_watch,
)
