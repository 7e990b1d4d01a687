"""Moving statistics that cost accuracy or loss against precise ones: where, and why."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from bnstudy.doctor.causes import Cause, cause_of
from bnstudy.doctor.examination import DOMAIN, MOVING, PRECISE, Cost, Examination
from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.remedies import RECALIBRATE

ADAPT = (
    "import bnstudy\n"
    "# statistics of the evaluation data (AdaBN); labels aren't used\n"
    "bnstudy.recalibrate(model, eval_batches, inplace=True)"
)


def _diagnose(found: Examination) -> Iterator[Finding]:
    cost = found.cost(MOVING, PRECISE)
    if cost is None:
        return
    if cost.verdict == "harm":
        yield _harm(found, cost, cause_of(found))
        return
    domain = found.cost(PRECISE, DOMAIN)
    if domain is not None and domain.verdict == "harm":
        yield CHECK.finding(
            "warning",
            None,
            f"statistics of the training data cost {domain.in_words()} against those of the evaluation data",
            cause="The evaluation data are of another kind than the training data (camera, scale, "
            "normalisation, a "
            "preprocessing that differs), and the statistics follow the training data.",
            fix=ADAPT,
            sure=_sure(domain),
            cause_code="foreign-domain",
            **domain.evidence(),
        )
    elif cost.verdict == "can't tell":
        needed = cost.needed
        yield CHECK.finding(
            "note",
            None,
            f"whether the statistics cost anything can't be told: {cost.in_words()}",
            cause="The interval lies on both sides of the smallest effect: these images are too few.",
            fix=f"# evaluate on about {' and '.join(f'{n} {unit}' for unit, n in needed.items())}, or set "
            "smallest_effect",
            sure="can't tell",
            **{f"{unit}_needed": number for unit, number in needed.items()},
            **cost.evidence(),
        )


def _harm(found: Examination, cost: Cost, cause: Cause) -> Finding:
    layer, share = _culprit(found, cost)
    name, gap = found.widest
    said = f"the moving statistics cost {cost.in_words()} against precise ones"
    # A new model's statistics are meant to be wrong, and so are its answers.
    return CHECK.finding(
        "note" if found.untrained else "warning",
        layer,
        said if layer is None else f"{said}; this layer's alone win {100 * share:.0f} % of it back",
        cause=cause.sentence,
        fix=RECALIBRATE,
        sure=f"{_sure(cost)}; of the cause: {cause.sure}",
        cause_code=cause.code,
        widest_gap=gap,
        widest_layer=name,
        recovered_share=share,
        **cost.evidence(),
    )


def _culprit(found: Examination, cost: Cost) -> tuple[str | None, float]:
    """Return the layer whose statistics alone win at least half of the harm back, and the share."""
    best: tuple[str | None, float] = (None, 0.0)
    for name, (loss, accuracy) in found.recovered.items():
        share = 0.0
        if cost.broken and cost.accuracy is not None and accuracy is not None:
            share = accuracy / max(cost.accuracy.value, 1e-12)
        elif cost.loss is not None and cost.loss.value > 0:
            share = loss / cost.loss.value
        elif cost.accuracy is not None and accuracy is not None:
            share = accuracy / max(cost.accuracy.value, 1e-12)
        if torch.isfinite(torch.tensor(share)) and share > best[1]:
            best = (name, share)
    return best if best[1] >= 0.5 else (None, best[1])


def _sure(cost: Cost) -> str:
    effect = cost.loss or cost.accuracy
    pairs = effect.pairs if effect is not None else 0
    return f"measured: paired 95 % intervals over {pairs} images"


CHECK = Check(
    "statistics-harm",
    "moving statistics cost accuracy or loss against precise ones",
    "pytorch/pytorch#4741",
    diagnose=_diagnose,
)
