"""A momentum that is another framework's decay."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.finding import Check, Finding, Severity
from bnstudy.doctor.history import History
from bnstudy.doctor.remedies import layer as get
from bnstudy.doctor.scanning import Subject

DECAYS = 0.9  # TensorFlow's and Keras's defaults are 0.99 and 0.999, the articles' 0.9
NOISY = 32  # images; the mean of fewer is off by more than a sixth of a standard deviation


def _scan(subject: Subject) -> Iterator[Finding]:
    for layer in subject.layers:
        if layer.momentum is not None and layer.momentum >= DECAYS and layer.mean is not None:
            sure = "can't tell: whether it matters depends on the batch; watch() and diagnose() see it"
            yield finding("note", layer.name, layer.momentum, sure)


def _watch(history: History) -> Iterator[Finding]:
    for record in history.layers:
        momentum = record.now.momentum
        if momentum is not None and momentum >= DECAYS and record.images:
            images = record.usual_images
            sure = f"likely: the noise of a mean of {images} images is about {images**-0.5:.2f} sd"
            yield finding("warning" if images <= NOISY else "note", record.name, momentum, sure, images)


def finding(
    severity: Severity, name: str, momentum: float, sure: str, images: float | None = None
) -> Finding:
    """Return what is said of a layer with such a momentum."""
    batch = "" if images is None else f", at {images:g} images a batch"
    return CHECK.finding(
        severity,
        name,
        f"momentum is {momentum:g}{batch}",
        cause="PyTorch's momentum is the weight of the new batch, 1 - decay: so large a one makes the "
        "statistics "
        "those of the last batch alone, with all of its noise. TensorFlow's decay 0.99 is PyTorch's 0.01.",
        fix=f"{get(name)}\nlayer.momentum = {max(1 - momentum, 0.01):g}  # 1 - decay",
        sure=sure,
        momentum=momentum,
        images=images,
    )


CHECK = Check(
    "momentum-inverted",
    "momentum is as large as another framework's decay",
    "r9y9/tacotron_pytorch#19",
    scan=_scan,
    watch=_watch,
)
