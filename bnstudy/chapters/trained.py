"""What the second round's trainings show beside the verdicts: described, at 95 %, and judged by nothing.

A chapter that has something to show of a block of trainings has a file ``trained.py`` with

* ``BLOCK``: the name of the study whose records it reads, such as ``"core"``;
* ``described(shown)``, if it has a part of the page for them: what it says, in the language of ``shown``
  (``bnstudy.chapters.shown``);
* ``CARRIED``, if there is any: what the second network shows of some claims, a sentence each, by the claim;
* ``FIRST`` and ``BESIDE``, if there are any: what is said before what a verdict on some claims rests on, and
  what after it, a sentence each, by the claim;
* ``IN_SHORT``, if there is any: what the front page says first of some claims, a sentence each, by the claim:
  what it costs not to do what is advised.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from bnstudy.analysis.judged.wording import Language, in_language
from bnstudy.analysis.words import Html
from bnstudy.chapters.found import parts, plan_of
from bnstudy.chapters.judged import claims
from bnstudy.chapters.kept import frames_of
from bnstudy.chapters.shown import Shown
from bnstudy.records.store import Store
from bnstudy.study.run import NotRecordedError, default_data_dir
from bnstudy.study.status import status

# The block of the network that judges nothing: what of a finding carries over to it.
SECOND = "second_network"

# What is said of a block until all of it is recorded, and of the second network.
_STILL = (
    (
        "Of the second round's trainings for this chapter, <code>{}</code>, {} of {} are recorded; what they "
        "show will stand here once all are.",
        "本章第二轮的训练（<code>{}</code>）已记录 {} / {} 次；全部记录之后，这里会列出结果。",
    ),
    (
        "Whether this carries over to a second network, a ResNet of eight layers (<code>{}</code>), is still "
        "being measured: {} of {} trainings are recorded.",
        "这些结论能否推广到第二个网络（八层 ResNet，<code>{}</code>），仍在测量：已记录 {} / {} 次训练。",
    ),
)


def described(
    chapter: str, language: Language = "en", data_dir: str | os.PathLike[str] = "", **parameters: Any
) -> Html:
    """Return what a chapter shows of the second round's trainings; how many are recorded, until all are.

    A chapter without ``trained.py`` shows nothing.

    Args:
        chapter: its name.
        language: of the page.
        data_dir: folder of the records; empty: the repository's.
        parameters: of the block, such as ``dataset``.

    Raises:
        RecordError: a record is damaged.
    """
    if chapter not in parts("trained"):
        return Html("")
    module: Any = importlib.import_module(f"bnstudy.chapters.{chapter}.trained")
    say: Callable[[Shown], str] | None = getattr(module, "described", None)
    if say is None:
        return Html("")
    try:
        frames = frames_of(module.BLOCK, data_dir, **parameters)
    except NotRecordedError:
        return Html(_still_training(module.BLOCK, language, data_dir, parameters))
    return Html(
        say(Shown(frames, chapter, language)) + _carried(module, chapter, language, data_dir, parameters)
    )


def _carried(
    module: Any,
    chapter: str,
    language: Language,
    data_dir: str | os.PathLike[str],
    parameters: Mapping[str, Any],
) -> str:
    """Return what the second network shows of a chapter's claims, where it can show something."""
    if not hasattr(module, "CARRIED"):
        return ""
    try:
        shown = Shown(frames_of(SECOND, data_dir, **parameters), chapter, language)
    except NotRecordedError:
        return _still_training(SECOND, language, data_dir, parameters)
    intro = shown.write.say(
        "On a second network, a ResNet of eight layers on the same images ({} seeds), described and judged "
        "by nothing:",
        "在第二个网络（八层 ResNet，图像相同，{} 个随机种子）上的结果，仅作描述，不作判定之用：",
    ).format(shown.write.cite(str(shown.frames["runs"]["seed"].nunique())))
    return f"<p>{intro}</p>{_listed(_said_by(module, shown))}"


def carried(language: Language = "en", data_dir: str | os.PathLike[str] = "") -> Html:
    """Return what the second network shows of all claims that it was measured for, a line each.

    Nothing until it is recorded. Raises a ``RecordError`` where a record is damaged.
    """
    try:
        frames = frames_of(SECOND, data_dir)
    except NotRecordedError:
        return Html("")
    said: dict[str, str] = {}
    for chapter in parts("trained"):
        module = importlib.import_module(f"bnstudy.chapters.{chapter}.trained")
        said |= _said_by(module, Shown(frames, chapter, language))
    return Html(_listed({claim: said[claim] for claim in claims() if claim in said}))


def _said_by(module: Any, shown: Shown) -> dict[str, str]:
    carried: Mapping[str, Callable[[Shown], str]] = getattr(module, "CARRIED", {})
    return {claim: say(shown) for claim, say in carried.items()}


def _listed(said: Mapping[str, str]) -> str:
    lines = "".join(f"<li><strong>{claim}</strong> {sentence}</li>" for claim, sentence in said.items())
    return f"<ul>{lines}</ul>"


def around(
    chapter: str, claim: str, language: Language = "en", data_dir: str | os.PathLike[str] = ""
) -> tuple[str, str]:
    """Return what to say before and after what the verdict on a claim rests on; "" where there is nothing.

    Raises:
        RecordError: a record is damaged.
    """
    where = chapter, claim, language, data_dir
    return _sentence("FIRST", *where), _sentence("BESIDE", *where)


def in_short(
    chapter: str, claim: str, language: Language = "en", data_dir: str | os.PathLike[str] = ""
) -> str:
    """Return what the front page says first of a claim; nothing, where there is nothing to say.

    Raises:
        RecordError: a record is damaged.
    """
    return _sentence("IN_SHORT", chapter, claim, language, data_dir)


def _sentence(
    name: str, chapter: str, claim: str, language: Language, data_dir: str | os.PathLike[str]
) -> str:
    if chapter not in parts("trained"):
        return ""
    module: Any = importlib.import_module(f"bnstudy.chapters.{chapter}.trained")
    say: Callable[[Shown], str] | None = getattr(module, name, {}).get(claim)
    try:
        return say(Shown(frames_of(module.BLOCK, data_dir), chapter, language)) if say else ""
    except NotRecordedError:
        return ""


def _still_training(
    block: str, language: Language, data_dir: str | os.PathLike[str], parameters: Mapping[str, Any]
) -> str:
    state = status(plan_of(block, parameters), Store(data_dir or default_data_dir()))
    said = in_language(_STILL[block == SECOND], language)
    return f"<p>{said.format(block, state.needed - len(state.missing), state.needed)}</p>"
