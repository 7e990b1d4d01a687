"""A checkpoint with a layer's parameters and without its statistics."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bnstudy.doctor.comparing import Pair
from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.layers import NAMES, WRAPPERS
from bnstudy.doctor.scanning import Subject

CAUSE = (
    "What was saved holds what is trained and not what is averaged (named_parameters(), "
    "TRAINABLE_VARIABLES, an "
    "average over clients or steps of parameters alone). Loaded with strict=False, the layer keeps the "
    "statistics of a new one."
)
FIX = (
    "import torch\n"
    "torch.save(model.state_dict(), 'model.pt')  # buffers too\n"
    "# of a model whose statistics are lost, before that:\n"
    "import bnstudy\n"
    "bnstudy.recalibrate(model, train_batches, inplace=True)"
)
# How people name the layer; nothing else in a state_dict tells it from a group norm.
SAYS_SO = re.compile(r"(^|[._])(bn|batch_?norm(alization)?)[0-9a-z]{0,2}([._]|$)", re.IGNORECASE)


def _scan(subject: Subject) -> Iterator[Finding]:
    # Of a part, the statistics may lie in a file that wasn't read.
    if subject.model is not None or subject.part:
        return
    complete = set()
    for layer in subject.layers:
        if layer.mean is not None and layer.variance is not None:
            complete.add(layer.name)
        else:
            yield finding(layer.name, f"there is a counter of batches, {layer.count}, and no statistics")
    affine = _affine(subject)
    named = [name for name in affine if name not in complete and SAYS_SO.search(name)]
    if subject.layers:
        for name in named:
            seen = f"weight and bias of {affine[name]} channels are there, the running statistics aren't"
            sure = "likely: by its name it is batch norm; compare() tells it from a group norm"
            yield finding(name, seen, sure)
    elif affine and (named or _convolves(subject)):
        yield _question(affine, named)


def _question(affine: dict[str, int], named: list[str]) -> Finding:
    """Return what is said where no layer has statistics: a norm called bn1 may have been exchanged."""
    names = f"; {len(named)} are called as batch norms are ({named[0]})" if named else ""
    return CHECK.finding(
        "note",
        None,
        f"{len(affine)} layers have a scale and an offset, none has statistics{names}",
        cause="If these are group or layer norms, that is how it should be; if they are batch norms, their "
        "statistics are missing: what was saved holds what is trained and not what is averaged.",
        fix="from bnstudy import doctor\nprint(doctor.compare(model, checkpoint))  # the model knows",
        sure="can't tell: names and shapes are those of group and layer norms too",
        layers=len(affine),
    )


def _compare(pair: Pair) -> Iterator[Finding]:
    for name, which in pair.lacking:
        other = "b" if which == "a" else "a"
        yield finding(name, f"{which} has the layer without running statistics, {other} has them")


def finding(name: str, seen: str, sure: str = "certain: the names in the checkpoint") -> Finding:
    """Return what is said of a layer without its statistics."""
    return CHECK.finding("error", name, seen, cause=CAUSE, fix=FIX, sure=sure)


def _affine(subject: Subject) -> dict[str, int]:
    found: dict[str, set[str]] = {}
    sizes: dict[str, int] = {}
    for key, value in subject.tensors.items():
        prefix, _, name = WRAPPERS.sub("", key).rpartition(".")
        if value.dim() == 1 and (name in NAMES["weight"] or name in NAMES["bias"]):
            found.setdefault(prefix, set()).add("weight" if name in NAMES["weight"] else "bias")
            sizes[prefix] = value.numel()
    return {prefix: sizes[prefix] for prefix, kinds in found.items() if kinds == {"weight", "bias"}}


def _convolves(subject: Subject) -> bool:
    return any(value.dim() >= 4 for value in subject.tensors.values())


CHECK = Check(
    "missing-buffers",
    "a checkpoint has parameters and no statistics",
    "tinghuiz/SfMLearner#17",
    scan=_scan,
    compare=_compare,
)
