"""``doctor.compare``: two states of one model, and whether their statistics belong to their weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from bnstudy.doctor.layers import NAMES, WRAPPERS, Layer, of_state, statistics
from bnstudy.doctor.registry import check_ignored, findings
from bnstudy.doctor.report import Report
from bnstudy.doctor.scanning import Subject, states_of, subject_of
from bnstudy.doctor.untouched import untouched
from bnstudy.norm.checks import check_choice
from bnstudy.probes.moment import underlying

Relation = Literal["average", "copy", "replica", "export", "recalibrated"]
Model = nn.Module | Mapping[str, Tensor] | str | Path

APART = 0.1  # standard deviations, from which statistics count as different
STATISTICS = {name for kind in ("mean", "variance", "count") for name in NAMES[kind]}


@dataclass(frozen=True)
class Pair:
    """What ``compare`` looks at.

    ``layers`` are those with statistics in both; ``lacking`` names layers that have them in one only, with
    which of the two lacks them, "a" or "b". ``same_parameters`` is None where no parameter is in both.
    ``prefixes`` are what names of a and b begin with where the other's don't, such as "model."; what lies
    beside it isn't compared.
    """

    a: Subject
    b: Subject
    relation: Relation | None
    layers: list[tuple[Layer, Layer]]
    lacking: list[tuple[str, str]]
    same_parameters: bool | None
    prefixes: tuple[str, str] = ("", "")


def compare(a: Model, b: Model, relation: Relation | None = None, *, ignore: Iterable[str] = ()) -> Report:
    """Compare two models, state_dicts or checkpoint files of the same network.

    Args:
        a: the first; of two that aren't alike, the one that was trained.
        b: the second.
        relation: what ``b`` is to ``a``: an "average" of its weights (EMA, SWA), a "copy", a "replica" on
            another device, an "export", or "recalibrated". Without it only combinations that are hardly
            ever meant are found.
        ignore: suppressions, as of ``scan``.

    Raises:
        ValueError: ``relation`` or ``ignore`` is unknown, or no layer's name is in both.
        TypeError: ``a`` or ``b`` is of another kind.
        CheckpointError: a file can't be read.
    """
    ignored = check_ignored(ignore)
    if relation is not None:
        check_choice("relation", relation, get_args(Relation))
    pair = pair_of(_subject(a, "a"), _subject(b, "b"), relation)
    remarks = _remarks(pair)
    if isinstance(a, nn.Module) and isinstance(b, nn.Module):
        with untouched(underlying(a)), untouched(underlying(b)):
            found = findings("compare", pair)
    else:
        found = findings("compare", pair)
    how = f" as {'an' if relation in ('average', 'export') else 'a'} {relation}" if relation else ""
    how = " as recalibrated" if relation == "recalibrated" else how
    return Report(
        "compare",
        f"{_name(a)} and {_name(b)}{how}",
        found,
        len(pair.layers),
        remarks=remarks,
        ignored=ignored,
    )


def pair_of(a: Subject, b: Subject, relation: Relation | None) -> Pair:
    """Match the layers of two subjects by name."""
    first, second = _tensors(a), _tensors(b)
    prefixes = _prefixes(first, second)
    first, second = (_below(tensors, p) for tensors, p in zip((first, second), prefixes, strict=True))
    common = first.keys() & second.keys()
    if not common:
        some = [", ".join(repr(name) for name in list(names)[:2]) for names in (first, second)]
        raise ValueError(f"a has {some[0]} and b has {some[1]}; allowed: two states of one network")
    layers_a = {layer.name: layer for layer in _layers(a, first, prefixes[0])}
    layers_b = {layer.name: layer for layer in _layers(b, second, prefixes[1])}
    both = [
        name for name in layers_a if name in layers_b and _whole(layers_a[name]) and _whole(layers_b[name])
    ]
    for name in both:
        widths = layers_a[name].channels, layers_b[name].channels
        if widths[0] != widths[1]:
            raise ValueError(
                f"layer {name!r} has {widths[0]} channels in a and {widths[1]} in b; allowed: two states of "
                "one network"
            )
    lacking = []
    for which, one, other, tensors in (("a", layers_a, layers_b, first), ("b", layers_b, layers_a, second)):
        if (a if which == "a" else b).part:
            continue  # they may lie in a file that wasn't read
        for name, layer in other.items():
            if not _whole(layer) or (name in one and _whole(one[name])) or _untracked(one.get(name)):
                continue
            # A layer without scale and offset leaves no name at all where its statistics are missing.
            if layer.weight is None or any(f"{name}.{key}" in tensors for key in NAMES["weight"]):
                lacking.append((name, which))
    return Pair(
        a,
        b,
        relation,
        [(layers_a[name], layers_b[name]) for name in both],
        lacking,
        _same(first, second, common),
        prefixes,
    )


def apart(a: Layer, b: Layer) -> float:
    """Return how far the statistics of two layers are from each other, in standard deviations.

    The larger of two root mean squares over channels: the means' difference, and the logarithm of the ratio
    of standard deviations.
    """
    first, second = statistics(a), statistics(b)
    assert first is not None
    assert second is not None
    epsilon = a.epsilon or 1e-5
    variance = (first[1].clamp(min=0) + second[1].clamp(min=0)) / 2 + epsilon
    mean = ((first[0] - second[0]) / variance.sqrt()).square().mean().sqrt()
    ratio = 0.5 * ((first[1].clamp(min=0) + epsilon) / (second[1].clamp(min=0) + epsilon)).log()
    distance = torch.maximum(mean, ratio.square().mean().sqrt())
    return float(torch.nan_to_num(distance, nan=torch.inf))


def equal(a: Layer, b: Layer) -> bool:
    """Return whether the statistics of two layers are the same, bit for bit."""
    first, second = statistics(a), statistics(b)
    assert first is not None
    assert second is not None
    return all(torch.equal(x, y) for x, y in zip(first, second, strict=True))


def _subject(value: Model, argument: str) -> Subject:
    if isinstance(value, nn.Module):
        return subject_of(underlying(value))
    read = states_of(value, argument)
    states = read.states
    if len(states) > 1:
        raise ValueError(
            f"{argument} holds {len(states)} state_dicts, at {', '.join(map(repr, states))}; allowed: one "
            f"of them"
        )
    state = next(iter(states.values()))
    return Subject(of_state(state), state, part=read.part)


def _tensors(subject: Subject) -> dict[str, Tensor]:
    return {WRAPPERS.sub("", name): tensor for name, tensor in subject.tensors.items()}


def _prefixes(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> tuple[str, str]:
    """Return what to take away from the names of one, such as "model.", if that makes more names common.

    Raises ``ValueError`` where two prefixes would do as well: two states of the network lie in one.
    """
    direct = len(first.keys() & second.keys())
    found: list[tuple[int, str, str]] = []
    for which, longer, shorter in (("a", first, second), ("b", second, first)):
        counts: Counter[str] = Counter()
        for name, tensor in longer.items():
            parts = name.split(".")
            for cut in range(1, len(parts)):
                there = shorter.get(".".join(parts[cut:]))
                if there is not None and there.shape == tensor.shape:
                    counts[".".join(parts[:cut]) + "."] += 1
        best = counts.most_common(2)
        if len(best) == 2 and best[0][1] == best[1][1] > direct:
            raise ValueError(
                f"{which} has the other's names under {best[0][0]!r} and under {best[1][0]!r}; allowed: one "
                "of them: {k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)}"
            )
        found += [(count, which, prefix) for prefix, count in best[:1]]
    count, which, prefix = max(found, default=(0, "a", ""))
    if count <= direct:
        return "", ""
    return (prefix, "") if which == "a" else ("", prefix)


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _layers(subject: Subject, tensors: Mapping[str, Tensor], prefix: str) -> list[Layer]:
    if subject.model is None:
        return of_state(tensors)
    return [
        replace(layer, name=layer.name[len(prefix) :])
        for layer in subject.layers
        if layer.name.startswith(prefix)
    ]


def _whole(layer: Layer) -> bool:
    return layer.mean is not None and layer.variance is not None


def _untracked(layer: Layer | None) -> bool:
    return layer is not None and getattr(layer.module, "track_running_stats", True) is False


def _same(first: Mapping[str, Tensor], second: Mapping[str, Tensor], common: Iterable[str]) -> bool | None:
    names = [name for name in common if name.rpartition(".")[2] not in STATISTICS]
    if not names:
        return None
    return all(_close(first[name].detach().cpu(), second[name].detach().cpu()) for name in names)


def _close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape:
        return False
    if a.dtype == b.dtype:
        return torch.equal(a, b)
    # A cast to fewer digits is no other weight.
    return torch.allclose(a.double(), b.double(), rtol=1e-2, atol=1e-3)


def _remarks(pair: Pair) -> list[str]:
    said = [
        f"{which} is a part of a checkpoint: what lies in its other files wasn't compared."
        for which, subject in (("a", pair.a), ("b", pair.b))
        if subject.part
    ]
    if pair.relation == "export" and pair.a.layers and not pair.b.layers:
        said.append(
            "b has no batch-norm layer: folded into what stands before, or lost. Compare the outputs of "
            "both in eval()."
        )
    if pair.relation in ("copy", "replica", "export", "recalibrated") and pair.same_parameters is False:
        said.append("The parameters differ, which this relation doesn't expect.")
    if pair.relation is None:
        said.append("No relation was given: only what is hardly ever meant is found.")
    for which, prefix in zip("ab", pair.prefixes, strict=True):
        if prefix:
            said.append(f"Of {which} what lies under {prefix!r} was compared.")
    return said


def _name(value: Model) -> str:
    if isinstance(value, nn.Module):
        return type(underlying(value)).__name__
    return str(value) if isinstance(value, (str, Path)) else "a state_dict"
