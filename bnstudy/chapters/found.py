"""The chapters there are, found by looking: a folder is one, and the files in it are its parts."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

import bnstudy.blocks as _blocks
from bnstudy.records.spec import SpecError, validate
from bnstudy.study.plan import Study

# What a caller may set besides: where a study runs, not what it is.
WHERE = ("device", "data_dir", "progress")


def parts(part: str) -> list[str]:
    """Return the names of the chapters that have a file ``part``, as "study" or "rules", in order."""
    return sorted(file.parent.name for file in Path(__file__).parent.glob(f"*/{part}.py"))


def only(module: ModuleType, base: type[Any]) -> Any:
    """Return the one subclass of ``base`` that a chapter's module defines.

    Raises:
        TypeError: it defines none, or several.
    """
    own = _defined(module, base)
    if len(own) != 1:
        raise TypeError(f"{module.__name__} defines {len(own)} subclasses of {base.__name__}; allowed: one")
    return own[0]


def _defined(module: ModuleType, base: type[Any]) -> list[type[Any]]:
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__
    ]


def blocks() -> list[str]:
    """Return the names of the blocks of trainings that several chapters read, in alphabetical order."""
    modules = (importlib.import_module(f"bnstudy.blocks.{m.name}") for m in iter_modules(_blocks.__path__))
    return [m.__name__.rpartition(".")[2] for m in modules if _defined(m, Study)]


def _studies() -> dict[str, type[Study]]:
    modules = {chapter: f"bnstudy.chapters.{chapter}.study" for chapter in parts("study")}
    modules |= {block: f"bnstudy.blocks.{block}" for block in blocks()}
    found = {name: only(importlib.import_module(module), Study) for name, module in modules.items()}
    for chapter, study in found.items():
        if study.name != chapter:
            raise TypeError(
                f"{study.__name__}.name is {study.name!r}; allowed: {chapter!r}, its folder or file"
            )
    return found


EXPERIMENTS: Mapping[str, type[Study]] = _studies()


def plan_of(experiment: str, parameters: Mapping[str, Any], also: tuple[str, ...] = WHERE) -> Study:
    """Return the validated parameters of an experiment; ``also`` are names that the caller takes besides.

    Raises:
        SpecError: the experiment or a parameter is unknown or out of range.
    """
    if experiment not in EXPERIMENTS:
        raise SpecError(f"experiment is {experiment!r}; allowed: {', '.join(map(repr, EXPERIMENTS))}")
    return validate(EXPERIMENTS[experiment], parameters, also)
