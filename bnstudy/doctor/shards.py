"""Checkpoints in several files: which belong together, by their index or by their names."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

INDEX = ".index.json"
SHARD = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5,})-of-(?P<count>\d{5,})(?P<suffix>\.[^.]+)$")


@dataclass(frozen=True)
class Shards:
    """The files of a checkpoint, those that are there and those that aren't; the tensors' names if known."""

    files: list[Path]
    missing: list[str]
    names: frozenset[str] = frozenset()


class ShardError(ValueError):
    """An index can't be read, or isn't alone."""


def shards_of(path: Path) -> Shards | None:
    """Return the set that a folder, an index or a shard stands for; None for a file that is whole."""
    if path.is_dir():
        indices = sorted(path.glob(f"*{INDEX}"))
        if len(indices) == 1:
            return _by_index(indices[0])
        what = f"{len(indices)} indices" if indices else "no index"
        raise ShardError(
            f"{path} is a folder with {what}; allowed: a checkpoint file, or a folder with one *{INDEX}"
        )
    if path.name.endswith(INDEX):
        return _by_index(path)
    for index in sorted(path.parent.glob(f"*{INDEX}")):
        try:
            found = _by_index(index)
        except ShardError:  # it may be of something else
            continue
        if path in found.files:
            return found
    match = SHARD.match(path.name)
    if match is None:
        return None
    count, width = int(match["count"]), len(match["number"])
    tail = f"-of-{match['count']}{match['suffix']}"
    files = [path.with_name(f"{match['stem']}-{i:0{width}}{tail}") for i in range(1, count + 1)]
    there = [file for file in files if file.is_file()]
    return Shards(there, [file.name for file in files if file not in there])


def _by_index(index: Path) -> Shards:
    try:
        placed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        # Names alone: an index doesn't lead out of its folder.
        files = [index.with_name(name) for name in sorted({Path(name).name for name in placed.values()})]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ShardError(
            f"{index} can't be read ({type(error).__name__}); allowed: an index with a weight_map"
        ) from None
    there = [file for file in files if file.is_file()]
    missing = [file.name for file in files if file not in there]
    return Shards(there, missing, frozenset(placed))
