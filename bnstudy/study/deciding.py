"""What decides a run's numbers: the code that its kind of run reaches, and defaults that it doesn't name."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from bnstudy._loaded import check_loaded, source
from bnstudy.records.kinds import KINDS
from bnstudy.records.source import Code, Definition, digest_of, outside_digest
from bnstudy.records.spec import RunSpec, Spec

# Where the runs of a kind begin, and how their numbers are written.
_TRAINING = (Definition("bnstudy.study.work", "trained"), Definition("bnstudy.records.tables", "as_text"))
_MEASURING = (Definition("bnstudy.study.work", "measured"), Definition("bnstudy.records.tables", "as_text"))

# Of what these hold, a run uses what it asks for.
_PROBES = Definition("bnstudy.study.watching", "PROBES")
_MEASURES = Definition("bnstudy.study.measures", "MEASURES")
_NETWORKS = Definition("bnstudy.train.networks", "OWN")
_ARTICLE = "article"  # the network of every run that names none

# A specification decides by its values, which its record holds, and not by what else its class can say.
_SPECS = {Definition(spec.__module__, spec.__name__): kind for kind, spec in KINDS.items()}
_BASES = {Definition(Spec.__module__, base.__name__): "specification" for base in Spec.__mro__[:2]}


def source_of(spec: Spec) -> str:
    """Return the digest of the code, as this process loaded it, that decides the numbers of such a run.

    Every run of a kind with the same probes and network has the same.

    Raises:
        ValueError: the network is a user's, and its source can't be found.
    """
    return _digest(_sort(spec))


def digest_in(code: Code, spec: Spec) -> str:
    """Return the digest of what decides the numbers of such a run in the source of another bnstudy."""
    sort = _sort(spec)
    return code.digest(_entries(sort), _choices(sort))


def code_of(read: Callable[[str], tuple[bytes, bool] | None]) -> Code:
    """Return the source of bnstudy: ``read`` returns a module's, and whether it is a package."""
    leaves = {definition: f"(Specification {kind})" for definition, kind in {**_SPECS, **_BASES}.items()}
    return Code("bnstudy", read, leaves)


def check_source(spec: Spec) -> None:
    """Raise a ``SourceError`` if that code isn't what its files said when they were loaded."""
    check_loaded(_modules(_sort(spec)))


def kind_of(spec: Spec) -> str:
    """Say in words what has the same source as this run: ``"train resnet8 with gaussianity"``."""
    sort = _sort(spec)
    network = f" {sort.network}" if sort.network not in ("", _ARTICLE) else ""
    return f"{sort.kind}{network}{' with ' * bool(sort.probes)}{', '.join(sort.probes)}"


def defaults_of(spec: Spec) -> dict[str, dict[str, Any]]:
    """Return today's defaults that decide such a run without being named in its specification.

    By kind of specification, then by field: those of its own fields that its canonical JSON leaves out, and
    those of the training runs that it makes on its way.
    """
    found = all_defaults(spec)
    named = json.loads(spec.canonical())
    own = {name: value for name, value in found[spec.kind].items() if name not in named}
    return {kind: values for kind, values in {**found, spec.kind: own}.items() if values}


def all_defaults(spec: Spec) -> dict[str, dict[str, Any]]:
    """Return today's defaults of all specifications that such a run reads, by kind, then by field."""
    return {kind: _defaults(kind) for kind in {spec.kind, *_kinds(_sort(spec))}}


def same_defaults(spec: Spec, recorded: dict[str, dict[str, Any]]) -> bool:
    """Say whether the defaults that decided a run are still what they were.

    What its specification names doesn't count, nor do fields that came later.
    """
    return all(
        today[name] == recorded[kind][name]
        for kind, today in defaults_of(spec).items()
        for name in today
        if name in recorded.get(kind, {})
    )


class _Sort(NamedTuple):
    """What runs of one source have in common."""

    kind: str
    probes: tuple[str, ...] = ()
    network: str = ""


def _sort(spec: Spec) -> _Sort:
    if isinstance(spec, RunSpec):
        return _Sort(spec.kind, tuple(spec.probes), spec.network)
    return _Sort(spec.kind, network=_ARTICLE)


@cache
def _code() -> Code:
    return code_of(source)


def _entries(sort: _Sort) -> Sequence[Definition]:
    return _TRAINING if sort.kind == "train" else _MEASURING


def _choices(sort: _Sort) -> dict[Definition, tuple[str, ...]]:
    own = () if _elsewhere(sort.network) else (sort.network,)
    return {_PROBES: sort.probes, _MEASURES: (sort.kind,), _NETWORKS: own}


def _elsewhere(network: str) -> str:
    """Return where a user's network is, ``"package.module:function"``, or nothing for one of the package."""
    if ":" in network or network in _code().values(_NETWORKS):
        return network * (":" in network)
    build = getattr(sys.modules.get(_NETWORKS.module), "_REGISTERED", {}).get(network)
    if build is None:
        raise ValueError(f"network is {network!r}, which nobody has registered in this process")
    return f"{build.__module__}:{build.__qualname__.partition('.')[0]}"


@cache
def _digest(sort: _Sort) -> str:
    found = _code().digest(_entries(sort), _choices(sort))
    where = _elsewhere(sort.network)
    return digest_of(found, outside_digest(where)) if where else found


@cache
def _reached(sort: _Sort) -> frozenset[Definition]:
    return frozenset(_code().reached(_entries(sort), _choices(sort)))


def _modules(sort: _Sort) -> list[str]:
    return sorted({definition.module for definition in _reached(sort)})


def _kinds(sort: _Sort) -> set[str]:
    return {_SPECS[definition] for definition in _reached(sort) if definition in _SPECS}


@cache
def _defaults(kind: str) -> dict[str, Any]:
    """Return the defaults of a specification's fields, as its JSON has them."""
    return KINDS[kind](kind=kind).model_dump(mode="json")
