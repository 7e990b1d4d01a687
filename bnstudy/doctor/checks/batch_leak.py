"""An answer that depends on the other images of its batch."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.examination import Examination
from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.layers import is_batch_norm
from bnstudy.doctor.passes import buffer
from bnstudy.doctor.remedies import layer as get


def _diagnose(found: Examination) -> Iterator[Finding]:
    leak = found.leak
    if leak is None:
        return
    norm = is_batch_norm(leak.module)
    built_so = norm and buffer(leak.module, "mean") is None
    what = type(leak.module).__name__
    if built_so:
        cause = f"The {what} was built without running statistics and normalises by the batch in eval() too."
        fix = f"{get(leak.name)}\n# build it with track_running_stats=True, and retrain or recalibrate"
    elif norm:
        cause = f"The {what} normalises by its batch in eval(): it stays in training mode, or ignores it."
        fix = f"{get(leak.name)}\nmodel.eval()\nassert not layer.training  # else see what overrides train()"
    else:
        cause = (
            f"Something in {what} computes over the batch in eval() too: a functional batch norm with "
            f"training=True, "
            "or a mean over the first axis."
        )
        fix = f"{get(leak.name)}\n# look for F.batch_norm(..., training=True) and .mean(0) in its forward"
    yield CHECK.finding(
        "note" if built_so else "error",
        leak.name,
        f"with other images in the batch an image's values change by {leak.change:.2g} sd, from here on",
        cause=cause + " Accuracy then depends on how batches are made up, and single images fail.",
        fix=fix,
        sure="measured: the same images, once with each neighbours",
        change=leak.change,
    )


CHECK = Check(
    "batch-leak",
    "an output depends on the other images of its batch",
    "openai/coinrun#17",
    diagnose=_diagnose,
)
