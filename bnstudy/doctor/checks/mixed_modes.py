"""Batch-norm layers in different modes."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.comparing import Pair
from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.history import History
from bnstudy.doctor.layers import moves
from bnstudy.doctor.scanning import Subject


def _scan(subject: Subject) -> Iterator[Finding]:
    layers = [
        layer
        for layer in subject.layers
        if layer.module is not None and layer.mean is not None and moves(layer.module)
    ]
    resting = [layer for layer in layers if not layer.training]
    if not resting or len(resting) == len(layers):
        return
    trainable = [layer.name for layer in resting if layer.trainable]
    yield _finding([layer.name for layer in resting], trainable, len(layers), "are")


def _watch(history: History) -> Iterator[Finding]:
    layers = [record for record in history.layers if record.windows]
    resting = [record for record in layers if not record.trained]
    if not resting or not any(record.trained == record.windows for record in layers):
        return
    trainable = [record.name for record in resting if record.unfrozen]
    yield _finding([record.name for record in resting], trainable, len(layers), "were at every step")


def _compare(pair: Pair) -> Iterator[Finding]:
    training = [layer.name for layer in pair.b.layers if layer.training]
    if pair.relation == "export" and training:
        yield CHECK.finding(
            "warning",
            None,
            f"the export has {len(training)} layers in training mode ({training[0]} is one)",
            cause="What was exported normalises by each batch it gets, and moves its statistics with "
            "each: exports "
            "keep the mode of their model, or put it in training mode themselves.",
            fix="model.eval()  # before the export, and again on what it gives",
            sure="certain: the layers' modes",
            training_mode=len(training),
        )


def _finding(resting: list[str], trainable: list[str], layers: int, verb: str) -> Finding:
    named = (trainable or resting)[0]
    return CHECK.finding(
        "warning" if trainable else "note",
        None,
        f"{len(resting)} of {layers} layers {verb} in eval mode ({named} is one), the others in training "
        f"mode",
        cause="In eval mode scale and offset of a layer learn against statistics that stand still; in "
        "training "
        "mode an answer depends on its batch. One call to train() or eval() went to a part, or not through.",
        fix="model.eval()  # to use it; model.train() to train it, then freeze:\n"
        "# layer.eval(); layer.requires_grad_(False)",
        sure="certain: the layers' modes",
        eval_mode=len(resting),
        training_mode=layers - len(resting),
        trainable_in_eval=len(trainable),
    )


CHECK = Check(
    "mixed-modes",
    "batch-norm layers are in different modes",
    "pytorch/pytorch#115715",
    scan=_scan,
    compare=_compare,
    watch=_watch,
)
