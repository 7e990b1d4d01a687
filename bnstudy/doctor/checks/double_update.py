"""More than one update of the statistics an optimiser step, by kind."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.finding import Check, Finding, Severity
from bnstudy.doctor.history import History, LayerHistory
from bnstudy.doctor.remedies import layer as get

# Kind: how it comes about, and what to do with the layer.
KINDS = {
    "again": (
        "Checkpointing computes the layer again in the backward pass, and each time the averages move: their "
        "decay is squared, with the same batch twice.",
        "# two updates of momentum m' weigh a batch as one of m\n"
        "layer.momentum = 1 - (1 - layer.momentum) ** 0.5",
    ),
    "shared": (
        "One forward calls the layer several times, so that its statistics mix several places of the "
        "network. "
        "In a siamese net that is meant; a layer shared by mistake looks the same.",
        "# nothing, if meant; else a layer for each place",
    ),
    "accumulated": (
        "Gradients of several batches are added up before a step, and each small batch normalises itself and "
        "moves the averages: statistics are noisier than the large batch's, and their decay is a power. A "
        "discriminator whose real and made batches have backward passes of their own looks the same where "
        "the generator's optimiser isn't watched.",
        "layer.momentum = layer.momentum / 4  # by the number of batches a step",
    ),
    "several": (
        "One step takes several forwards (siamese nets, a discriminator's real and fake batch, inner loops, "
        "a step that looks at several points), and each moves the averages.",
        "# nothing, if meant: in eval() the averages mix what the forwards saw",
    ),
    "closures": (
        "The optimiser calls its closure several times a step, as LBFGS does to search along a line, and "
        "each forward moves the averages, also those at points that it leaves again.",
        "from bnstudy import recalibrate\n"
        "recalibrate(model, train_batches, inplace=True)  # at the end, at the weights that stay",
    ),
}
SEEN = {
    "closures": "was updated by several calls of the optimiser's closure a step",
    "again": "was updated inside the backward pass",
    "shared": "was called more than once in a forward",
    "accumulated": "was updated by several batches a step",
    "several": "was updated by several forwards of one step",
}


def _watch(history: History) -> Iterator[Finding]:
    for record in history.layers:
        momentum = record.now.momentum
        if not record.windows or record.now.mean is None or momentum == 0:
            continue
        for kind in KINDS:
            times = getattr(record, kind)
            if times * 2 >= record.windows:
                # A cumulative average weighs the same batch twice as it weighs any.
                harmful = kind == "again" and momentum is not None
                yield _finding("warning" if harmful else "note", record, kind, times)


def _finding(severity: Severity, record: LayerHistory, kind: str, times: int) -> Finding:
    cause, fix = KINDS[kind]
    return CHECK.finding(
        severity,
        record.name,
        f"{SEEN[kind]} at {times} of {record.windows} steps",
        cause=cause,
        fix=f"{get(record.name)}\n{fix}",
        sure="certain: each forward was seen"
        if kind == "again"
        else "certain that it happens; not whether meant",
        kind={"again": "checkpointing", "closures": "closure"}.get(kind, kind),
        steps=times,
        updates_a_step=record.updates / max(record.steps, 1),
    )


CHECK = Check(
    "double-update",
    "more than one update of the statistics an optimiser step",
    "pytorch/pytorch#96136",
    watch=_watch,
)
